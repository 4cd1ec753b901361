"""Similarity graphs for X-Sample: how like each other the videos of a batch are, from what is known of them.

A graph is a (B, B) tensor without gradient, symmetric, 1 on the diagonal; the target temperature says how sharply it
is read.
"""

import math

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.contrast import at_least_float32, full_precision, unit

MISSING_LABEL = -1


@torch.no_grad()
def label_similarity(labels: Tensor) -> Tensor:
    """1 for videos of the same label, 0 for others: with it, X-Sample is close to supervised contrastive learning.

    Args:
        labels: (B,), integers. A video with the missing label -1 is like itself only.

    Returns:
        Tensor of shape (B, B), float32.

    Raises:
        UsageError: Wrong shape.
    """
    _check_column("labels", labels)
    same = (labels[:, None] == labels) & (labels != MISSING_LABEL)
    return same.float().fill_diagonal_(1.0)


@torch.no_grad()
def embedding_similarity(embeddings: Tensor) -> Tensor:
    """Cosines of embeddings from elsewhere, of captions for instance, -1 to 1: the paper's graph (arXiv:2407.18134).

    Args:
        embeddings: (B, E), any scale. A vector of zeros (nothing known) is like itself only.

    Returns:
        Tensor of shape (B, B), float32 or float64.

    Raises:
        UsageError: Wrong shape.
    """
    if embeddings.ndim != 2:
        raise UsageError(f"expected embeddings of shape (B, E), got {tuple(embeddings.shape)}.")
    with full_precision(embeddings.device):
        points = unit(embeddings)
        return (points @ points.T).fill_diagonal_(1.0)


@torch.no_grad()
def time_similarity(videos: Tensor, seconds: Tensor, *, scale: float) -> Tensor:
    """`exp(-|seconds[i] - seconds[j]| / scale)` for clips of the same video, 0 for clips of different ones.

    Args:
        videos: (B,), integers: which video each clip is from.
        seconds: (B,): where in it the clip is.
        scale: Seconds after which the similarity has fallen to 1/e, > 0.

    Returns:
        Tensor of shape (B, B), float32 or float64, 0 to 1.

    Raises:
        UsageError: Wrong shapes or scale.
    """
    _check_column("videos", videos)
    _check_column("seconds", seconds)
    if len(videos) != len(seconds) or not 0 < scale < math.inf:
        raise UsageError(
            f"expected one time for every clip and scale > 0 seconds, got {len(videos)} videos, {len(seconds)} times "
            f"and scale {scale}."
        )
    times = at_least_float32(seconds)
    closeness = torch.exp(-(times[:, None] - times).abs() / scale)
    return closeness * (videos[:, None] == videos)


def _check_column(name: str, values: Tensor) -> None:
    if values.ndim != 1:
        raise UsageError(f"expected {name} of shape (B,), got {tuple(values.shape)}.")
