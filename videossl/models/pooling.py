"""From tokens to one vector per clip, and one per tubelet time."""

from typing import Literal

import torch
from einops import rearrange, reduce
from torch import Tensor

Pooling = Literal["mean", "max", "mean_max", "last"]


def pooled_width(width: int, pooling: Pooling) -> int:
    """Width of a representation pooled from tokens of width `width`."""
    return 2 * width if pooling == "mean_max" else width


def pool(tokens: Tensor, pooling: Pooling) -> Tensor:
    """One representation per clip.

    Args:
        tokens: (B, T', H', W', E).
        pooling: "mean" or "max" over all tokens, "mean_max" both side by side, "last" the mean over the last
            tubelet time.

    Returns:
        (B, E) or, for "mean_max", (B, 2 E).
    """
    if pooling == "last":
        return reduce(tokens[:, -1], "b h w e -> b e", "mean")
    tokens = rearrange(tokens, "b t h w e -> b (t h w) e")
    if pooling == "mean":
        return tokens.mean(dim=1)
    if pooling == "max":
        return tokens.amax(dim=1)
    return torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=-1)


def pool_frames(tokens: Tensor) -> Tensor:
    """One vector per tubelet time: (B, T', H', W', E) -> (B, T', E), the mean over space."""
    return reduce(tokens, "b t h w e -> b t e", "mean")
