"""What every metric asks of the embeddings it is given, and the distance all of them use."""

import torch
import torch.nn.functional as F
from torch import Tensor


def unit(embeddings: Tensor) -> Tensor:
    """L2-normalise the last axis, in float32 or better; a vector of zeros stays zero."""
    return F.normalize(embeddings if embeddings.dtype == torch.float64 else embeddings.float(), dim=-1)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances between unit vectors, in [0, 2]: sqrt(2 - 2 cos).

    Args:
        a: Tensor of shape (..., I, D), L2-normalised.
        b: Tensor of shape (..., J, D), L2-normalised.

    Returns:
        Tensor of shape (..., I, J).
    """
    # The faster matrix-product form has an error of 1e-3 where the distance is zero, and copies must be at zero.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def check_samples(samples: Tensor) -> None:
    """Refuse anything but (B, K, D) samples with K >= 1."""
    if samples.ndim != 3 or samples.shape[1] < 1:
        raise ValueError(
            f"expected samples of shape (B, K, D) with K >= 1 sampled futures, got {tuple(samples.shape)}. "
            "Add the axis K for a model with one answer: samples[:, None]."
        )


def check_beside(samples: Tensor, name: str, other: Tensor, axes: str) -> None:
    """Refuse a tensor whose axes `axes` (for example "B M D") do not fit beside samples (B, K, D)."""
    known = {"B": samples.shape[0], "K": samples.shape[1], "D": samples.shape[2]}
    letters = axes.split()
    fits = other.ndim == len(letters) and all(
        known.get(letter, size) == size for letter, size in zip(letters, other.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(known.get(letter, letter)) for letter in letters)
        raise ValueError(
            f"expected {name} of shape ({wanted}) = ({', '.join(letters)}) beside samples {tuple(samples.shape)}, "
            f"got {tuple(other.shape)}. Embed both with the same model and the same batch."
        )


def weighted_futures(samples: Tensor, futures: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """As `weighted_points`, with the futures L2-normalised."""
    futures, weights = weighted_points(samples, futures, weights)
    return unit(futures), weights


def weighted_points(samples: Tensor, futures: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Bring one observed future, or several with their probabilities, into one form.

    Args:
        samples: (B, K, D), for the shapes.
        futures: (B, D) one future a context, or (B, M, D) all the possible ones.
        weights: (B, M) probabilities that sum to one, or None: every future alike.

    Returns:
        futures (B, M, D), weights (B, M), both in float32 or better.
    """
    check_samples(samples)
    if futures.ndim == 2:
        futures = futures[:, None]
    check_beside(samples, "futures", futures, "B M D")
    futures = futures if futures.dtype == torch.float64 else futures.float()
    if weights is None:
        weights = futures.new_full(futures.shape[:2], 1 / futures.shape[1])
    if weights.shape != futures.shape[:2]:
        raise ValueError(
            f"expected weights of shape {tuple(futures.shape[:2])} = (B, M), one for each future, "
            f"got {tuple(weights.shape)}. Leave them out if every future is equally likely."
        )
    return futures, weights.to(futures.dtype)
