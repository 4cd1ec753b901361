"""Videos of all processes side by side, with gradients: other processes' videos are negatives too.

Every process computes the loss of the whole batch. Gathering sums the gradients over the processes and distributed
data parallel averages them, so each parameter gets exactly the gradient of that loss, the parameters of the objective
included.
Shapes: V views, b videos of this process, B videos of all processes in the order of their ranks, D embedding.
Not here: Lightning. This is torch.distributed with its default group; without one, or with one process, nothing is
gathered.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """Processes of the default group; 1 where there is none."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_views(embeddings: Tensor, *, even: bool = False) -> Tensor:
    """Embeddings of views of all processes: (V, b, D) -> (V, B, D), with gradients.

    All processes must call it, also one that has no video left (b = 0), and on all of them or on none the result must
    be used in what is differentiated: the gradient is gathered too.

    Args:
        embeddings: (V, b, D). Half precision is raised to float32, in which the gradients are summed.
        even: All processes have equally many videos, as in training: spares them telling each other how many, for
            which the host waits for the device.

    Returns:
        Tensor of shape (V, B, D); with one process the embeddings themselves.
    """
    return _gather(embeddings, axis=1, even=even)


def gather_videos(values: Tensor, *, even: bool = False) -> Tensor:
    """What goes with the videos, of all processes, without gradient: (b, ...) -> (B, ...), labels for example."""
    return _gather(values.detach(), axis=0, even=even)


def _gather(values: Tensor, *, axis: int, even: bool) -> Tensor:
    if num_processes() == 1:
        return values
    if values.is_floating_point():
        values = values.to(torch.promote_types(values.dtype, torch.float32))
    own = values.shape[axis]
    sizes = [own] * num_processes() if even else _sizes(own, values.device)
    return _Gather.apply(values, axis, sizes)  # type: ignore[no-untyped-call]


def _sizes(own: int, device: torch.device) -> list[int]:
    mine = torch.tensor([own], device=device)
    sizes = [torch.empty_like(mine) for _ in range(num_processes())]
    dist.all_gather(sizes, mine)
    return [int(size) for size in torch.cat(sizes).tolist()]


class _Gather(torch.autograd.Function):
    """As `torch.distributed.nn.functional.all_gather`, which is deprecated, for shares of unequal size."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, axis: int, sizes: list[int]) -> Tensor:
        ctx.axis, ctx.sizes = axis, sizes
        # Collectives want equal shapes: pad to the largest share, and drop the padding.
        padded_shape = list(values.shape)
        padded_shape[axis] = max(sizes)
        padded = values.new_zeros(padded_shape)
        padded.narrow(axis, 0, values.shape[axis]).copy_(values)
        shares = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(shares, padded)
        return torch.cat([share.narrow(axis, 0, size) for share, size in zip(shares, sizes, strict=True)], dim=axis)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # Every process has a loss on all videos: what they say of this process' videos is summed.
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        before = sum(ctx.sizes[: dist.get_rank()])
        return summed.narrow(ctx.axis, before, ctx.sizes[dist.get_rank()]), None, None
