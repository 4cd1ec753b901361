"""Monotone rational-quadratic splines: invertible maps of a coordinate whose inverse and slope are known exactly.

Source: Neural Spline Flows, arXiv:1906.04032, section 3.1 and appendix A. Within [-bound, bound] the map is a quotient
of quadratic polynomials in each of K bins, with continuous slopes; outside it is the identity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_BIN = 1e-3  # of the whole width or height
SMALLEST_SLOPE = 1e-3


def rational_quadratic_spline(
    values: Tensor, parameters: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Map values by a spline of their own each.

    Args:
        values: (...), any.
        parameters: (..., 3K - 1), any: widths and heights of the K bins, before a softmax, and slopes at the K - 1
            inner knots, before a softplus. All zero: the identity.
        bound: Half the side of the square in which the map is not the identity.
        inverse: Map back.

    Returns:
        Mapped values (...), and the log of the slope of the map that was taken (...).
    """
    num_bins = (parameters.shape[-1] + 1) // 3
    widths, heights, slopes = torch.split(parameters, [num_bins, num_bins, num_bins - 1], dim=-1)
    x, y = _knots(widths, bound), _knots(heights, bound)  # (..., K + 1)
    at_zero = math.log(math.expm1(1 - SMALLEST_SLOPE))  # so that a parameter of zero is a slope of one
    slopes = F.pad(SMALLEST_SLOPE + F.softplus(slopes + at_zero), (1, 1), value=1.0)

    inside = (values > -bound) & (values < bound)
    within = values.clamp(-bound, bound)
    edges = y if inverse else x
    bins = ((within[..., None] >= edges[..., :-1]).sum(-1, keepdim=True) - 1).clamp(min=0)
    x_low, x_high, y_low, y_high, left, right = (
        part.gather(-1, bins).squeeze(-1)
        for part in (x[..., :-1], x[..., 1:], y[..., :-1], y[..., 1:], slopes[..., :-1], slopes[..., 1:])
    )
    width, height = x_high - x_low, y_high - y_low
    slope, bend = height / width, left + right - 2 * height / width

    if inverse:
        rest = within - y_low
        a = height * (slope - left) + rest * bend
        b = height * left - rest * bend
        c = -slope * rest
        # The root of a t^2 + b t + c in [0, 1], in the form that does not cancel.
        t = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
        mapped = x_low + t * width
    else:
        t = (within - x_low) / width
        mapped = y_low + height * (slope * t.square() + left * t * (1 - t)) / (slope + bend * t * (1 - t))
    grown = slope.square() * (right * t.square() + 2 * slope * t * (1 - t) + left * (1 - t).square())
    log_slope = torch.log(grown) - 2 * torch.log(slope + bend * t * (1 - t))
    log_slope = -log_slope if inverse else log_slope
    return torch.where(inside, mapped, values), torch.where(inside, log_slope, torch.zeros_like(log_slope))


def _knots(sizes: Tensor, bound: float) -> Tensor:
    """Sizes of K bins before a softmax (..., K) -> K + 1 places from -bound to bound."""
    num_bins = sizes.shape[-1]
    shares = SMALLEST_BIN + (1 - SMALLEST_BIN * num_bins) * torch.softmax(sizes, dim=-1)
    inner = 2 * bound * torch.cumsum(shares, dim=-1)[..., :-1] - bound
    ends = torch.full_like(inner[..., :1], bound)
    return torch.cat([-ends, inner, ends], dim=-1)
