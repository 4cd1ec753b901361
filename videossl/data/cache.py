"""Decoded frames of short videos, kept in memory that worker processes share."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A longer video would be decoded whole for the sake of a few frames.
SHORT_VIDEO_FRAMES = 512


class FrameCache:
    """Frames of as many short videos as fit, each decoded once.

    Which videos have a place is settled at the start, in order, so memory is bounded and counted whatever is read. The
    memory is anonymous and shared: forked workers (as on Linux) fill one cache together, and pages are taken up as they
    are filled. Processes that are spawned start with a cache of their own.

    Args:
        num_frames: Frames of each video.
        frame_size: Side of the square frames in pixels.
        max_bytes: Memory that may be used.

    Attributes:
        num_bytes: Memory that will be used once all videos with a place were read.
        num_videos: Videos that have a place.
    """

    def __init__(self, num_frames: Sequence[int], *, frame_size: int, max_bytes: int) -> None:
        self.num_frames = np.asarray(num_frames, dtype=np.int64)
        self.frame_shape = (3, frame_size, frame_size)
        self._places = np.full(len(num_frames), -1, dtype=np.int64)  # byte at which a video begins
        frame_bytes = 3 * frame_size * frame_size
        used = 0
        for video, count in enumerate(self.num_frames.tolist()):
            if 0 < count <= SHORT_VIDEO_FRAMES and used + count * frame_bytes <= max_bytes:
                self._places[video] = used
                used += count * frame_bytes
        self.num_bytes = used
        self.num_videos = int((self._places >= 0).sum())
        self._allocate()

    def _allocate(self) -> None:
        self._memory = mmap.mmap(-1, max(1, self.num_bytes))
        self._filled = mmap.mmap(-1, max(1, len(self._places)))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_memory", "_filled")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._allocate()

    def has_place(self, video: int) -> bool:
        """Whether the frames of this video are to be kept."""
        return bool(self._places[video] >= 0)

    def get(self, video: int) -> NDArray[np.uint8] | None:
        """(num_frames, 3, H, W) uint8, not to be written to; None if this video was not put."""
        return self._view(video) if self._filled[video] else None

    def put(self, video: int, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Keep all frames (num_frames, 3, H, W) of a video that has a place; the kept ones, as `get` gives them.

        Two processes may do so at once: they write the same bytes, and the video counts as put only after.
        """
        kept = self._view(video)
        kept[:] = frames
        self._filled[video] = 1
        return kept

    def _view(self, video: int) -> NDArray[np.uint8]:
        count = int(self.num_frames[video])
        flat = np.frombuffer(
            self._memory, dtype=np.uint8, count=count * int(np.prod(self.frame_shape)), offset=int(self._places[video])
        )
        return flat.reshape(count, *self.frame_shape)
