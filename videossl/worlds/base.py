"""What every world is: videos whose distribution of futures is known exactly.

A world draws a context, then one of several futures (branches) by chance. It can say which one was taken, show all
that could have been taken with their probabilities, and show futures that could not (decoys).

Axes: n videos, T frames, O moving objects, M branches, J decoys, C H W pixels. Vectors in the picture are (x, y) in
pixels, x to the right and y down, from the upper left corner of the canvas.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from videossl.errors import UsageError

if TYPE_CHECKING:  # the import costs half a second, and drawing a world needs no tables
    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is true of n videos of a world: one row a video.

    Attributes:
        video: (n,) str, name of the video's file; "" for videos that are in memory only.
        seed: (n,) int, seed of the draw that the video belongs to.
        row: (n,) int, place of the video in that draw. (seed, row) names a video of a world for ever.
        branch: (n,) int in [0, M), the future that was taken; -1 where futures are continuous.
        classes: (n, O) int, class of each object.
        exemplars: (n, O) int, which picture of its class set each object wears.
        positions: (n, T, O, 2) px, centre of each object in each frame.
        velocities: (n, T, O, 2) px/frame, velocity at each frame: where nothing bounces, positions[t] is
            positions[t-1] + velocities[t] up to rounding. The context's own velocity is the one at frame
            branch_frame - 1; the kick is in it from branch_frame on.
        kick: (n, O, 2) px/frame, what was added to the velocity between frame branch_frame - 1 and branch_frame.
    """

    video: NDArray[np.str_]
    seed: Ints
    row: Ints
    branch: Ints
    classes: Ints
    exemplars: Ints
    positions: Floats
    velocities: Floats
    kick: Floats

    def __post_init__(self) -> None:
        n, objects = self.classes.shape[:2] if self.classes.ndim == 2 else (-1, -1)
        frames = self.positions.shape[1] if self.positions.ndim == 4 else -1
        wanted: dict[str, tuple[int, ...]] = {
            "video": (n,),
            "seed": (n,),
            "row": (n,),
            "branch": (n,),
            "classes": (n, objects),
            "exemplars": (n, objects),
            "positions": (n, frames, objects, 2),
            "velocities": (n, frames, objects, 2),
            "kick": (n, objects, 2),
        }
        for name, shape in wanted.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(f"expected {name} of shape {shape} in the truth of {n} videos, got {got}")

    def __len__(self) -> int:
        return len(self.seed)

    def __getitem__(self, rows: int | slice | Ints | NDArray[np.bool_] | list[int]) -> "Truth":
        """The truth of some of the videos, in the order asked: a number, slice, list or mask of rows."""
        if isinstance(rows, int | np.integer):
            rows = [int(rows)]
        return Truth(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def for_videos(self, names: Sequence[str]) -> "Truth":
        """The truth of the named videos, in the order asked.

        Raises:
            UsageError: No video of this truth has that name.
        """
        row_of = {name: row for row, name in enumerate(self.video.tolist())}
        missing = [name for name in names if name not in row_of]
        if missing:
            raise UsageError(
                f"the truth table names no video {missing[0]!r} ({len(missing)} of {len(names)} missing). "
                "Give videos of the world that the table belongs to, by their names in it."
            )
        return self[np.array([row_of[name] for name in names], dtype=np.int64)]

    def table(self) -> "pd.DataFrame":
        """One row a video; columns are named as the attributes, arrays within a row are nested lists."""
        import pandas as pd

        return pd.DataFrame({field.name: getattr(self, field.name).tolist() for field in fields(self)})

    @classmethod
    def from_table(cls, table: "pd.DataFrame") -> "Truth":
        """Read what `table` wrote, also after it has been through a Parquet file; further columns are left aside.

        Raises:
            UsageError: A column is missing, or its rows are of different shapes.
        """
        kinds: dict[str, type] = dict.fromkeys(("positions", "velocities", "kick"), np.float64)
        values: dict[str, NDArray[np.generic]] = {}
        for field in fields(cls):
            if field.name not in table:
                raise UsageError(
                    f"a truth table needs a column {field.name!r}, got {', '.join(map(str, table.columns))}. "
                    "Make the world anew with `videossl world`."
                )
            try:
                rows = [_plain(cell) for cell in table[field.name]]
                kind = np.str_ if field.name == "video" else kinds.get(field.name, np.int64)
                values[field.name] = np.array(rows, dtype=kind)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"column {field.name!r} of the truth table cannot be read ({error}). "
                    "Make the world anew with `videossl world`."
                ) from error
        try:
            return cls(**values)  # type: ignore[arg-type]
        except ValueError as error:
            raise UsageError(
                f"the truth table is damaged: {error}. Make the world anew with `videossl world`."
            ) from error


def _plain(cell: object) -> object:
    """Parquet gives nested lists back as arrays of arrays; make them lists again."""
    return [_plain(item) for item in cell] if isinstance(cell, np.ndarray | list) else cell


class WorldSample(NamedTuple):
    """Videos and what is true of them."""

    clips: Tensor  # (n, T, 3, H, W) uint8, RGB
    truth: Truth


class Branches(NamedTuple):
    """All futures that n contexts could have."""

    clips: Tensor  # (n, M, T - branch_frame, 3, H, W) uint8, RGB
    probabilities: Tensor  # (n, M) float64; each row sums to 1
    positions: Tensor  # (n, M, T - branch_frame, O, 2) float64, px: centre of each object in each frame of `clips`


class Decoys(NamedTuple):
    """Futures that n contexts cannot have."""

    clips: Tensor  # (n, J, T - branch_frame, 3, H, W) uint8, RGB
    positions: Tensor  # (n, J, T - branch_frame, O, 2) float64, px: centre of each object in each frame of `clips`


class World(ABC):
    """A generator of videos whose future distribution is known exactly.

    Frames [0, branch_frame) are the context: they are the same whatever branch is taken, and the branch is drawn
    without looking at them. Everything is a function of the arguments and the seed: the same call gives the same
    pixels, and the first rows of a larger draw are those of a smaller one.

    Attributes:
        num_frames: T, frames of a video.
        branch_frame: The first frame that differs between branches, in [1, T).
        num_branches: M.
        path_arguments: Arguments of the constructor that are paths; `write_world` copies these files beside the videos.
    """

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
    def branches(self, truth: Truth) -> Branches:
        """All futures of each context; the one taken is row `truth.branch`, pixel for pixel and place for place.

        In a world with continuous futures these are `num_branches` draws of the true distribution, equally weighted,
        made without looking at the one that was observed (`truth.branch` is -1 there).
        """

    @abstractmethod
    def decoys(self, truth: Truth) -> Decoys:
        """Futures that the same contexts cannot have."""

    @abstractmethod
    def init_args(self) -> dict[str, object]:
        """The constructor's arguments as plain values, enough to make this world again."""

    def sample(self, num_videos: int, seed: int) -> WorldSample:
        """Draw `num_videos` videos.

        Args:
            num_videos: n, at least 1.
            seed: Not negative.
        """
        truth = self.truth(num_videos, seed)
        return WorldSample(self.render(truth), truth)


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
