"""Branch coverage: what share of the futures that can happen the samples show."""

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.landing import check_probabilities, landing_counts, lands_on


def branch_coverage(
    samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
) -> Tensor:
    """Share of the true branches of each context that at least one sample lands on (see `lands_on`).

    Args:
        samples: (B, K, D).
        branches: (B, M, D).
        decoys: (B, J, D) or None.
        probabilities: (B, M) or None; a branch of probability zero need not be covered. Otherwise unused: a rare
            branch counts as much as a frequent one.

    Returns:
        (B,) in [0, 1].
    """
    possible = check_probabilities(branches, probabilities) > 0
    hit = landing_counts(lands_on(samples, branches, decoys, probabilities), branches.shape[1]) > 0
    return (hit & possible).sum(dim=1).float() / possible.sum(dim=1)


class BranchCoverage(Metric):
    """Mean over contexts of |{m : some sample lands on branch m}| / M; higher is better, range [0, 1].

    The recall of a generative model (Sajjadi et al., arXiv:1806.00035) where the true modes are known. K exact draws
    from the truth reach `mean_m 1 - (1 - p_m)^K` (`oracles.expected_coverage`), not 1. Noise can buy coverage, so
    read it with the precision and beside tuned noise.
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
        self.total += branch_coverage(samples, branches, decoys, probabilities).double().sum()
        self.count += len(samples)

    def compute(self) -> Tensor:
        """The mean coverage, ()."""
        return (self.total / self.count).float()
