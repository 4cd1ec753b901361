"""Branch accuracy: does a sample that was told a future take that very one?"""

import torch
from torch import Tensor

from videossl.evaluation.landing import lands_on
from videossl.evaluation.mean_over_contexts import MeanOverContexts


def branch_accuracy(samples: Tensor, told: Tensor, branches: Tensor, decoys: Tensor | None = None) -> Tensor:
    """Share of the samples of each context that land on the branch that they were told (see `lands_on`).

    Args:
        samples: (B, K, D) predicted futures, each made with knowledge of one branch.
        told: (B, K) int64 in [0, M), the branch that each was told.
        branches: (B, M, D) all candidates that may be told, those of probability zero too.
        decoys: (B, J, D) or None.

    Returns:
        (B,) in [0, 1].

    Raises:
        ValueError: `told` does not fit the samples, or names no branch.
    """
    if told.shape != samples.shape[:2]:
        raise ValueError(
            f"expected the told branches (B, K) = {tuple(samples.shape[:2])} beside samples, got {tuple(told.shape)}."
        )
    landings = lands_on(samples, branches, decoys)
    if not ((told >= 0) & (told < branches.shape[1])).all():  # -1 would be hit by whatever lands nowhere
        raise ValueError(
            f"expected told branches from 0 to {branches.shape[1] - 1}, got {told.min()} to {told.max()}. "
            "Count the branches of each context from 0."
        )
    return torch.eq(landings, told).float().mean(dim=1)


class BranchAccuracy(MeanOverContexts):
    """Mean over contexts of the share of samples that land on the branch they were told; higher is better, in [0, 1].

    With r inferred from branch m of the same context it says how much of the branch the latent carries through the
    transition: what blurs here blurs in every sample of the prior too. With r inferred in another context it is the
    steering rate. Landing anywhere alike reaches 1 / (M + J); a perfect latent reaches 1.
    """

    higher_is_better = True

    def update(self, samples: Tensor, told: Tensor, branches: Tensor, decoys: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, D), told (B, K), branches (B, M, D), decoys (B, J, D)."""
        self._add(branch_accuracy(samples, told, branches, decoys))
