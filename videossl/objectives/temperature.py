"""The temperature of contrastive logits: a number, or learned, one for all dimensions or one for each."""

import math
from numbers import Real

import torch
from torch import Tensor, nn

from videossl.errors import UsageError


class LearnedTemperature(nn.Module):
    """`tau = lowest + exp(theta)`, learned; never at or below `lowest`, and its gradient never dies.

    With `num_dimensions` every embedding dimension has its own: the logit is `sum_d a_d b_d / tau_d`, a similarity
    with learned dimension weights `1 / tau_d` (all equal at the start).

    Args:
        start: Temperature at the start, > lowest.
        lowest: Limit, > 0. 0.01 is CLIP's (arXiv:2103.00020).
        num_dimensions: D for one temperature a dimension; None for one in all.
    """

    def __init__(self, start: float = 0.1, lowest: float = 0.01, num_dimensions: int | None = None) -> None:
        super().__init__()
        if not 0 < lowest < start < math.inf or (num_dimensions is not None and num_dimensions < 1):
            raise UsageError(
                f"expected 0 < lowest < start and num_dimensions >= 1, got lowest={lowest}, start={start}, "
                f"num_dimensions={num_dimensions}."
            )
        self.start = start
        self.lowest = lowest
        shape = () if num_dimensions is None else (num_dimensions,)
        self.theta = nn.Parameter(torch.full(shape, math.log(start - lowest)))

    def forward(self) -> Tensor:
        """The temperature now: (), or (D,)."""
        return self.lowest + self.theta.exp()

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"start={self.start}, lowest={self.lowest}, shape={tuple(self.theta.shape)}"


Temperature = float | Tensor | LearnedTemperature
"""tau > 0: a number, a tensor () or (D,) (learned outside), or a module that learns it."""


def value_of(temperature: Temperature) -> float | Tensor:
    """The number or tensor that a temperature is at this step."""
    return temperature() if isinstance(temperature, LearnedTemperature) else temperature


def _is_positive(value: object) -> bool:
    return isinstance(value, Real) and 0 < float(value) < math.inf


def check_temperature(temperature: Temperature) -> None:
    """A number must be positive; a tensor (a learned temperature) is not looked at, which would stop the device.

    Raises:
        UsageError: It is not.
    """
    if isinstance(temperature, LearnedTemperature):
        return
    if isinstance(temperature, Tensor):
        if temperature.ndim > 1:
            raise UsageError(f"expected a temperature of shape () or (D,), got {tuple(temperature.shape)}.")
    elif not _is_positive(temperature):
        raise UsageError(f"expected a temperature > 0, got {temperature}. Common values are 0.05 to 0.5.")
