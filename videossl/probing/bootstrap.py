"""Intervals by resampling: how far a score would move with other held-out videos."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

NUM_RESAMPLES = 1000
FEWEST_VIDEOS = 5
LEVEL = 0.95
COUNTS_AT_ONCE = 2**23  # of (resamples, groups): 64 MiB


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

    Rows of one video are alike, so videos are drawn, not rows; with fewer than 5 videos rows are drawn.

    Args:
        videos: (n,) int64, the video of each row.
        seed: Of the draws.

    Attributes:
        by_video: Whether videos are drawn.
        num_groups: How many there are of what is drawn.
    """

    def __init__(self, videos: Tensor, *, seed: int) -> None:
        distinct, group = torch.unique(videos, return_inverse=True)
        self.by_video = len(distinct) >= FEWEST_VIDEOS
        self._group = group if self.by_video else torch.arange(len(videos))
        self.num_groups = int(self._group.max()) + 1
        self._seed = seed

    def sums(self, values: Tensor) -> Tensor:
        """(resamples, A) float64: the sum of (n, A) values over the rows of each resample."""
        of_group = torch.zeros(self.num_groups, values.shape[1], dtype=torch.float64)
        of_group.index_add_(0, self._group, values.double())
        generator = torch.Generator().manual_seed(self._seed)
        step = max(1, COUNTS_AT_ONCE // self.num_groups)
        sums = []
        for start in range(0, NUM_RESAMPLES, step):
            shape = (min(step, NUM_RESAMPLES - start), self.num_groups)
            draws = torch.randint(self.num_groups, shape, generator=generator)
            counts = torch.zeros(shape, dtype=torch.float64)
            counts.scatter_add_(1, draws, torch.ones_like(counts))
            sums.append(counts @ of_group)
        return torch.cat(sums)

    def of_sums(self, values: Tensor, statistic: Callable[[Tensor], Tensor]) -> Interval:
        """Interval of a statistic of sums over rows.

        Args:
            values: (n, A).
            statistic: Sums (..., A) -> (...).
        """
        resampled = statistic(self.sums(values))
        low, high = resampled.quantile(torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)).tolist()
        return Interval(float(statistic(values.double().sum(dim=0))), low, high)

    def mean(self, values: Tensor) -> Interval:
        """Interval of the mean of (n,) values."""
        return self.ratio(values, torch.ones_like(values))

    def ratio(self, above: Tensor, below: Tensor) -> Interval:
        """Interval of mean(above) / mean(below), both (n,)."""
        both = torch.stack([above, below], dim=1)
        return self.of_sums(both, lambda sums: sums[..., 0] / sums[..., 1])

    def total_variation(self, frequencies: Tensor, probabilities: Tensor) -> Interval:
        """Interval of the total variation between the means of (n, M) frequencies and of (n, M) probabilities."""
        gaps = torch.cat([(frequencies - probabilities).double(), torch.ones(len(frequencies), 1)], dim=1)
        return self.of_sums(gaps, lambda sums: (sums[..., :-1] / sums[..., -1:]).abs().sum(dim=-1) / 2)

    def root_ratio(self, above: Tensor, below: Tensor) -> Interval:
        """Interval of sqrt(mean(above) / mean(below)), both (n,) and not negative."""
        squared = self.ratio(above, below)
        return Interval(squared.value**0.5, squared.low**0.5, squared.high**0.5)
