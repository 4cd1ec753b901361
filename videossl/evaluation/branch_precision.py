"""Branch precision: what share of the samples are futures that can happen."""

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.landing import NOWHERE, lands_on


def branch_precision(
    samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
) -> Tensor:
    """Share of the samples of each context that land on one of its true branches, not on a decoy (see `lands_on`).

    Args:
        samples: (B, K, D).
        branches: (B, M, D).
        decoys: (B, J, D) or None; without decoys every sample lands on a branch, and the precision says nothing.
        probabilities: (B, M) or None; a branch of probability zero counts as a decoy.

    Returns:
        (B,) in [0, 1].
    """
    return (lands_on(samples, branches, decoys, probabilities) != NOWHERE).float().mean(dim=1)


class BranchPrecision(Metric):
    """Mean over contexts of the share of samples that land on a true branch; higher is better, range [0, 1].

    The precision of a generative model (Sajjadi et al., arXiv:1806.00035) where the true modes are known. Samples
    that land anywhere alike reach M / (M + J); exact draws from the truth reach 1. A single safe answer can be
    precise, so read it with the coverage.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self, samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
    ) -> None:
        """Add contexts: samples (B, K, D), branches (B, M, D), decoys (B, J, D), probabilities (B, M)."""
        self.total += branch_precision(samples, branches, decoys, probabilities).double().sum()
        self.count += len(samples)

    def compute(self) -> Tensor:
        """The mean precision, ()."""
        return (self.total / self.count).float()
