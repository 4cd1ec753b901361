"""A reader whose decoder runs in another process: what crashes or hangs there is an error of one video here."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.opening import open_video
from videossl.data.isolation import HUNG, ChildDiedError, Isolated
from videossl.data.media import Media
from videossl.data.quarantine import why_given_up
from videossl.data.stored import is_stored

FRAMES_PER_DEADLINE = 256


class GivenUpError(VideoError):
    """A video whose decoder crashed or hung; its open reader raises this again whatever it is asked for.

    Attributes:
        hung: Whether it hung: to try again would cost one more deadline.
    """

    hung = False


class Readers:
    """Opens videos one after the other, all of them in one process beside this one; a context manager.

    Args:
        reader: Class that decodes.
        isolate: False: in this process.
        deadline_seconds: A video that gives nothing for so long, to its opening or for every 256 frames that are read
            at a time, is given up; None: none is. Needs `isolate`.
    """

    def __init__(
        self, reader: type[VideoReader], *, isolate: bool = True, deadline_seconds: float | None = 10.0
    ) -> None:
        self._reader = reader
        self._isolated = Isolated(_Reading(reader), deadline_seconds=deadline_seconds) if isolate else None

    def open(self, media: Media) -> VideoReader:
        """An open reader; it is good until the next one is opened.

        Raises:
            VideoError: The video cannot be read, or its decoder crashed or hung.
        """
        if self._isolated is None or is_stored(media):  # what is not decoded needs no protection
            return open_video(media, self._reader)
        return _IsolatedReader(media, self._isolated)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._isolated is not None:
            self._isolated.close()


class _IsolatedReader(VideoReader):
    def __init__(self, media: Media, isolated: Isolated) -> None:
        super().__init__(media)
        self._isolated = isolated
        self._given_up: GivenUpError | None = None
        self._seconds: NDArray[np.float64] = self._ask(None, None)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times from the first frame; increasing."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`."""
        self._check_numbers(frames)
        return self._ask([int(frame) for frame in frames], size)

    def close(self) -> None:
        """The other process closes the video when it opens the next one, or ends."""

    def _ask(self, frames: list[int] | None, size: int | None) -> NDArray:  # type: ignore[type-arg]
        if self._given_up is not None:  # a decoder that hung once is not waited for again
            raise self._given_up
        times_longer = 1 if frames is None else -(-len(frames) // FRAMES_PER_DEADLINE)
        try:
            return self._isolated(self.media, frames, size, times_longer=times_longer)
        except ChildDiedError as error:
            self._given_up = GivenUpError(self.media, why_given_up(error.code, self._isolated.deadline_seconds))
            self._given_up.hung = error.code == HUNG
            raise self._given_up from None


class _Reading:
    """What runs in the other process: it keeps the video open that it was asked for last."""

    def __init__(self, reader: type[VideoReader]) -> None:
        self._reader = reader
        self._opened: VideoReader | None = None

    def __call__(self, media: Media, frames: list[int] | None, size: int | None) -> NDArray:  # type: ignore[type-arg]
        """Times of the frames (n,) of a video that is opened anew, or pictures of these (N, H, W, 3)."""
        if frames is None or self._opened is None or self._opened.media != media:
            self._close()
            self._opened = open_video(media, self._reader)
        return self._opened.seconds if frames is None else self._opened.read(frames, size=size)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
