"""The table of all videos: what they are, when their frames are shown, which are held out, which cannot be read."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError
from videossl.data.decode.pyav import PyAVReader
from videossl.data.media import Media
from videossl.data.sources import Source, find_videos
from videossl.errors import UsageError
from videossl.files import replacing
from videossl.progress import progress
from videossl.types import Failure

Split = Literal["train", "heldout"]
SCHEMA = pa.schema(
    {
        "video": pa.int64(),
        "name": pa.string(),
        "path": pa.string(),
        "label": pa.string(),
        "label_id": pa.int64(),
        "num_frames": pa.int64(),
        "seconds": pa.list_(pa.float64()),
        "height": pa.int64(),
        "width": pa.int64(),
        "split": pa.string(),
        "error": pa.string(),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """One row of the index.

    Attributes:
        video: Row in the full index, the id of the video in a `ViewBatch`.
        name: Path relative to the folder of all videos, with forward slashes.
        path: The file.
        label: Class, None where there is none.
        label_id: Number of the class in the sorted list of classes, -1 where there is none.
        num_frames: Frames that can be read; 0 if none can.
        seconds: (num_frames,) float64, presentation times from the first frame.
        height: Of the pictures as shown, in pixels; 0 if they cannot be read.
        width: The same.
        split: "train" or "heldout"; None for a video that cannot be read: it is in neither.
        error: Why it cannot be read, None if it can.
    """

    video: int
    name: str
    path: Path
    label: str | None
    label_id: int
    num_frames: int
    seconds: NDArray[np.float64]
    height: int
    width: int
    split: Split | None
    error: str | None

    @property
    def media(self) -> Media:
        """Where its pictures lie."""
        return Media.of(self.path)


class VideoIndex(Sequence[Video]):
    """Videos, one row each; a part of an index (`readable`, `split`) keeps the row numbers of the full one.

    Args:
        rows: The videos.
    """

    def __init__(self, rows: Sequence[Video]) -> None:
        self.rows = tuple(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Video:  # type: ignore[override]  # no slices: they would be no index
        return self.rows[row]

    def __iter__(self) -> Iterator[Video]:
        return iter(self.rows)

    @property
    def videos(self) -> NDArray[np.int64]:
        """(n,) int64, row of each video in the full index."""
        return np.array([row.video for row in self.rows], dtype=np.int64)

    @property
    def readable(self) -> "VideoIndex":
        """The videos that could be read when the index was made."""
        return VideoIndex([row for row in self.rows if row.error is None])

    @property
    def failures(self) -> list[Failure]:
        """The others, with the cause."""
        return [Failure(row.name, row.error) for row in self.rows if row.error is not None]

    def split(self, split: Split) -> "VideoIndex":
        """The readable videos of a part: "train" or "heldout"."""
        if split not in ("train", "heldout"):
            raise UsageError(f'expected the split "train" or "heldout", got "{split}".')
        return VideoIndex([row for row in self.rows if row.split == split and row.error is None])

    @classmethod
    def build(cls, videos: Path, *, heldout_share: float = 0.1, seed: int = 0, num_workers: int = 1) -> "VideoIndex":
        """Look into every video: the packets of all of it, the picture of its first frame.

        Which videos are held out depends on their names and the seed only: the `round(heldout_share * n)` of the n
        readable videos with the lowest hashes, at least one where n >= 2 and the share is not 0, never all of them
        unless the share is 1.

        Args:
            videos: Folder, file or list, see `find_videos`.
            heldout_share: From 0 to 1.
            seed: Of the split.
            num_workers: Threads that read files.

        Raises:
            UsageError: No videos there, or a share that is none. A file that cannot be read is no error: it gets a row
                with its cause.
        """
        if not 0 <= heldout_share <= 1:
            raise UsageError(f"expected heldout_share from 0 to 1, got {heldout_share}.")
        sources = find_videos(videos)
        classes = sorted({source.label for source in sources if source.label is not None})
        label_ids = {label: number for number, label in enumerate(classes)}
        with ThreadPoolExecutor(max(1, num_workers)) as threads:
            looked = progress(
                threads.map(_look, range(len(sources)), sources),
                total=len(sources),
                description="indexing",
                unit="video",
            )
            rows = [replace(row, label_id=-1 if row.label is None else label_ids[row.label]) for row in looked]
        heldout = _held_out([row.name for row in rows if row.error is None], share=heldout_share, seed=seed)
        return cls(
            [
                row if row.error is not None else replace(row, split="heldout" if row.name in heldout else "train")
                for row in rows
            ]
        )

    def save(self, path: Path) -> None:
        """Write the index as Parquet, one row a video."""
        columns = {
            name: [str(row.path) if name == "path" else getattr(row, name) for row in self.rows]
            for name in SCHEMA.names
        }
        with replacing(path) as temporary:
            pq.write_table(pa.table(columns, schema=SCHEMA), temporary)

    @classmethod
    def load(cls, path: Path) -> "VideoIndex":
        """Read an index that `save` wrote.

        Raises:
            UsageError: There is no such file, or it is no index.
        """
        if not path.is_file():
            raise UsageError(f"no such index of videos: {path}.")
        try:
            table = pq.read_table(path, schema=SCHEMA)
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path} is not an index of videos: {' '.join(str(error).split())}") from error
        return cls(
            [
                Video(**(row | {"path": Path(row["path"]), "seconds": np.array(row["seconds"], dtype=np.float64)}))
                for row in table.to_pylist()
            ]
        )


def _look(number: int, source: Source) -> Video:
    """The row of one video, not yet split."""
    error: str | None = None
    seconds = np.empty(0, dtype=np.float64)
    height = width = 0
    try:
        with PyAVReader(source.path) as reader:
            height, width = reader.read([0], size=None).shape[1:3]
            seconds = reader.seconds
    except VideoError as found:
        error = found.cause
    return Video(
        video=number,
        name=source.name,
        path=source.path,
        label=source.label,
        label_id=-1,
        num_frames=len(seconds),
        seconds=seconds,
        height=height,
        width=width,
        split=None,
        error=error,
    )


def _held_out(names: list[str], *, share: float, seed: int) -> set[str]:
    num_heldout = round(share * len(names))
    if share < 1:
        num_heldout = min(max(num_heldout, 1 if share > 0 else 0), len(names) - 1)
    return set(sorted(names, key=lambda name: (_hash(seed, name), name))[: max(0, num_heldout)])


def _hash(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(errors="surrogateescape"), digest_size=8).digest()
