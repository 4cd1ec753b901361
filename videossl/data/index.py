"""The table of all videos: what they are, when their frames are shown, which are held out, which cannot be read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videossl.data.index_changes import Changes
from videossl.data.index_table import is_index, read_index, write_index
from videossl.data.indexing import Indexing
from videossl.data.sources import Source, find_videos
from videossl.data.sources.mixing import Videos
from videossl.data.split import Split, held_out
from videossl.data.video import Check, Video
from videossl.errors import UsageError
from videossl.types import Failure

__all__ = ["Check", "Split", "Video", "VideoIndex"]
DEADLINE_SECONDS = 10.0


class VideoIndex(Sequence[Video]):
    """Videos, one row each; a part of an index (`readable`, `split`) keeps the row numbers of the full one.

    Args:
        rows: The videos.
        changes: What differs from an earlier index; none for an index that was not built but loaded, or is a part.
    """

    def __init__(self, rows: Sequence[Video], changes: Changes | None = None) -> None:
        self.rows = tuple(rows)
        self.changes = changes

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
    def build(
        cls,
        videos: Videos,
        *,
        heldout_share: float = 0.1,
        seed: int = 0,
        num_workers: int = 1,
        known: Path | str | None = None,
        check: Check = "fast",
        unfinished: Path | str | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> "VideoIndex":
        """Look into every video that no earlier index knows as it is now.

        A row is taken over from an earlier index if the video has the same address and its file the same size and time
        of change; names, labels, weights and the split are always made anew. `changes` of the result counts.

        Which videos are held out depends on their names and the seed only: the `round(heldout_share * n)` of the n
        readable videos (groups of videos, where their source has such) with the lowest hashes, at least one where
        n >= 2 and the share is not 0, never all of them unless the share is 1.

        Args:
            videos: Folder, file, list or others, see `find_videos`; or an index, whose videos are meant and whose rows
                are known.
            heldout_share: From 0 to 1.
            seed: Of the split.
            num_workers: Processes that look into videos. 0: this one does, where a decoder that crashes ends all.
            known: An earlier index of some of these videos.
            check: "fast": all packets are read and the first picture is decoded. "full": every picture is decoded.
            unfinished: File in which what was found is kept until all is done, so that an interruption loses
                seconds at most; it is used when the index is built again. Delete it when the index is saved.
            deadline_seconds: Time in which a video must show a sign of life, besides the time to read it from a slow
                disk, see `look_at_all`; otherwise its row says that it hangs.

        Raises:
            UsageError: No videos there, or a share that is none. A file that cannot be read is no error: it gets a row
                with its cause.
            WorkError: Interrupted by Ctrl-C; what was found is in `unfinished`.
        """
        if not 0 <= heldout_share <= 1:
            raise UsageError(f"expected heldout_share from 0 to 1, got {heldout_share}.")
        if num_workers < 0:
            raise UsageError(f"expected num_workers of at least 0, got {num_workers}.")
        if check not in ("fast", "full"):
            raise UsageError(f'expected the check "fast" or "full", got "{check}".')
        if not deadline_seconds > 0:
            raise UsageError(f"expected deadline_seconds above 0, got {deadline_seconds}.")
        before = read_index(Path(known)) if known is not None else []
        if isinstance(videos, str | Path) and is_index(Path(videos)):
            rows = read_index(Path(videos))
            before += rows
            sources = [_source(row) for row in rows]
        else:
            sources = find_videos(videos)
        kept = None if unfinished is None else Path(unfinished)
        indexing = Indexing(sources, before, check=check, unfinished=kept)
        found = indexing.run(num_workers=num_workers, deadline_seconds=deadline_seconds)
        rows = _with_split(_with_label_ids(found), heldout_share=heldout_share, seed=seed)
        return cls(rows, indexing.changes(rows))

    def save(self, path: Path | str) -> None:
        """Write the index as Parquet, one row a video."""
        write_index(self.rows, Path(path))

    @classmethod
    def load(cls, path: Path | str) -> "VideoIndex":
        """Read an index that `save` wrote, now or in an earlier version.

        Raises:
            UsageError: There is no such file, or it is no index.
        """
        return cls(read_index(Path(path)))


def _source(row: Video) -> Source:
    error = row.error if row.refused else None  # what could not be decoded may be looked at again
    return Source(media=row.media, name=row.name, label=row.label, weight=row.weight, group=row.group, error=error)


def _with_label_ids(rows: Sequence[Video]) -> list[Video]:
    classes = sorted({row.label for row in rows if row.label is not None})
    label_ids = {label: number for number, label in enumerate(classes)}
    return [replace(row, label_id=-1 if row.label is None else label_ids[row.label]) for row in rows]


def _with_split(rows: Sequence[Video], *, heldout_share: float, seed: int) -> list[Video]:
    groups = [row.group or row.name for row in rows]
    readable = [group for group, row in zip(groups, rows, strict=True) if row.error is None]
    heldout = held_out(readable, share=heldout_share, seed=seed)
    splits: list[Split | None] = ["heldout" if group in heldout else "train" for group in groups]
    return [replace(row, split=split if row.error is None else None) for row, split in zip(rows, splits, strict=True)]
