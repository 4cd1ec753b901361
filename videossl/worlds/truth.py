"""What is true of the videos of a world: where things are, how fast they go, what they are, what was done to them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videossl.errors import UsageError

if TYPE_CHECKING:  # the import costs half a second, and drawing a world needs no tables
    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """What is true of n videos of a world: one row a video.

    Attributes:
        video: (n,) str, name of the video's file; "" for videos that are in memory only.
        seed: (n,) int, seed of the draw that the video belongs to.
        row: (n,) int, place of the video in that draw. (seed, row) names a video of a world for ever.
        branch: (n,) int in [0, M), the future that was taken, of those to the end of the video; -1 where futures are
            continuous.
        classes: (n, O) int, class of each object.
        exemplars: (n, O) int, which picture of its class set each object wears.
        positions: (n, T, O, 2) px, centre of each object in each frame.
        velocities: (n, T, O, 2) px/frame, velocity at each frame: where nothing bounces or collides on the way,
            positions[t] is positions[t-1] + velocities[t] up to rounding. The context's own velocity is the one at
            frame branch_frame - 1; the kick is in it from branch_frame on.
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
