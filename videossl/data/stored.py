"""Videos that lie decoded and resized in a store (`videossl cache`), read like any other video.

A store is a folder: `store.json` says what it is, `videos.jsonl` has one line a video, and `frames-00000.u8` and so on
hold the videos one after the other. Each begins at a multiple of 64 bytes with a header (magic, number of frames, side
of the frames in pixels), then come the presentation times (num_frames,) float64 and the frames (num_frames, side, side,
3) uint8, all little-endian.
"""

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.picture import centre_square
from videossl.data.media import Media
from videossl.data.sources import Source
from videossl.errors import UsageError

MARKER = "store.json"
JOURNAL = "videos.jsonl"
FRAMES_SUFFIX = ".u8"
MAGIC = b"VSSLFRM1"
HEADER = struct.Struct("<8sqq")
VERSION = 1


def is_store(folder: Path) -> bool:
    """Whether this folder is a store of decoded frames."""
    return (folder / MARKER).is_file()


def is_stored(media: Media) -> bool:
    """Whether this video lies in a store: nothing is decoded to read it."""
    return media.path.endswith(FRAMES_SUFFIX) and media.num_bytes is not None


def read_marker(folder: Path) -> dict[str, Any]:
    """What a store says of itself.

    Raises:
        UsageError: It is no store, or that of another version.
    """
    try:
        marker = json.loads((folder / MARKER).read_text())
        version = marker["version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder / MARKER} cannot be read: {error}. Make the store again with --overwrite."
        ) from error
    if version != VERSION:
        raise UsageError(
            f"{folder} is a store of version {version}, this program reads version {VERSION}. "
            "Make it again with `videossl cache --overwrite true`."
        )
    return dict(marker)


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The videos of a store, one entry each; a line that was being written when the writer was killed is none."""
    journal = folder / JOURNAL
    if not journal.is_file():
        return []
    *lines, _ = journal.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines]


def store_videos(folder: Path) -> list[Source]:
    """The videos of a store with the names, labels and weights that they had, in the order that they had.

    Raises:
        UsageError: The store is not finished, or nothing is in it.
    """
    marker = read_marker(folder)
    if not marker["complete"]:
        raise UsageError(
            f"the store {folder} is not finished. Run the same `videossl cache` again: it goes on where it stopped."
        )
    entries = {entry["name"]: entry for entry in read_journal(folder)}  # the last one counts
    if not marker["videos"]:
        raise UsageError(f"the store {folder} holds no video: none could be read, see unreadable.csv in it.")
    return [_source(folder, entries[name]) for name in marker["videos"]]


def _source(folder: Path, entry: dict[str, Any]) -> Source:
    media = Media(str(folder.absolute() / entry["file"]), offset=entry["offset"], num_bytes=entry["num_bytes"])
    return Source(media, entry["name"], entry["label"], weight=entry["weight"], group=entry["group"])


def check_frame_size(medias: Iterable[Media], frame_size: int) -> None:
    """Refuse frames that are larger than those of the stores that these videos lie in.

    Raises:
        UsageError: There is a store with smaller frames.
    """
    for folder in {os.path.dirname(media.path) for media in medias if is_stored(media)}:  # noqa: PTH120 - many
        stored = read_marker(Path(folder))["frame_size"]
        if stored < frame_size:
            raise UsageError(_too_small(folder, stored, frame_size))


def _too_small(folder: str | Path, stored: int, wanted: int) -> str:
    return (
        f"the store {folder} holds frames of {stored} pixels, and data.frame_size={wanted} is asked for. "
        f"Make another with `videossl cache --frame_size {wanted}`, or train on data.frame_size={stored} or less."
    )


def _runs(frames: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Frames that follow each other, together: place of the first in `frames`, its number, and how many they are."""
    place = 0
    while place < len(frames):
        first, count = int(frames[place]), 1
        while place + count < len(frames) and frames[place + count] == first + count:
            count += 1
        yield place, first, count
        place += count


class StoreReader(VideoReader):
    """Reader of a video in a store: one read of the file for frames that follow each other, no decoder.

    Args:
        media: Its place in a file of the store.
    """

    def __init__(self, media: Media) -> None:
        super().__init__(media)
        self.media = media
        self._file: int | None = None
        size = HEADER.size
        try:
            self._file = os.open(media.path, os.O_RDONLY)
            magic, num_frames, self._side = HEADER.unpack(os.pread(self._file, size, media.offset))
            is_whole = magic == MAGIC and media.num_bytes == record_bytes(num_frames, self._side)
            if is_whole and os.fstat(self._file).st_size >= media.offset + record_bytes(num_frames, self._side):
                self._seconds = np.frombuffer(os.pread(self._file, 8 * num_frames, media.offset + size), "<f8")
                self._frames_at = media.offset + size + 8 * num_frames
                return
        except (OSError, struct.error) as error:
            self.close()
            raise VideoError(media, f"cannot be read from its store: {error}.") from error
        self.close()
        raise VideoError(media, "is damaged: the store was cut off or changed. Make it again with --overwrite true.")

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times in the original file from its first frame; increasing."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`; smaller than they are stored if asked.

        Raises:
            UsageError: Larger than they are stored.
        """
        self._check_numbers(frames)
        if self._file is None:
            raise VideoError(self.media, "was closed; open it again.")
        if size is not None and size > self._side:
            raise UsageError(_too_small(self.path.parent, self._side, size))
        frame_bytes = 3 * self._side**2
        pictures = np.empty((len(frames), self._side, self._side, 3), np.uint8)
        for place, frame, count in _runs(frames):
            read = os.preadv(self._file, [pictures[place : place + count].data], self._frames_at + frame * frame_bytes)
            if read != count * frame_bytes:
                raise VideoError(
                    self.media,
                    f"frame {frame + read // frame_bytes} is cut off: the store was changed while it was read.",
                )
        if size is None or size == self._side:
            return pictures
        return np.stack([centre_square(picture, size) for picture in pictures])

    def close(self) -> None:
        """Give the file back. May be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()


@lru_cache(maxsize=1024)
def record_bytes(num_frames: int, side: int) -> int:
    """Length of a video in a store."""
    return HEADER.size + 8 * num_frames + 3 * num_frames * side * side
