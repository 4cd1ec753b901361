"""Rank histogram: is what happened an ordinary member of the cloud of samples, or an outsider?"""

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.shapes import check_beside, check_samples, distances, unit


def observation_rank(samples: Tensor, futures: Tensor) -> Tensor:
    """Where the observed future ranks among the K samples by its mean distance to all others of the K + 1 points.

    The pre-rank is the mean distance to the other K points. It treats all points alike, so the rank is uniform
    whenever the observation is drawn from the same distribution as the samples.

    Args:
        samples: (B, K, D) sampled futures; L2-normalised here, any scale.
        futures: (B, D) the observed ones.

    Returns:
        (B, K + 1): the share of the observation in each rank, most central first; one in a single column, or spread
        evenly over the ranks of a tie.
    """
    check_samples(samples)
    check_beside(samples, "futures", futures, "B D")
    points = torch.cat([unit(futures)[:, None], unit(samples)], dim=1)  # (B, K + 1, D), the observation first
    outlyingness = distances(points, points).sum(dim=2)  # (B, K + 1)
    own, others = outlyingness[:, :1], outlyingness[:, 1:]
    # Sums of the same distances in another order differ in the last digits; K copies must still tie.
    tolerance = 1e-6 * own.clamp_min(1e-6)
    lowest = (others < own - tolerance).sum(dim=1, keepdim=True)
    highest = (others <= own + tolerance).sum(dim=1, keepdim=True)
    ranks = torch.arange(points.shape[1], device=points.device)
    within = ((ranks >= lowest) & (ranks <= highest)).to(own.dtype)
    return within / within.sum(dim=1, keepdim=True)


class RankHistogram(Metric):
    """Frequencies of the ranks of what happened among K samples, (K + 1,); flat is right.

    The multivariate rank histogram (Gneiting et al. 2008, doi:10.1007/s11749-008-0114-x) with the pre-rank of the
    energy score (Allen et al., arXiv:2307.05846). Weight in the last ranks: what happens lies outside the cloud,
    which is too narrow or misplaced. Weight in the first: the cloud is too wide.

    Args:
        num_samples: K, the number of sampled futures of every context.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    total: Tensor

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        if num_samples < 1:
            raise ValueError(f"expected num_samples >= 1 sampled futures, got {num_samples}.")
        self.num_samples = num_samples
        self.add_state("total", torch.zeros(num_samples + 1, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, samples: Tensor, futures: Tensor) -> None:
        """Add contexts: samples (B, K, D), futures (B, D)."""
        if samples.ndim == 3 and samples.shape[1] != self.num_samples:
            raise ValueError(f"expected {self.num_samples} samples of each context, got {samples.shape[1]}.")
        self.total += observation_rank(samples, futures).double().sum(dim=0)

    def compute(self) -> Tensor:
        """(K + 1,) frequencies that sum to one."""
        return (self.total / self.total.sum()).float()
