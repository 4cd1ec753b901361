"""From the rows of a table to what a probe is given: points of one vector each, or groups of several."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.probing import Parts
from videossl.tables.table import TOKEN_COLUMNS, Rows
from videossl.tables.targets import Target


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
        self.has_tokens = all(name in rows.columns for name in TOKEN_COLUMNS)
        frames = rows.columns["frame"].to_numpy()
        begins = np.append(True, (np.diff(self.videos) != 0) | (np.diff(frames) != 0))
        self._point = np.cumsum(begins) - 1 if self.has_tokens else np.arange(len(rows))

    def points(self, target: Target) -> Samples:
        """One vector a sample: a row, or the mean of the tokens of one time."""
        samples = self._gathered(target, self._point)
        if not self.has_tokens:
            return samples
        sums = torch.zeros(len(samples.videos), samples.features.shape[1], dtype=torch.float64)
        sums.index_add_(0, samples.group, samples.features.double())
        means = sums / samples.group.bincount()[:, None]
        return Samples(means.float(), torch.arange(len(means)), samples.targets, samples.videos, samples.parts)

    def groups(self, target: Target) -> Samples | None:
        """All rows of a video as one sample; where the target changes within a video, all tokens of one time.

        None where there is only one row for each value of the target.
        """
        for grouping in (self.videos, self._point):
            samples = self._gathered(target, grouping)
            if len(samples.features) > len(samples.videos) and self._is_constant(target, grouping):
                return samples
        return None

    def _gathered(self, target: Target, grouping: NDArray[np.int64]) -> Samples:
        kept = np.flatnonzero(target.known & (self.part != ""))
        _, first, group = np.unique(grouping[kept], return_index=True, return_inverse=True)
        part = self.part[kept][first]
        fit, choose, test = (torch.from_numpy(np.flatnonzero(part == name)) for name in ("fit", "choose", "test"))
        vectors = self.rows.vectors if len(kept) == len(self.rows) else self.rows.vectors[kept]
        return Samples(
            torch.from_numpy(vectors),
            torch.from_numpy(group),
            torch.from_numpy(target.values[kept][first]),
            torch.from_numpy(self.videos[kept][first]),
            Parts(fit, choose, test),
        )

    def _is_constant(self, target: Target, grouping: NDArray[np.int64]) -> bool:
        known = target.known
        values = target.values[known].reshape(int(known.sum()), -1)
        _, first, group = np.unique(grouping[known], return_index=True, return_inverse=True)
        return bool((values == values[first][group]).all())
