"""Branch calibration: does each possible future come up as often as it should?"""

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.landing import check_probabilities, landing_counts, lands_on


def branch_frequencies(
    samples: Tensor, branches: Tensor, decoys: Tensor | None = None, probabilities: Tensor | None = None
) -> Tensor:
    """How often the samples of each context take each branch.

    Without decoys every sample counts for its nearest true branch, so that the frequencies say how samples are
    shared out, whatever their precision. With decoys, those that land on one are left out.

    Args:
        samples: (B, K, D).
        branches: (B, M, D).
        decoys: (B, J, D) or None.
        probabilities: (B, M) or None; a branch of probability zero is none: without decoys it is left out, with decoys
            it counts as one.

    Returns:
        (B, M); each row sums to one, or to zero where no sample landed on any branch.
    """
    if decoys is None and probabilities is not None:
        # In the place of a branch that is none stands a copy of the likeliest one, and counts for it.
        possible = check_probabilities(branches, probabilities) > 0  # (B, M)
        likeliest = probabilities.argmax(dim=1, keepdim=True)  # (B, 1)
        copies = branches.gather(1, likeliest[..., None].expand(-1, -1, branches.shape[2]))
        landings = lands_on(samples, torch.where(possible[..., None], branches, copies))
        landings = torch.where(possible.gather(1, landings), landings, likeliest)
    else:
        landings = lands_on(samples, branches, decoys, probabilities)
    counts = landing_counts(landings, branches.shape[1])  # (B, M)
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


def total_variation(frequencies: Tensor, probabilities: Tensor) -> Tensor:
    """Total variation `1/2 sum_m | f_m - p_m |` of (..., M) and (..., M); one where all frequencies are zero."""
    distance = (frequencies - probabilities).abs().sum(dim=-1) / 2
    return torch.where(frequencies.sum(dim=-1) > 0, distance, torch.ones_like(distance))


class BranchCalibration(Metric):
    """Total variation between sampled and true branch frequencies; lower is better, range [0, 1].

    `1/2 sum_m | f_m - p_m |` with f from `branch_frequencies`. Per context (the default) a model that picks one
    branch for each context is found out; K exact draws from the truth do not reach 0 there but
    `oracles.expected_total_variation`. Pooled, the frequencies are first averaged over contexts: this finds a
    branch that is over- or under-sampled everywhere, and nothing else.

    Args:
        num_branches: M.
        pooled: Average the frequencies over contexts before comparing.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    sampled: Tensor
    true: Tensor
    count: Tensor

    def __init__(self, num_branches: int, *, pooled: bool = False) -> None:
        super().__init__()
        self.num_branches = num_branches
        self.pooled = pooled
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sampled", torch.zeros(num_branches, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("true", torch.zeros(num_branches, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self, samples: Tensor, branches: Tensor, probabilities: Tensor | None = None, decoys: Tensor | None = None
    ) -> None:
        """Add contexts: samples (B, K, D), branches (B, M, D), probabilities (B, M), decoys (B, J, D)."""
        if branches.ndim == 3 and branches.shape[1] != self.num_branches:
            raise ValueError(f"expected {self.num_branches} branches of each context, got {branches.shape[1]}.")
        probabilities = check_probabilities(branches, probabilities)
        frequencies = branch_frequencies(samples, branches, decoys, probabilities)
        self.total += total_variation(frequencies, probabilities).double().sum()
        self.sampled += frequencies.double().sum(dim=0)
        self.true += probabilities.double().sum(dim=0)
        self.count += len(samples)

    def compute(self) -> Tensor:
        """The total variation, ()."""
        if not self.pooled:
            return (self.total / self.count).float()
        landed = self.sampled.sum().clamp_min(torch.finfo(torch.float64).tiny)
        return total_variation(self.sampled / landed, self.true / self.count).float()
