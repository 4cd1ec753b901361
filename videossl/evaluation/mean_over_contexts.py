"""What metrics share that are the mean of one number per context."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanOverContexts(Metric):
    """Sum and count over contexts, in float64; summed over processes. Subclasses `_add` one number a context."""

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, values: Tensor) -> None:
        """Values of some contexts, (B,)."""
        self.total += values.double().sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """The mean over all contexts, ()."""
        return (self.total / self.count).float()
