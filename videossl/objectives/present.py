"""Means over what is present, where some videos lack some views; nothing here looks at how much that is."""

from torch import Tensor

# Stands for the log of zero: far below any logit, and unlike -inf it makes no NaN of a gradient.
NEVER = -1e6


def mean_present(values: Tensor, present: Tensor | None) -> Tensor:
    """Mean of the values that are present, (); `present` is bool and of their shape, or None for all."""
    if present is None:
        return values.mean()
    return values.masked_fill(~present, 0.0).sum() / present.sum().clamp_min(1)


def mean_along(dim: int, values: Tensor, present: Tensor | None) -> Tensor:
    """Mean along one axis of the values that are present; 0 where none is."""
    if present is None:
        return values.mean(dim)
    return values.masked_fill(~present, 0.0).sum(dim) / present.sum(dim).clamp_min(1)
