"""Decode videos and append their frames to the files of a store. Its format: see `stored`."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.opening import open_video
from videossl.data.isolation import ChildDiedError, Isolated, how_it_died
from videossl.data.media import Media
from videossl.data.sources import Source
from videossl.data.stored import FRAMES_SUFFIX, HEADER, MAGIC, record_bytes
from videossl.errors import WorkError
from videossl.types import Failure

FILE_BYTES = 2**30  # a file that is longer gets no more videos
CHUNK_FRAMES = 256  # decoded and held at a time; the deadline is for so many
ALIGNMENT = 64


@dataclass(frozen=True)
class Decoder:
    """What is called in a process of its own: which frames to keep of a video, and their pictures."""

    reader: type[VideoReader]
    frame_size: int
    target_fps: float | None

    def __call__(self, media: Media, numbers: list[int] | None) -> Any:
        """(n, H, W, 3) pictures of these frames; without any: (n,) numbers and (n,) times of those to keep."""
        with open_video(media, self.reader) as opened:
            return self._choose(opened.seconds) if numbers is None else opened.read(numbers, size=self.frame_size)

    def _choose(self, seconds: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        numbers = np.arange(len(seconds))
        if self.target_fps is not None and len(seconds):
            instants = np.arange(int(seconds[-1] * self.target_fps + 1e-6) + 1) / self.target_fps
            numbers = np.unique(np.searchsorted((seconds[1:] + seconds[:-1]) / 2, instants, side="right"))
        return numbers, seconds[numbers]


class Writer:
    """Appends videos to files, each thread to its own."""

    def __init__(
        self, out: Path, decoder: Decoder, deadline_seconds: float | None, entries: list[dict[str, Any]]
    ) -> None:
        self.out = out
        self.stopped = False
        self._decoder = decoder
        self._deadline_seconds = deadline_seconds
        self._ends: dict[str, int] = {path.name: 0 for path in sorted(out.glob(f"frames-*{FRAMES_SUFFIX}"))}
        for entry in entries:
            self._ends[entry["file"]] = max(self._ends.get(entry["file"], 0), entry["offset"] + entry["num_bytes"])
        self._free = [name for name, end in self._ends.items() if end < FILE_BYTES]
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def __call__(self, source: Source) -> dict[str, Any] | Failure:
        """Write one video; its entry in the journal."""
        if source.error is not None:
            return Failure(source.name, source.error)
        if not hasattr(self._of_thread, "isolated"):
            self._of_thread.isolated = Isolated(self._decoder, deadline_seconds=self._deadline_seconds)
        name = self._take()
        try:
            with (self.out / name).open("r+b" if (self.out / name).exists() else "w+b") as file:
                try:
                    return self._append(source, name, file)
                except VideoError as error:
                    return Failure(source.name, error.cause)
                except ChildDiedError as error:
                    return Failure(source.name, f"its decoder {how_it_died(error.code)}.")
                finally:
                    file.truncate(self._ends[name])
        except OSError as error:
            raise WorkError(
                f"cannot write {self.out / name}: {error.strerror}. Make room; the same command goes on from there."
            ) from error
        finally:
            self._give_back(name)

    def _append(self, source: Source, name: str, file: BinaryIO) -> dict[str, Any]:
        isolated: Isolated = self._of_thread.isolated
        numbers, seconds = isolated(source.media, None)
        if len(numbers) == 0:
            raise VideoError(source.media, "has no frame.")
        offset = -(-self._ends[name] // ALIGNMENT) * ALIGNMENT
        file.seek(offset)
        file.write(HEADER.pack(MAGIC, len(numbers), self._decoder.frame_size))
        file.write(np.asarray(seconds, "<f8").tobytes())
        for start in range(0, len(numbers), CHUNK_FRAMES):
            if self.stopped:
                raise VideoError(source.media, "was not finished.")
            pictures = isolated(source.media, numbers[start : start + CHUNK_FRAMES].tolist())
            file.write(np.ascontiguousarray(pictures).data)
        file.flush()
        num_bytes = record_bytes(len(numbers), self._decoder.frame_size)
        self._ends[name] = offset + num_bytes
        return {
            "name": source.name,
            "file": name,
            "offset": offset,
            "num_bytes": num_bytes,
            "num_frames": len(numbers),
        }

    def _take(self) -> str:
        """A file that nobody else writes to."""
        with self._lock:
            if self._free:
                return self._free.pop(0)
            name = f"frames-{len(self._ends):05d}{FRAMES_SUFFIX}"
            self._ends[name] = 0
            return name

    def _give_back(self, name: str) -> None:
        with self._lock:
            if self._ends[name] < FILE_BYTES:
                self._free.insert(0, name)
