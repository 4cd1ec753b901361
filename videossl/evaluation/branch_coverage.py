"""Branch coverage: what share of the futures that can happen the samples show."""

from torch import Tensor

from videossl.evaluation.landing import check_probabilities, landing_counts, lands_on
from videossl.evaluation.mean_over_contexts import MeanOverContexts


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


class BranchCoverage(MeanOverContexts):
    """Mean over contexts of |{m : some sample lands on branch m}| / M; higher is better, range [0, 1].

    The recall of a generative model (Sajjadi et al., arXiv:1806.00035) where the true modes are known. K exact draws
    from the truth reach `mean_m 1 - (1 - p_m)^K` (`oracles.expected_coverage`), not 1. Noise can buy coverage, so
    read it with the precision and beside tuned noise.
    """

    higher_is_better = True

    def update(
        self, samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
    ) -> None:
        """Add contexts: samples (B, K, D), branches (B, M, D), decoys (B, J, D), probabilities (B, M)."""
        self._add(branch_coverage(samples, branches, decoys, probabilities))
