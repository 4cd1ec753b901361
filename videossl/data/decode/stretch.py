"""A stretch in time of a longer video as a video of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.media import Media


class StretchReader(VideoReader):
    """Frames of a longer video from one instant to another, numbered and timed from the first of them.

    A frame shown at t belongs to the stretch [start, end) if start - half a frame <= t < end - half a frame, both from
    the first frame of the longer video; a frame lasts the median distance between frames. So times that were rounded,
    or added up over thousands of frames, still mean the frames that they were taken from, and stretches that follow
    each other share no frame and leave none out.

    Args:
        media: The stretch.
        reader: Of the whole video; closed with this one.

    Raises:
        VideoError: No frame lies in the stretch.
    """

    def __init__(self, media: Media, reader: VideoReader) -> None:
        super().__init__(media)
        self.reader = reader
        whole = reader.seconds
        half_frame = float(np.median(np.diff(whole))) / 2 if len(whole) > 1 else 0.0
        edges = [media.start_seconds or 0.0, np.inf if media.end_seconds is None else media.end_seconds]
        # Two times that are equal but for rounding must not fall on two sides of an edge.
        first, last = np.searchsorted(whole, np.asarray(edges) - half_frame - 1e-9)
        if first == last:
            raise VideoError(
                media, f"has no frame there: the whole video has {len(whole)}, the last at {whole[-1]:g} s."
            )
        self._first = int(first)
        self._seconds = whole[first:last] - whole[first]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(num_frames,) float64, presentation times from the first frame of the stretch; increasing."""
        return self._seconds

    def read(self, frames: Sequence[int], *, size: int | None) -> NDArray[np.uint8]:
        """Pictures of these frames, see `VideoReader.read`."""
        self._check_numbers(frames)
        return self.reader.read([self._first + int(frame) for frame in frames], size=size)

    def close(self) -> None:
        """Close the whole video."""
        self.reader.close()
