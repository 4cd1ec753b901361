"""What every metric asks of the embeddings it is given, and the distance all of them use."""

import torch
import torch.nn.functional as F
from torch import Tensor

from videossl.models.checks import described
from videossl.transition.precision import at_least_float32


def unit(embeddings: Tensor) -> Tensor:
    """L2-normalise the last axis, in float32 or better; a vector of zeros stays zero."""
    return F.normalize(at_least_float32(embeddings), dim=-1)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances between unit vectors, in [0, 2]: sqrt(2 - 2 cos).

    Args:
        a: Tensor of shape (..., I, D), L2-normalised.
        b: Tensor of shape (..., J, D), L2-normalised.

    Returns:
        Tensor of shape (..., I, J).
    """
    # The faster matrix-product form has an error of 1e-3 where the distance is zero, and copies must be at zero.
    return torch.cdist(*_of_one_type(a, b), compute_mode="donot_use_mm_for_euclid_dist")


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosines between unit vectors (..., I, D) and (..., J, D): (..., I, J)."""
    a, b = _of_one_type(a, b)
    return a @ b.transpose(-1, -2)


def _of_one_type(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider of their types, which changes no value."""
    wider = torch.promote_types(a.dtype, b.dtype)
    return a.to(wider), b.to(wider)


def check_finite(name: str, values: Tensor, error: type[Exception] = ValueError) -> None:
    """Refuse NaN and infinity: a comparison with NaN is false, so ranks and counts of them would look like scores."""
    # Least and greatest are NaN where a value is, and need no room, as `isfinite` does.
    if not values.numel() or all(bool(extreme.isfinite()) for extreme in values.aminmax()):
        return
    num_broken = int((~torch.isfinite(values)).sum())
    raise error(
        f"expected finite {name}, got {num_broken} of {values.numel()} values that are NaN or infinite. "
        "A model that gives such has diverged: take an earlier checkpoint, or train at a lower learning rate."
    )


def check_sums_to_one(name: str, probabilities: Tensor) -> None:
    """Refuse what are no probabilities: (B, M) whose rows do not sum to one, or with values below zero."""
    if probabilities.shape[1] == 0:
        raise ValueError(f"expected {name} of at least one future of each context, got {tuple(probabilities.shape)}.")
    sums = at_least_float32(probabilities).sum(dim=1)
    tolerance = 1e-4 if probabilities.dtype in (torch.float32, torch.float64) else 1e-2  # of half precision
    if not ((probabilities >= 0).all() and ((sums - 1).abs() <= tolerance).all()):  # so that NaN is refused, too
        raise ValueError(
            f"expected {name} >= 0 that sum to 1 for every context, got sums from {sums.min():.4f} to "
            f"{sums.max():.4f} and values from {probabilities.min():.4f}. Divide them by their sum."
        )


def check_tensor(name: str, values: object) -> None:
    """Refuse what is no tensor: arrays of numpy lack what is asked of one."""
    if not isinstance(values, Tensor):
        raise ValueError(f"expected {name} in a torch.Tensor, got {described(values)}. Give torch.as_tensor of it.")


def check_samples(samples: Tensor) -> None:
    """Refuse anything but finite (B, K, D) samples with K >= 1."""
    check_tensor("samples", samples)
    if samples.ndim != 3 or samples.shape[1] < 1:
        raise ValueError(
            f"expected samples of shape (B, K, D) with K >= 1 sampled futures, got {tuple(samples.shape)}. "
            "Add the axis K for a model with one answer: samples[:, None]."
        )
    check_finite("samples", samples)


def check_beside(samples: Tensor, name: str, other: Tensor, axes: str) -> None:
    """Refuse a tensor that is not finite, or whose axes (say "B M D") do not fit beside samples (B, K, D)."""
    check_tensor(name, other)
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
    check_finite(name, other)


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
    futures = at_least_float32(futures)
    if weights is None:
        weights = futures.new_full(futures.shape[:2], 1 / futures.shape[1])
    if weights.shape != futures.shape[:2]:
        raise ValueError(
            f"expected weights of shape {tuple(futures.shape[:2])} = (B, M), one for each future, "
            f"got {tuple(weights.shape)}. Leave them out if every future is equally likely."
        )
    check_sums_to_one("weights", weights)
    return futures, weights.to(futures.dtype)
