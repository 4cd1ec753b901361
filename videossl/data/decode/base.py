"""What every decoder is to the rest of the package: frames by number, times by number."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.timeline import nearest_frames
from videossl.data.media import Media
from videossl.errors import WorkError


class VideoError(WorkError):
    """A video that cannot be read.

    Attributes:
        media: Where it lies.
        path: The file (of which it may be a piece).
        cause: Why, in one line without the path.
    """

    def __init__(self, video: Path | Media, cause: str) -> None:
        self.media = Media.of(video)
        self.path = Path(self.media.path)
        self.cause = " ".join(cause.split())
        super().__init__(f"{self.media}: {self.cause}")

    def __reduce__(self) -> tuple[type["VideoError"], tuple[Media, str]]:
        return type(self), (self.media, self.cause)  # so that it survives the way out of a worker process


class VideoReader(ABC):
    """One open video; close it, or use it as a context manager.

    Frames are numbered from 0 in the order in which they are shown. Frames that the file tells players not to show
    (before the start of an edit list, or before the first key frame) have no number. Pictures are RGB, turned as the
    file says. Pixels are taken as they are stored: where they are not square (a sample aspect ratio other than 1:1)
    the picture is not stretched.

    A class of readers opens whole videos: files, or pieces of files if it says so. Stretches and folders of frames are
    made of it by `opening.open_video`.

    Args:
        video: A file by its path, or where else it lies.

    Attributes:
        media: Where the video lies.
        path: The file, or the folder of frames.

    Raises:
        VideoError: It is no video, or cannot be read.
    """

    def __init__(self, video: Path | Media) -> None:
        self.media = Media.of(video)
        self.path = Path(self.media.path)

    @property
    @abstractmethod
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation time of each frame from the first one, which is at 0.0; increasing."""

    @property
    def num_frames(self) -> int:
        """Frames that can be asked for."""
        return len(self.seconds)

    @abstractmethod
    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, in the order asked; repeats are allowed and decoded once.

        Args:
            frames: Frame numbers, from 0 to `num_frames` - 1; at least one.
            size: Cut the centre square (side: the short side of the picture) and resize it to `size` x `size` pixels,
                see `picture.centre_square`. None: whole pictures as stored. In both, the pictures of different readers
                differ by less than 1 of 255 levels in the mean, with no shift of colours. Exceptions, up to 2.5: test
                patterns with hard edges of colour (5 where they are 16 pixels small), more than 8 bits, odd heights,
                reductions by more than 16.

        Returns:
            (N, H, W, 3) uint8, RGB.

        Raises:
            VideoError: A frame cannot be decoded, or there is no such frame.
        """

    def read_at(self, seconds: Sequence[float], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of the frames whose times are nearest to these.

        Args:
            seconds: Times from the first frame, as in `seconds`; at least one.
            size: As in `read`.

        Returns:
            (N, H, W, 3) uint8, RGB.

        Raises:
            VideoError: A time lies before the first frame or behind the end of the last one; or as in `read`.
        """
        frames = nearest_frames(self.seconds, np.asarray(seconds, np.float64))
        if (frames < 0).any():
            missing = float(np.asarray(seconds)[frames < 0][0])
            raise VideoError(self.media, f"has no frame at {missing:g} s: its last is at {self.seconds[-1]:g} s.")
        return self.read(frames.tolist(), size=size)

    @abstractmethod
    def close(self) -> None:
        """Give the file and the decoder back. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_numbers(self, frames: Sequence[int]) -> None:
        if len(frames) == 0:
            raise VideoError(self.media, "no frame was asked for: expected at least one frame number.")
        low, high = min(frames), max(frames)
        if low < 0 or high >= self.num_frames:
            asked = low if low < 0 else high
            raise VideoError(self.media, f"has no frame {asked}: its {self.num_frames} frames are numbered from 0.")
