"""How far a gradient in low precision is from the one in float64, on batches that are hard."""

import torch
from torch import Tensor, nn

KINDS = ("random", "collapsed", "near-duplicate views", "near-duplicate videos")


def batch(kind: str, size: tuple[int, int, int]) -> Tensor:
    """Embeddings (V, B, D)."""
    z = torch.randn(size, generator=torch.Generator().manual_seed(0))
    if kind == "collapsed":
        return 1 + 1e-3 * z
    if kind == "near-duplicate views":
        return z[:1] + 1e-4 * z
    if kind == "near-duplicate videos":
        return z[:, :1] + 1e-3 * z
    return z


def gradient(step: nn.Module, z: Tensor) -> Tensor:
    """Of the objective's total in z, as float64."""
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(step(leaf).total, leaf)[0].double()


def relative_error(value: Tensor, exact: Tensor, z: Tensor, temperature: float) -> float:
    """Largest error over the largest gradient; rows times the norm of the raw row, so that they are comparable.

    Where all videos are told apart already the true gradient vanishes; the floor is 1e-5 of a logit's.
    """
    norms = z.double().norm(dim=-1, keepdim=True)
    floor = 1e-5 / (temperature * z.shape[1])
    return (((value - exact) * norms).abs().max() / (exact * norms).abs().max().clamp_min(floor)).item()
