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
        if self.size is None:
            return turned(self._whole(frame), frame.rotation)
        channels = np.empty((3, self.size, self.size), dtype=np.uint8)
        self.square_into(channels, frame)
        return np.moveaxis(channels, 0, -1)

    def square_into(self, channels: NDArray[np.uint8], frame: VideoFrame) -> None:
        """The centre square of a frame, turned as it says, one channel after the other.

        Args:
            channels: (3, size, size) uint8, to be written to.
            frame: Is made a picture of.

        Raises:
            FFmpegError: The frame cannot be converted.
        """
        assert self.size is not None
        rotation = frame.rotation
        if min(frame.width, frame.height) == self.size:
            picture = centre_square(turned(self._whole(frame), rotation), self.size)
            channels[:] = np.moveaxis(picture, -1, 0)
            return
        layout = Layout.of(frame)
        if self._graph is None or layout != self._graph.layout:
            self._graph = SquareGraph(layout, self.size)
        self._graph.resize_into(channels, frame)
        if rotation:
            channels[:] = np.moveaxis(turned(np.moveaxis(channels.copy(), 0, -1), rotation), -1, 0)

    def _whole(self, frame: VideoFrame) -> NDArray[np.uint8]:
        from av.video.reformatter import VideoReformatter

        if self._reformatter is None:  # one for all frames: making it costs more than using it
            self._reformatter = VideoReformatter()
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        return np.asarray(rgb.to_ndarray(), dtype=np.uint8)


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
            size = self._converter.size
            if size is None:
                self._put_whole(self._converter.picture(frame))
            else:
                self._converter.square_into(self._channels(size)[self._num_frames - len(self.missing)], frame)
        self.missing.popleft()

    def _put_whole(self, picture: NDArray[np.uint8]) -> None:
        if self._pixels is None:
            self._pixels = np.empty((self._num_frames, *picture.shape), dtype=np.uint8)
        elif picture.shape != self._pixels.shape[1:]:
            (height, width), (before_height, before_width) = picture.shape[:2], self._pixels.shape[1:3]
            raise SizeChangeError(f"its pictures change size: {before_width}x{before_height} and {width}x{height}.")
        self._pixels[self._num_frames - len(self.missing)] = picture

    def _channels(self, size: int) -> NDArray[np.uint8]:
        """(N, 3, size, size): so they come out of the converter, and so training wants them."""
        if self._pixels is None:
            self._pixels = np.empty((self._num_frames, 3, size, size), dtype=np.uint8)
        return self._pixels

    def in_order(self, places: NDArray[np.intp]) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8: the pictures at these places of `frames`.

        Args:
            places: (N,) int.
        """
        assert self._pixels is not None
        is_asked = np.array_equal(places, np.arange(self._num_frames))
        pictures = self._pixels if is_asked else self._pixels[places]
        return pictures if self._converter.size is None else np.moveaxis(pictures, 1, -1)
