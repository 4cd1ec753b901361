"""Intervals by resampling: how far a mean over contexts would move with other held-out videos."""

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_RESAMPLES = 1000
FEWEST_VIDEOS = 5
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % bootstrap interval (percentile method, Efron and Tibshirani 1993, chapter 13)."""

    value: float
    low: float
    high: float

    def json(self) -> dict[str, float]:
        """As written to `metrics.json`."""
        return {"value": self.value, "low": self.low, "high": self.high}


class Bootstrap:
    """Draw whole videos with replacement, the same ones for every metric, so that ratios keep their pairs.

    Contexts of one video are alike, so videos are drawn, not contexts; with fewer than 5 videos contexts are drawn.

    Args:
        videos: (n,) int64, the video of each context.
        seed: Of the draws.
    """

    def __init__(self, videos: Tensor, *, seed: int) -> None:
        distinct, group = torch.unique(videos, return_inverse=True)
        self.by_video = len(distinct) >= FEWEST_VIDEOS
        if not self.by_video:
            group = torch.arange(len(videos))
        num_groups = int(group.max()) + 1
        generator = torch.Generator().manual_seed(seed)
        draws = torch.randint(num_groups, (NUM_RESAMPLES, num_groups), generator=generator)
        counts = torch.zeros(NUM_RESAMPLES, num_groups, dtype=torch.float64)
        counts.scatter_add_(1, draws, torch.ones_like(counts))
        self.weights = counts[:, group]  # (resamples, n): how often each context was drawn

    def mean(self, values: Tensor) -> Interval:
        """Interval of the mean of (n,) values."""
        return self.ratio(values, torch.ones_like(values))

    def ratio(self, above: Tensor, below: Tensor) -> Interval:
        """Interval of mean(above) / mean(below), both (n,)."""
        above, below = above.double(), below.double()
        resampled = (self.weights @ above) / (self.weights @ below)
        low, high = resampled.quantile(torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)).tolist()
        return Interval(float(above.sum() / below.sum()), low, high)

    def total_variation(self, frequencies: Tensor, probabilities: Tensor) -> Interval:
        """Interval of the total variation between the means of (n, M) frequencies and of (n, M) probabilities."""
        gaps = (frequencies - probabilities).double()
        resampled = (self.weights @ gaps / self.weights.sum(dim=1, keepdim=True)).abs().sum(dim=1) / 2
        low, high = resampled.quantile(torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)).tolist()
        return Interval(float(gaps.mean(dim=0).abs().sum() / 2), low, high)

    def root_ratio(self, above: Tensor, below: Tensor) -> Interval:
        """Interval of sqrt(mean(above) / mean(below)), both (n,) and not negative."""
        squared = self.ratio(above, below)
        return Interval(squared.value**0.5, squared.low**0.5, squared.high**0.5)
