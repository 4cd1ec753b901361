"""Read a picture file, alone as a video of one frame, or for a folder of them."""

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
# Pictures of more than 8 bits: how they are to be made darker is not for a reader to guess.
DEEP_MODES = ("I", "F")


class PictureFileReader(VideoReader):
    """A jpg or png file as a video of one frame; see `read_picture`.

    Raises:
        VideoError: It is no such file.
    """

    def __init__(self, video: Path | Media) -> None:
        super().__init__(video)
        self._picture: NDArray[np.uint8] | None = read_picture(self.path, self.media)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(1,) float64: 0.0."""
        return np.zeros(1)

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """The picture, once for every 0 that is asked for; see `VideoReader.read`."""
        self._check_numbers(frames)
        if self._picture is None:
            raise VideoError(self.media, "was closed; open it again.")
        picture = self._picture if size is None else centre_square(self._picture, size)
        return np.stack([picture] * len(frames))

    def close(self) -> None:
        """Forget the picture."""
        self._picture = None


def is_picture(media: Media) -> bool:
    """Whether this is a picture file on this machine, by its name."""
    return not media.is_url and media.is_whole_file and Path(media.path).suffix.lower() in SUFFIXES


def read_picture(path: Path, media: Media) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8, RGB, turned as its EXIF data say; transparency is dropped.

    Args:
        path: The file.
        media: The video that it is, or belongs to.

    Raises:
        VideoError: It is no file, no picture, damaged, too large, or has more than 8 bits.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    which = "" if path == Path(media.path) else f"its picture {path.name} "
    problem = why_no_file(path)
    if problem is not None:
        raise VideoError(media, which + problem)
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_pixels(media, *image.size)
            if image.mode.startswith(DEEP_MODES):
                raise VideoError(media, f"{which}has more than 8 bits; convert it to 8 bits.")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VideoError(media, f"{which}has more than {MOST_PIXELS // 1_000_000} million pixels.") from error
    except UnidentifiedImageError as error:  # its own words name the path again
        raise VideoError(media, f"{which}is damaged: its bytes are not those of a jpg or png file.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(media, f"{which}is damaged: {error}.") from error
