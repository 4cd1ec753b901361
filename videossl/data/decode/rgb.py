"""RGB pictures out of decoded frames: crop, resize and colours by FFmpeg."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videossl.data.decode.picture import centre_square, turned
from videossl.data.decode.square_graph import Layout, SquareGraph
from videossl.data.stopwatch import timed

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter


class SizeChangeError(Exception):
    """The pictures of a video change size."""


class RGBConverter:
    """Makes pictures of frames, all at one size.

    Args:
        size: Side of the centre square in pixels, see `VideoReader.read`. None: whole pictures as they are stored.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size
        self._reformatter: VideoReformatter | None = None
        self._graph: SquareGraph | None = None

    def picture(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, RGB, turned as the frame says.

        Raises:
            FFmpegError: The frame cannot be converted.
        """
        if self.size is None or min(frame.width, frame.height) == self.size:
            picture = turned(self._whole(frame), frame.rotation)
            return picture if self.size is None else centre_square(picture, self.size)
        return turned(self._square(frame, self.size), frame.rotation)

    def _whole(self, frame: VideoFrame) -> NDArray[np.uint8]:
        from av.video.reformatter import VideoReformatter

        if self._reformatter is None:  # one for all frames: making it costs more than using it
            self._reformatter = VideoReformatter()
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        return np.asarray(rgb.to_ndarray(), dtype=np.uint8)

    def _square(self, frame: VideoFrame, size: int) -> NDArray[np.uint8]:
        layout = Layout.of(frame)
        if self._graph is None or layout != self._graph.layout:
            self._graph = SquareGraph(layout, size)
        resized, step = self._graph.resized(frame), self._graph.step
        picture = np.empty((3, size, size), dtype=np.uint8)
        for channel, plane in zip((1, 2, 0), resized.planes, strict=True):  # green, blue, red
            rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
            picture[channel] = rows[: step * size : step, : step * size : step]
        return np.moveaxis(picture, 0, -1)


class Pictures:
    """Pictures of the frames that were asked for, as they come.

    Args:
        frames: Frame numbers, increasing.
        converter: What makes pictures of frames.

    Attributes:
        missing: Numbers of the frames that have not come yet.
    """

    def __init__(self, frames: Sequence[int], converter: RGBConverter) -> None:
        self.missing = deque(frames)
        self._converter = converter
        self._num_frames = len(frames)
        self._pixels: NDArray[np.uint8] | None = None

    def put(self, number: int, frame: VideoFrame) -> None:
        """Keep a frame if it is the next one that is missing.

        Raises:
            SizeChangeError: It has another size than those before.
        """
        if not self.missing or number != self.missing[0]:
            return
        with timed("convert"):
            picture = self._converter.picture(frame)
        if self._pixels is None:
            height, width, _ = picture.shape
            if self._converter.size is None:
                self._pixels = np.empty((self._num_frames, height, width, 3), dtype=np.uint8)
            else:  # One channel after the other: so they come out of the converter, and so training wants them.
                self._pixels = np.moveaxis(np.empty((self._num_frames, 3, height, width), dtype=np.uint8), 1, -1)
        elif picture.shape != self._pixels.shape[1:]:
            (height, width), (before_height, before_width) = picture.shape[:2], self._pixels.shape[1:3]
            raise SizeChangeError(f"its pictures change size: {before_width}x{before_height} and {width}x{height}.")
        self._pixels[self._num_frames - len(self.missing)] = picture
        self.missing.popleft()

    def in_order(self, places: NDArray[np.intp]) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8: the pictures at these places of `frames`.

        Args:
            places: (N,) int.
        """
        assert self._pixels is not None
        if np.array_equal(places, np.arange(self._num_frames)):
            return self._pixels
        if self._converter.size is None:
            return self._pixels[places]
        return np.moveaxis(np.moveaxis(self._pixels, -1, 1)[places], 1, -1)
