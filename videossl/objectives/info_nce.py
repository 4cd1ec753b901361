"""InfoNCE on one pair of views: tell an anchor's positive from the rest of the batch (arXiv:1807.03748)."""

from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.contrast import (
    aligned_logits,
    check_batch,
    full_precision,
    log_negatives,
    softplus,
    unit,
)
from videossl.objectives.temperature import check_temperature


def info_nce(anchors: Tensor, positives: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Cross-entropy of picking each anchor's positive among the batch, in nats.

    `mean_i -log( exp(a_i.b_i / tau) / sum_j exp(a_i.b_j / tau) )`: one direction (rows of `anchors` choose), the
    positive is inside the denominator, so the value is >= 0. Chance level is log(B).

    Args:
        anchors: (B, D), B >= 2. L2-normalised here, so any scale.
        positives: (B, D). Row i is the positive of anchor i; all other rows are its negatives.
        temperature: > 0.

    Returns:
        Tensor of shape (), float32 or float64, mean over the batch.

    Raises:
        UsageError: Wrong shapes, fewer than two videos, or a temperature that is not positive.
    """
    if anchors.ndim != 2 or anchors.shape != positives.shape:
        raise UsageError(
            f"expected anchors and positives of the same shape (B, D), got {tuple(anchors.shape)} and "
            f"{tuple(positives.shape)}. For more than two views use mv_infonce."
        )
    check_batch(len(anchors))
    check_temperature(temperature)
    with full_precision(anchors.device):
        a, b = unit(anchors), unit(positives)
        negatives = log_negatives(a[None], b[None], temperature)[0]  # (B,)
        return softplus(negatives - aligned_logits(a, b, temperature)).mean()
