"""Cut the windows of a video into pieces that are decoded and held together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from videossl.extraction.sampling import SampledVideo

PIECE_BYTES = 32 * 2**20  # of decoded frames held at a time: an hour of video does not fit into memory


@dataclass(frozen=True)
class Piece:
    """Windows `start` to `stop` - 1 of a video.

    Attributes:
        video: The video.
        start: First window.
        stop: Window after the last.
        num_bytes: Of the frames of all its windows, at most.
    """

    video: SampledVideo
    start: int
    stop: int
    num_bytes: int


def pieces(videos: Iterable[SampledVideo], frame_size: int) -> Iterator[Piece]:
    """The pieces of all videos, in order.

    A piece holds at most `PIECE_BYTES` of frames, or one window. Where a video is cut, it is soon after a key frame:
    to read a piece, a decoder has to begin at the key frame before it.
    """
    for video in videos:
        clip_bytes = video.windows.clip_frames * frame_size**2 * 3
        most = max(1, PIECE_BYTES // clip_bytes)
        num_windows = len(video.windows)
        start = 0
        while start < num_windows:
            stop = start + most
            # The last window may overlap the one before it: together with it, its frames are not decoded twice.
            if stop >= num_windows - 1 and (most > 1 or stop >= num_windows):
                stop = num_windows
            else:
                stop = _after_a_keyframe(video, start + (most + 1) // 2, stop)
            yield Piece(video, start, stop, (stop - start) * clip_bytes)
            start = stop


def _after_a_keyframe(video: SampledVideo, first: int, last: int) -> int:
    """The window from `first` to `last` that needs the fewest frames decoded before it; the last one of several."""
    if len(video.keyframes) == 0 or first >= last:
        return last
    begins = video.frames[[video.windows.start(number) for number in range(last, first - 1, -1)]]
    keys = np.searchsorted(video.keyframes, begins, side="right") - 1
    before = begins - np.where(keys < 0, 0, video.keyframes[np.maximum(keys, 0)])
    return last - int(np.argmin(before))
