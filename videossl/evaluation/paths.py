"""All the ways on from a context over several steps, clip after clip."""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class PathClips:
    """All that can follow n contexts in up to S steps.

    A future of S steps that parts from another only later than step s is the same up to there, so that step s is shown
    by fewer clips: branch m of the M_s of step s is branch `m // (M_s / M_r)` of the M_r of an earlier step r.

    Attributes:
        contexts: (n, T, C, H, W) uint8.
        videos: (n,) int64, the video of each context.
        branches: For each step s, (n, M_s, T, C, H, W) uint8, the last clip of each future of s steps.
        probabilities: For each step s, (n, M_s).
        decoys: (n, J, S, T, C, H, W) uint8.
        last_frames: For each step, frames from the branching to its end.
    """

    contexts: Tensor
    videos: Tensor
    branches: tuple[Tensor, ...]
    probabilities: tuple[Tensor, ...]
    decoys: Tensor
    last_frames: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = [clips.shape[1] for clips in self.branches]
        steps = {len(self.branches), len(self.probabilities), self.decoys.shape[2], len(self.last_frames)}
        if len(steps) != 1 or any(later % earlier for earlier, later in pairwise(counts)):
            raise ValueError(
                "expected as many steps everywhere, and numbers of branches that are multiples of those a step before, "
                f"got {sorted(steps)} steps and {counts} branches."
            )

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def num_steps(self) -> int:
        """S."""
        return len(self.branches)
