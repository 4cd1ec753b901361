"""Open a video wherever it lies with the reader that was asked for."""

from pathlib import Path

from videossl.data.decode.base import VideoReader
from videossl.data.media import Media


def open_video(media: Media, reader: type[VideoReader]) -> VideoReader:
    """An open reader of this video; use it as a context manager.

    Raises:
        VideoError: It cannot be read.
    """
    return reader(Path(media.path))
