"""Rows for fitting, for choosing and for the test, parted by video: rows of one video are alike."""

from dataclasses import dataclass

import torch
from torch import Tensor

PART_SHARES = (0.5, 0.2)  # fitting, choosing the strength; the rest is for the test


@dataclass(frozen=True)
class Parts:
    """Row numbers (int64) for fitting, for choosing the strength and for the test; no video is in two of them."""

    fit: Tensor
    choose: Tensor
    test: Tensor

    @property
    def before_test(self) -> Tensor:
        """Rows for fitting and choosing."""
        return torch.cat([self.fit, self.choose])

    def among(self, kept: Tensor) -> "Parts":
        """The same parts where only some rows are left: `kept` (n,) bool. Rows are counted among those left."""
        number = torch.cumsum(kept, dim=0) - 1
        fit, choose, test = (number[rows[kept[rows]]] for rows in (self.fit, self.choose, self.test))
        return Parts(fit, choose, test)

    @property
    def smallest(self) -> int:
        """Rows in the smallest part."""
        return min(len(self.fit), len(self.choose), len(self.test))


def split_by_video(videos: Tensor, *, seed: int) -> Parts:
    """Split (n,) rows into parts of about 50, 20 and 30 % of the videos.

    Args:
        videos: (n,) int64, the video of each row.
        seed: The same seed gives the same parts, for the same videos.
    """
    distinct = torch.unique(videos)
    shuffled = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))]
    first, second = (round(share * len(distinct)) for share in (PART_SHARES[0], sum(PART_SHARES)))
    of_part = (shuffled[:first], shuffled[first:second], shuffled[second:])
    fit, choose, test = (torch.isin(videos, part).nonzero().flatten() for part in of_part)
    return Parts(fit, choose, test)
