"""Tuned noise around one prediction: the control that knows nothing of the branches and is as wide as pays best."""

from collections.abc import Callable

import torch
from torch import Tensor

from videossl.evaluation.shapes import unit

SCALES = tuple(float(scale) for scale in torch.logspace(-2, 0.8, 29))  # norm of the noise; the prediction has norm 1


def noise_around(centres: Tensor, *, scale: float, num_samples: int, seed: int) -> Tensor:
    """Isotropic Gaussian noise of norm about `scale` around unit vectors (n, D), normalised: (n, K, D)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(centres), num_samples, centres.shape[1], generator=generator)
    return unit(centres[:, None] + scale * noise / centres.shape[1] ** 0.5)


def tuned_scale(centres: Tensor, loss: Callable[[Tensor], Tensor], *, num_samples: int, seed: int) -> float:
    """The scale of noise for which the mean of `loss` (samples (n, K, D) -> (n,)) is lowest; the smallest of equals."""
    losses = [
        float(loss(noise_around(centres, scale=scale, num_samples=num_samples, seed=seed)).mean()) for scale in SCALES
    ]
    return SCALES[losses.index(min(losses))]
