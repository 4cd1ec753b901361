"""Read a folder of pictures as a video."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.picture import centre_square
from videossl.data.decode.picture_file import SUFFIXES, read_picture
from videossl.data.media import Media

DEFAULT_FRAMES_PER_SECOND = 25.0


class FramesFolderReader(VideoReader):
    """The jpg and png files of a folder, in the order of the numbers in their names (img_2 before img_10).

    Pictures are RGB and turned as their EXIF data say; transparency is dropped. Other files, and files whose names
    begin with a dot, are passed over.

    Args:
        video: The folder; without `frames_per_second` it has 25.

    Raises:
        VideoError: It is no folder, or holds no picture.
    """

    def __init__(self, video: Path | Media) -> None:
        super().__init__(video)
        self._files: list[Path] = []
        try:
            files = [path for path in self.path.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        except OSError as error:
            raise VideoError(self.media, f"cannot be opened: {error.strerror}.") from error
        if not files:
            raise VideoError(self.media, "has no pictures: expected a folder of jpg or png files.")
        self._files = sorted(files, key=_order)
        self._seconds = np.arange(len(files)) / (self.media.frames_per_second or DEFAULT_FRAMES_PER_SECOND)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, at a constant rate from 0."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`."""
        self._check_numbers(frames)
        if not self._files:
            raise VideoError(self.media, "was closed; open it again.")
        pictures = {frame: read_picture(self._files[frame], self.media) for frame in sorted(set(frames))}
        shapes = sorted({picture.shape for picture in pictures.values()})
        if len(shapes) > 1:
            sides = " and ".join(f"{width}x{height}" for height, width, _ in shapes)
            raise VideoError(self.media, f"its pictures change size: {sides}.")
        if size is not None:
            pictures = {frame: centre_square(picture, size) for frame, picture in pictures.items()}
        return np.stack([pictures[frame] for frame in frames])

    def close(self) -> None:
        """Forget the files: no picture stays open."""
        self._files = []


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Text parts compare as text, numbers as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts)], path.name
