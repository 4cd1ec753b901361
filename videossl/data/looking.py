"""Look into one video: what is it, when are its frames shown, can it be read?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.opening import open_video
from videossl.data.decode.pyav import PyAVReader
from videossl.data.media import Media
from videossl.data.video import Check
from videossl.errors import UsageError

# Pictures of a full check are made this small, so that they take no memory.
CHECKED_SIDE = 8
# Frames that a full check decodes at a time, at least: from key frame to key frame, so that none is decoded twice.
PIECE_FRAMES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was found in a video; the attributes are those of `Video`."""

    seconds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    keyframes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    height: int = 0
    width: int = 0
    codec: str | None = None
    container: str | None = None
    error: str | None = None


def look(media: Media, check: Check, alive: Callable[[], None] = lambda: None) -> Looked:
    """Open a video and find out what the index holds of it.

    Args:
        media: The video.
        check: "fast": all packets are read and the first picture is decoded. "full": every picture is decoded, and the
            first that is damaged is reported.
        alive: Called now and then in a long check.

    Returns:
        Also for a video that cannot be read: with the cause, and what could be told of it nevertheless.

    Raises:
        UsageError: Something that it is read with is not installed.
    """
    looked = Looked()
    try:
        with open_video(media, PyAVReader) as reader:
            height, width = reader.read([0], size=None).shape[1:3]
            looked = Looked(
                reader.seconds,
                # Readers of other things than files, as of folders of pictures, have none of these.
                getattr(reader, "keyframes", looked.keyframes),
                int(height),
                int(width),
                getattr(reader, "codec", None),
                getattr(reader, "container", None),
            )
            if check == "full":
                _decode_all(reader, looked.keyframes, alive)
    except VideoError as error:
        return replace(looked, error=error.cause)
    except UsageError:
        raise
    except Exception as error:  # one file in ten thousand must not end the index, whatever a decoder makes of it
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return replace(looked, error=f"cannot be looked into: {said}.")
    return looked


def _decode_all(reader: VideoReader, keyframes: NDArray[np.int64], alive: Callable[[], None]) -> None:
    for piece in _pieces(keyframes, reader.num_frames):
        try:
            reader.read(piece, size=CHECKED_SIDE)
        except VideoError:
            # A decoder breaks off some frames ahead of those that it has given: alone, the good ones come.
            for frame in piece:
                reader.read([frame], size=CHECKED_SIDE)
                alive()
            raise
        alive()


def _pieces(keyframes: NDArray[np.int64], num_frames: int) -> Iterator[range]:
    start = 0
    for end in (*keyframes.tolist(), num_frames):
        if end - start >= PIECE_FRAMES or end == num_frames > start:
            yield range(start, end)
            start = end
