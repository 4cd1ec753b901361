"""The pieces that contrastive objectives share: normalisation, aligned logits, energy of the negatives.

Everything is computed in float32 at least (float64 stays float64) with autocast off: at temperature 0.01 a logit in
bf16 is off by 0.4. The positive is never inside the log-sum-exp that is subtracted from it: two log-sum-exps that
share their largest term cancel at small temperatures, `softplus(negatives - aligned)` does not.
Call backward() outside of autocast, as torch asks: what torch differentiates itself (networks, plain products) would
run in bf16 there. Norms may be anything from 1e-12 to 1e19, beyond which their squares overflow in float32.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.temperature import LearnedTemperature, Temperature, value_of
from videossl.transition.precision import at_least_float32 as at_least_float32  # for the objectives, beside the rest
from videossl.transition.precision import full_precision as full_precision

SMALLEST_NORM = 1e-12


class _OverNorm(torch.autograd.Function):
    """x / (divisor * max(||x||, 1e-12)), with half the passes over memory that autograd would take.

    Predictions of all pairs of many views are large beside all else here.
    """

    @staticmethod
    def forward(points: Tensor, divisor: float) -> Tensor:
        return points * _scale(points, divisor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        points, ctx.divisor = inputs
        ctx.save_for_backward(points, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        points, result = ctx.saved_tensors
        scale = _scale(points, ctx.divisor)
        if torch.is_grad_enabled():  # somebody wants the second derivative
            slope = (gradient * points).sum(-1, keepdim=True) * (scale * ctx.divisor).square()
            slope = slope.masked_fill(scale * ctx.divisor * SMALLEST_NORM >= 1, 0.0)
            return (gradient - points * slope) * scale, None
        norms = (scale * ctx.divisor).reciprocal()
        along = (gradient * result).sum(-1, keepdim=True) * ctx.divisor**2
        along = along.masked_fill(norms <= SMALLEST_NORM, 0.0)  # there the divisor is a constant
        return torch.addcmul(gradient, result, along, value=-1).mul_(scale), None


def _scale(points: Tensor, divisor: float) -> Tensor:
    norms = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    return (norms.clamp_min(SMALLEST_NORM) * divisor).reciprocal()


def unit(embeddings: Tensor) -> Tensor:
    """x / max(||x||, 1e-12) over the last axis, in float32 at least."""
    return _over_norm(embeddings, 1.0)


def scaled(embeddings: Tensor, temperature: Temperature) -> Tensor:
    """Embeddings of unit norm over sqrt(tau), so that inner products of two of them are logits.

    Args:
        embeddings: (..., D), raw.
        temperature: tau > 0; one of shape (D,) weighs the dimensions by 1 / tau_d.

    Returns:
        Tensor of shape (..., D), in float32 at least.
    """
    tau = value_of(temperature)
    if isinstance(tau, Tensor):
        if tau.ndim == 1 and tau.shape[0] != embeddings.shape[-1]:
            raise UsageError(
                f"expected one temperature for each of {embeddings.shape[-1]} dimensions, got {tau.shape[0]}. "
                f"Set num_dimensions."
            )
        points = unit(embeddings)
        return points / tau.to(points.dtype).sqrt()
    return _over_norm(embeddings, tau**0.5)


def _over_norm(embeddings: Tensor, divisor: float) -> Tensor:
    result: Tensor = _OverNorm.apply(at_least_float32(embeddings), divisor)  # type: ignore[no-untyped-call]
    return result


def logit_bound(temperature: Temperature) -> float | None:
    """Upper limit of the logits of `scaled` embeddings, 1 / tau; None where it is not known without a look."""
    return None if isinstance(temperature, Tensor | LearnedTemperature) else 1 / temperature


def aligned_logits(anchors: Tensor, targets: Tensor) -> Tensor:
    """Logits of the positives: (..., B, D), (..., B, D), both `scaled` -> (..., B)."""
    return (anchors * targets).sum(-1)


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
