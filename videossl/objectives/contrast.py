"""The pieces that contrastive objectives share: normalisation, aligned logits, energy of the negatives.

Everything is computed in float32 at least (float64 stays float64) with autocast off: at temperature 0.01 a logit in
bf16 is off by 0.4. The positive is never inside the log-sum-exp that is subtracted from it: two log-sum-exps that
share their largest term cancel at small temperatures, `softplus(negatives - aligned)` does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.temperature import Temperature, value_of


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Autocast off for this device."""
    with torch.autocast(device_type=device.type, enabled=False):
        yield


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32, or in float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def unit(embeddings: Tensor) -> Tensor:
    """x / max(||x||, 1e-12) over the last axis, in float32 at least."""
    return F.normalize(at_least_float32(embeddings), dim=-1, eps=1e-12)


def scaled(embeddings: Tensor, temperature: Temperature) -> Tensor:
    """Embeddings of unit norm over sqrt(tau), so that inner products of two of them are logits.

    Args:
        embeddings: (..., D), raw.
        temperature: tau > 0; one of shape (D,) weighs the dimensions by 1 / tau_d.

    Returns:
        Tensor of shape (..., D), in float32 at least.
    """
    points = unit(embeddings)
    tau = value_of(temperature)
    return points / (tau.to(points.dtype).sqrt() if isinstance(tau, Tensor) else tau**0.5)


def logit_bound(temperature: Temperature) -> float | None:
    """Upper limit of the logits of `scaled` embeddings, 1 / tau; None where it is not known without a look."""
    return 1 / temperature if isinstance(temperature, int | float) else None


def aligned_logits(anchors: Tensor, targets: Tensor, temperature: float | Tensor) -> Tensor:
    """Logits of the positives: (..., B, D), (..., B, D) of unit norm -> (..., B)."""
    return (anchors * targets).sum(-1) / temperature


def log_negatives(anchors: Tensor, others: Tensor, temperature: float | Tensor) -> Tensor:
    """log sum_{j != i} exp(anchors[i] . others[j] / temperature), in nats.

    Args:
        anchors: (P, B, D) of unit norm, B >= 2.
        others: (P, B, D) of unit norm.
        temperature: > 0.

    Returns:
        Tensor of shape (P, B).
    """
    logits = torch.bmm(anchors / temperature, others.mT)  # (P, B, B)
    own = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    return torch.logsumexp(logits.masked_fill_(own, -torch.inf), dim=-1)


def softplus(values: Tensor) -> Tensor:
    """log(1 + exp(values)), exact to the last digits of float64.

    torch's own becomes the identity above 20, which is off by 2e-9 in value and slope:
    too much for float64.
    """
    return F.softplus(values, threshold=40.0)


def check_batch(num_videos: int) -> None:
    """A contrastive objective needs negatives.

    Raises:
        UsageError: Fewer than two videos.
    """
    if num_videos < 2:
        raise UsageError(
            f"expected at least 2 videos in a batch, so that there are negatives, got {num_videos}. "
            f"Raise the batch size or drop the incomplete last batch."
        )
