"""Batches beyond memory: the exact gradient of the loss of the whole batch, with the activations of one chunk.

A contrastive loss needs all embeddings at once but not all activations. Gradient caching (Gao et al. 2021,
arXiv:2101.06983) encodes without gradients, takes the gradient of the loss in the embeddings, and encodes every chunk a
second time to carry that gradient on to the weights. The same is had by checkpointing every chunk: its activations are
dropped after the forward pass and computed anew, with the random numbers of the first time (dropout, augmentation),
when the backward pass, which has the gradient of all embeddings by then, comes to it. Nothing else of a training step
changes.

Cost: one more forward pass of the encoder. Memory: activations of one chunk, embeddings and inputs of all.
What looks at the statistics of its batch (BatchNorm) sees a chunk, and updates its running statistics twice; the
encoders of this package have none.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from videossl.errors import UsageError

Encoded = TypeVar("Encoded", Tensor, tuple[Tensor, ...])


def encode_in_chunks(encode: Callable[[Tensor], Encoded], views: Tensor, chunk_size: int | None) -> Encoded:
    """Encode all videos, and hold the activations of a chunk of them only.

    Where no gradient is wanted the videos are encoded chunk by chunk, and nothing is computed twice.

    Args:
        encode: Views (b, V, ...) -> tensor (V, b, ...), or a tuple of them. It is called twice per chunk, and what it
            does besides its result (counters, logs) happens twice; random numbers are those of torch.
        views: (B, V, ...), whatever `encode` takes; uint8 clips if it augments them.
        chunk_size: Videos of a chunk, >= 1; the last may be smaller. None: all in one, and nothing is recomputed.

    Returns:
        What `encode` returns of all videos: (V, B, ...), or a tuple.

    Raises:
        UsageError: A chunk of less than one video.
    """
    if chunk_size is None:
        return encode(views)
    if chunk_size < 1:
        raise UsageError(f"expected chunks of at least 1 video, got {chunk_size}. None is the whole batch at once.")
    chunks = torch.split(views, chunk_size)
    again = torch.is_grad_enabled()
    encoded: list[Any] = [
        checkpoint(encode, chunk, use_reentrant=False) if again else encode(chunk) for chunk in chunks
    ]
    joined: Any = (
        torch.cat(encoded, dim=1)
        if isinstance(encoded[0], Tensor)
        else tuple(torch.cat(parts, dim=1) for parts in zip(*encoded, strict=True))
    )
    return cast(Encoded, joined)
