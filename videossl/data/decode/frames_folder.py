"""Read a folder of pictures as a video."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.limits import MOST_PIXELS, check_pixels
from videossl.data.decode.picture import centre_square
from videossl.data.media import Media
from videossl.data.places import why_no_file

SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})
FORMATS = ("JPEG", "PNG")
DEFAULT_FRAMES_PER_SECOND = 25.0
# Pictures of more than 8 bits: how they are to be made darker is not for a reader to guess.
DEEP_MODES = ("I", "F")


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
        pictures = {frame: self._picture(self._files[frame]) for frame in sorted(set(frames))}
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

    def _picture(self, path: Path) -> NDArray[np.uint8]:
        from PIL import Image, ImageOps

        problem = why_no_file(path)
        if problem is not None:
            raise VideoError(self.media, f"its picture {path.name} {problem}")
        try:
            with Image.open(path, formats=FORMATS) as image:
                check_pixels(self.media, *image.size)
                if image.mode.startswith(DEEP_MODES):
                    raise VideoError(self.media, f"its picture {path.name} has more than 8 bits; convert it to 8 bits.")
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise VideoError(
                self.media, f"its picture {path.name} has more than {MOST_PIXELS // 1_000_000} million pixels."
            ) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise VideoError(self.media, f"its picture {path.name} is damaged: {error}.") from error


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Text parts compare as text, numbers as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts)], path.name
