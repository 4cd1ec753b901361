"""From the rows of a table to what a probe is given: points of one vector each, or groups of several."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.probing import Parts
from videossl.tables.table import Rows
from videossl.tables.targets import Target
from videossl.tables.times import mean_tokens


@dataclass(frozen=True, eq=False)
class Samples:
    """What a target is read from.

    Attributes:
        features: (m, E) float32: one vector for each of n samples, m = n; or several, gathered by `group`.
        group: (m,) int64 sample of each vector, from 0 on.
        targets: (n, A) float64 quantities or (n,) int64 classes of the samples.
        videos: (n,) int64 video of each sample.
        parts: Of the samples.
    """

    features: Tensor
    group: Tensor
    targets: Tensor
    videos: Tensor
    parts: Parts

    @property
    def bootstrap_videos(self) -> Tensor:
        """(n_test,) video of each test sample."""
        return self.videos[self.parts.test]


class Sampler:
    """Makes samples of the rows of a table.

    Args:
        rows: Ordered by video and frame.
        part: (n,) "fit", "choose", "test", or "" for rows that take no part; one for all rows of a video.
    """

    def __init__(self, rows: Rows, part: NDArray[np.str_]) -> None:
        self.rows, self.part, self.videos = rows, part, rows.video_numbers
        self._times, self._first, self._time = mean_tokens(rows)

    def points(self, target: Target) -> Samples:
        """One vector a sample: a row, or the mean of the tokens of one time."""
        everything = np.arange(len(self._times))
        return _samples(
            self._times.vectors, everything, target.among(self._first), self.videos[self._first], self.part[self._first]
        )

    def groups(self, target: Target) -> Samples | None:
        """All rows of a video as one sample; where the target changes within a video, all tokens of one time.

        None where there is only one row for each value of the target.
        """
        for grouping in (self.videos, self._time):
            samples = _samples(self.rows.vectors, grouping, target, self.videos, self.part)
            if len(samples.features) > len(samples.videos) and self._is_constant(target, grouping):
                return samples
        return None

    def _is_constant(self, target: Target, grouping: NDArray[np.int64]) -> bool:
        known = target.known
        values = target.values[known].reshape(int(known.sum()), -1)
        _, first, group = np.unique(grouping[known], return_index=True, return_inverse=True)
        return bool((values == values[first][group]).all())


def _samples(
    vectors: NDArray[np.float32],
    grouping: NDArray[np.int64],
    target: Target,
    videos: NDArray[np.int64],
    part: NDArray[np.str_],
) -> Samples:
    """Samples of the vectors (m, E) of which the target is known and that take part; all else is (m,), too."""
    kept = np.flatnonzero(target.known & (part != ""))
    _, first, group = np.unique(grouping[kept], return_index=True, return_inverse=True)
    part = part[kept][first]
    fit, choose, test = (torch.from_numpy(np.flatnonzero(part == name)) for name in ("fit", "choose", "test"))
    return Samples(
        torch.from_numpy(vectors if len(kept) == len(vectors) else vectors[kept]),
        torch.from_numpy(group),
        torch.from_numpy(target.values[kept][first]),
        torch.from_numpy(videos[kept][first]),
        Parts(fit, choose, test),
    )
