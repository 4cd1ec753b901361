"""Branch precision: what share of the samples are futures that can happen."""

from torch import Tensor

from videossl.evaluation.landing import NOWHERE, lands_on
from videossl.evaluation.mean_over_contexts import MeanOverContexts


def branch_precision(samples: Tensor, branches: Tensor, decoys: Tensor, probabilities: Tensor | None = None) -> Tensor:
    """Share of the samples of each context that land on one of its true branches, not on a decoy (see `lands_on`).

    Args:
        samples: (B, K, D).
        branches: (B, M, D).
        decoys: (B, J, D), J >= 1; without decoys every sample lands on a branch, and the precision says nothing.
        probabilities: (B, M) or None; a branch of probability zero counts as a decoy.

    Returns:
        (B,) in [0, 1].

    Raises:
        ValueError: No decoys.
    """
    # A caller without types may give None: it would get 1 for any samples.
    if decoys is None or decoys.shape[1:2] == (0,):
        raise ValueError(
            "expected at least one decoy of each context, got none: every sample would land on a branch. Give as "
            "decoys (B, J, D) futures that the context cannot have."
        )
    return (lands_on(samples, branches, decoys, probabilities) != NOWHERE).float().mean(dim=1)


class BranchPrecision(MeanOverContexts):
    """Mean over contexts of the share of samples that land on a true branch; higher is better, range [0, 1].

    The precision of a generative model (Sajjadi et al., arXiv:1806.00035) where the true modes are known. Samples
    that land anywhere alike reach M / (M + J); exact draws from the truth reach 1. Without decoys any samples would
    reach 1, so they are required. A single safe answer can be precise, so read it with the coverage.
    """

    higher_is_better = True

    def update(self, samples: Tensor, branches: Tensor, decoys: Tensor, probabilities: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, D), branches (B, M, D), decoys (B, J, D), probabilities (B, M)."""
        self._add(branch_precision(samples, branches, decoys, probabilities))
