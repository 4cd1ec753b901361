"""Spread-skill ratio: are the samples as far apart as the forecast is wrong?"""

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.shapes import check_beside, check_samples, unit


def spread_and_skill(samples: Tensor, futures: Tensor) -> tuple[Tensor, Tensor]:
    """Squared spread of the samples and squared error of their mean, for each context.

    `spread^2 = (K + 1)/K * 1/(K - 1) sum_k || x_k - mean ||^2`, `skill^2 = || mean - y ||^2`; equal in expectation
    when y is drawn from the same distribution as the samples.

    Args:
        samples: (B, K, D) sampled futures, K >= 2; L2-normalised here, any scale.
        futures: (B, D) the observed ones.

    Returns:
        Two tensors (B,).
    """
    check_samples(samples)
    check_beside(samples, "futures", futures, "B D")
    num_samples = samples.shape[1]
    if num_samples < 2:
        raise ValueError(f"expected at least 2 samples of each context to see their spread, got {num_samples}.")
    points = unit(samples)
    mean = points.mean(dim=1, keepdim=True)
    spread = (points - mean).square().sum(dim=(1, 2)) / (num_samples - 1) * (num_samples + 1) / num_samples
    skill = (mean[:, 0] - unit(futures)).square().sum(dim=1)
    return spread, skill


class SpreadSkill(Metric):
    """`sqrt(mean spread^2) / sqrt(mean skill^2)` over contexts; 1 is right, below: too sure, above: too unsure.

    Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1. Necessary, not sufficient: a wrong forecast can have it right.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    spread: Tensor
    skill: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("spread", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("skill", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, samples: Tensor, futures: Tensor) -> None:
        """Add contexts: samples (B, K, D) with K >= 2, futures (B, D)."""
        spread, skill = spread_and_skill(samples, futures)
        self.spread += spread.double().sum()
        self.skill += skill.double().sum()

    def compute(self) -> Tensor:
        """The ratio, ()."""
        return (self.spread / self.skill).sqrt().float()
