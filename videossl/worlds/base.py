"""What every world is: videos whose distribution of futures is known exactly.

A world draws a context, then one of several futures (branches) by chance. It can say which one was taken, show all
that could have been taken with their probabilities, and show futures that could not (decoys).

Axes: n videos, T frames, O moving objects, M branches, J decoys, C H W pixels. Vectors in the picture are (x, y) in
pixels, x to the right and y down, from the upper left corner of the canvas.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple

from torch import Tensor

from videossl.errors import UsageError
from videossl.worlds.truth import Bools, Truth


class WorldSample(NamedTuple):
    """Videos and what is true of them."""

    clips: Tensor  # (n, T, 3, H, W) uint8, RGB
    truth: Truth


class Branches(NamedTuple):
    """All futures that n contexts could have, F frames of each.

    Contexts may have fewer futures than M: a branch of probability 0 shows what cannot happen there, like a decoy.
    """

    clips: Tensor  # (n, M, F, 3, H, W) uint8, RGB
    probabilities: Tensor  # (n, M) float64; each row sums to 1
    positions: Tensor  # (n, M, F, O, 2) float64, px: centre of each object in each frame of `clips`
    taken: Tensor  # (n,) int64, the branch that was taken; -1 where futures are continuous


class Decoys(NamedTuple):
    """Futures that n contexts cannot have."""

    clips: Tensor  # (n, J, F, 3, H, W) uint8, RGB
    positions: Tensor  # (n, J, F, O, 2) float64, px: centre of each object in each frame of `clips`


class World(ABC):
    """A generator of videos whose future distribution is known exactly.

    Frames [0, branch_frame) are the context: they are the same whatever branch is taken, and the branch is drawn
    without looking at them. Everything is a function of the arguments and the seed: the same call gives the same
    pixels, and the first rows of a larger draw are those of a smaller one.

    Attributes:
        num_frames: T, frames of a video.
        branch_frame: The first frame that differs between branches, in [1, T).
        num_branches: M, to the end of the video.
        branches_alike: Whether branch m is the same change in every context in which it can happen.
        path_arguments: Arguments of the constructor that are paths; `write_world` copies these files beside the videos.
    """

    branches_alike: ClassVar[bool] = True
    path_arguments: ClassVar[tuple[str, ...]] = ()
    num_frames: int
    branch_frame: int
    num_branches: int

    @abstractmethod
    def truth(self, num_videos: int, seed: int) -> Truth:
        """Draw what happens in `num_videos` videos, without drawing pixels."""

    @abstractmethod
    def render(self, truth: Truth) -> Tensor:
        """The videos that a truth of this world describes: (n, T, 3, H, W) uint8, RGB."""

    @abstractmethod
    def branches(self, truth: Truth, horizon_frames: int | None = None) -> Branches:
        """All futures of each context; the one taken is row `taken`, pixel for pixel and place for place.

        In a world with continuous futures these are `num_branches` draws of the true distribution, equally weighted,
        made without looking at the one that was observed (`truth.branch` and `taken` are -1 there).

        Args:
            truth: Of n videos of this world.
            horizon_frames: F, in [1, T - branch_frame]: how far to look; to the end of the video by default. Futures
                that part later than that are one branch, with the sum of their probabilities: of M branches to a
                longer horizon, branch m is then branch m // (M / M') of the M' branches to this one.
        """

    @abstractmethod
    def decoys(self, truth: Truth, horizon_frames: int | None = None) -> Decoys:
        """Futures that the same contexts cannot have, from their first frame on; arguments as of `branches`."""

    @abstractmethod
    def init_args(self) -> dict[str, object]:
        """The constructor's arguments as plain values, enough to make this world again."""

    def moves_freely(
        self,
        truth: Truth,  # noqa: ARG002 - of worlds that know
        horizon_frames: int | None = None,  # noqa: ARG002
    ) -> Bools | None:
        """In which videos nothing bounces, in the context and in all of its futures to this horizon: (n,) bool.

        There a branch is the same change of what is seen, in every context; a bounce makes another of it. None: not
        known in this world. Arguments as of `branches`.
        """
        return None

    def sample(self, num_videos: int, seed: int) -> WorldSample:
        """Draw `num_videos` videos.

        Args:
            num_videos: n, at least 1.
            seed: Not negative.
        """
        truth = self.truth(num_videos, seed)
        return WorldSample(self.render(truth), truth)

    def future_frames(self, horizon_frames: int | None) -> int:
        """F: the horizon that was asked for, all frames from branch_frame on by default.

        Raises:
            UsageError: It is not in [1, T - branch_frame].
        """
        most = self.num_frames - self.branch_frame
        if horizon_frames is None:
            return most
        if not 1 <= horizon_frames <= most:
            raise UsageError(
                f"the futures of this world have {most} frames, got horizon_frames={horizon_frames}. "
                f"Set it from 1 to {most}, or make a world with more num_frames."
            )
        return horizon_frames

    def check_truth(self, truth: Truth, *, num_objects: int, num_pictures: int) -> None:
        """Refuse a truth that cannot be of this world.

        Args:
            truth: What was given.
            num_objects: O of this world.
            num_pictures: Of which `truth.exemplars` chooses.
        """
        got = truth.positions.shape[1:3]
        if got != (self.num_frames, num_objects):
            raise UsageError(
                f"this world has {self.num_frames} frames and {num_objects} object(s), got a truth of {got[0]} frames "
                f"and {got[1]} object(s). Use the world that the truth came from (load_world)."
            )
        if len(truth) and not 0 <= truth.exemplars.min() <= truth.exemplars.max() < num_pictures:
            raise UsageError(
                f"this world has {num_pictures} pictures of digits, got a truth that names picture "
                f"{truth.exemplars.max()}. Use the IDX files that the truth came from."
            )


def check_draw(num_videos: int, seed: int) -> None:
    """Refuse a number of videos or a seed that no world can draw."""
    if num_videos < 1:
        raise UsageError(f"a world draws at least 1 video, got num_videos={num_videos}. Set num_videos to 1 or more.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"a seed is in [0, 2**63), got {seed}. Set seed to 0 or more.")


def need_file(path: Path, argument: str) -> None:
    """Refuse a path that is not a file, naming the argument that gave it."""
    if not path.is_file():
        raise UsageError(f"{argument} needs a file, got {path}, which is none. Give the path of an existing file.")
