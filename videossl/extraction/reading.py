"""Decode the windows of videos, in threads whose decoders are processes of their own."""

import threading
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.isolated_reader import GivenUpError, Readers
from videossl.extraction.pieces import Piece
from videossl.extraction.sampling import SampledVideo
from videossl.extraction.windows import Window


@dataclass(frozen=True, eq=False)
class Clip:
    """One window of a video.

    Attributes:
        video: The video.
        window: The window.
        number: Of the window in the video.
        pixels: (T, H, W, 3) uint8; None if they cannot be read.
        cause: Why they cannot, in one line.
    """

    video: SampledVideo
    window: Window
    number: int
    pixels: NDArray[np.uint8] | None
    cause: str = ""

    @property
    def is_last(self) -> bool:
        """Whether it is the last one of its video."""
        return self.number == len(self.video.windows) - 1


class PieceReader:
    """Reads pieces, from any number of threads at once; a context manager.

    Every thread has a decoder of its own, in a process of its own, which keeps the video open that it read last.

    Args:
        reader: Class that decodes.
        frame_size: Side of the square frames in pixels.
        isolate: False: decode in this process.
        deadline_seconds: See `Readers`.
    """

    def __init__(
        self, reader: type[VideoReader], *, frame_size: int, isolate: bool, deadline_seconds: float | None
    ) -> None:
        self.frame_size = frame_size
        self._new = partial(Readers, reader, isolate=isolate, deadline_seconds=deadline_seconds)
        self._of_thread = threading.local()
        self._all: list[Readers] = []
        self._given_up: dict[SampledVideo, str] = {}  # videos whose decoder hung: one deadline is waited out

    def __call__(self, piece: Piece) -> list[Clip]:
        """The clips of a piece, in order; those that cannot be read without pixels, and with their cause."""
        numbers = range(piece.start, piece.stop)
        cause = self._given_up.get(piece.video)
        if cause is not None:
            return _lost(piece.video, numbers, cause)
        try:
            opened = self._open(piece.video)
        except VideoError as error:  # the file itself
            self._note(piece.video, error)
            return _lost(piece.video, numbers, error.cause)
        return self._read(piece.video, numbers, opened)

    def _read(self, video: SampledVideo, numbers: range, opened: VideoReader) -> list[Clip]:
        windows = [video.windows[number] for number in numbers]
        positions = sorted({position for window in windows for position in window.positions})
        try:
            pixels = opened.read(video.frames[positions].tolist(), size=self.frame_size)
        except VideoError as error:
            self._note(video, error)
            if len(numbers) == 1:
                return _lost(video, numbers, error.cause)
            # A damaged place spoils what is read together with it: close in on it by halves.
            middle = len(numbers) // 2
            return [
                *self._read(video, numbers[:middle], opened),
                *self._read(video, numbers[middle:], opened),
            ]
        row = {position: index for index, position in enumerate(positions)}
        clips = []
        for number, window in zip(numbers, windows, strict=True):
            first, last = row[window.positions[0]], row[window.positions[-1]]
            if last - first == len(window.positions) - 1:
                clips.append(Clip(video, window, number, pixels[first : last + 1]))
            else:  # frames are repeated
                clips.append(Clip(video, window, number, pixels[[row[position] for position in window.positions]]))
        return clips

    def _open(self, video: SampledVideo) -> VideoReader:
        mine = self._of_thread
        if not hasattr(mine, "readers"):
            mine.readers = self._new()
            mine.opened = None
            self._all.append(mine.readers)
        if mine.opened is None or mine.opened[0] is not video:
            if mine.opened is not None:
                mine.opened[1].close()
            mine.opened = None
            mine.opened = video, mine.readers.open(video.media)
        return mine.opened[1]

    def _note(self, video: SampledVideo, error: VideoError) -> None:
        """What crashed is opened afresh for the next piece, what hung never again."""
        if isinstance(error, GivenUpError):
            self._of_thread.opened = None
            if error.hung:
                self._given_up[video] = error.cause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for readers in self._all:
            readers.__exit__(kind, error, trace)


def _lost(video: SampledVideo, numbers: range, cause: str) -> list[Clip]:
    return [Clip(video, video.windows[number], number, None, cause) for number in numbers]
