"""FFmpeg filters that make a small square RGB picture of a frame as it was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter import Graph
    from av.filter.context import FilterContext

# The triangle filter of `picture.centre_square`, on the planes as they are stored: colours are converted behind it, on
# few pixels. The last two make every processor give the same pixels.
SCALING = "bilinear+accurate_rnd+bitexact"
# One plane after the other takes a third of the time that swscale takes for all three at once.
PLANAR_FORMATS = {
    **dict.fromkeys(["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p"], "yuv444p"),
    **dict.fromkeys(["yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p"], "yuvj444p"),
    **dict.fromkeys(["yuv420p10le", "yuv422p10le", "yuv444p10le"], "yuv444p10le"),
}
# swscale turns whole pictures of these formats, if their height is even, into RGB with a converter of its own. It does
# not interpolate chroma, and on x86 it cuts off where others round: its levels are lower by 1 to 1.5 of 255. So that a
# small picture has the colours of the whole one, it goes through the same converter, with every pixel doubled in both
# directions: then all have a chroma of their own.
DOUBLED_FORMATS = {"yuv420p": "yuv420p", "yuv422p": "yuv420p", "yuvj420p": "yuvj420p", "yuvj422p": "yuvj420p"}


class Layout(NamedTuple):
    """What a frame must have in common with the one before, so that the same filters fit."""

    width: int
    height: int
    pixel_format: str
    colorspace: int
    color_range: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Layout:
        """The layout of a frame."""
        return cls(frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range))


class SquareGraph:
    """Cuts the centre square out of frames (nothing is copied), and resizes it.

    Args:
        layout: Of the frames.
        size: Side of the result in pixels.

    Attributes:
        layout: As given.
    """

    def __init__(self, layout: Layout, size: int) -> None:
        import av.filter

        self.layout = layout
        self._size = size
        self._graph: Graph = av.filter.Graph()
        doubled = DOUBLED_FORMATS.get(layout.pixel_format) if layout.height % 2 == 0 else None
        self._step = 1 if doubled is None else 2  # pixels of a plane from one of the result to the next, both ways
        self._pixel = np.uint8 if doubled is None else np.uint16
        side = min(layout.width, layout.height)
        colours = f"colorspace={layout.colorspace}:range={layout.color_range}"
        last = self._after(
            None,
            "buffer",
            f"video_size={layout.width}x{layout.height}:pix_fmt={layout.pixel_format}:time_base=1/1:pixel_aspect=1/1"
            f":{colours}",
        )
        # exact: also at odd pixels, where the chroma of subsampled pictures is then half a chroma pixel off
        place = f"{(layout.width - side) // 2}:{(layout.height - side) // 2}"
        last = self._after(last, "crop", f"{side}:{side}:{place}:exact=1")
        if layout.pixel_format in PLANAR_FORMATS:
            last = self._planes(last, doubled or PLANAR_FORMATS[layout.pixel_format])
            last = self._after(last, "setparams", f"colorspace={layout.colorspace}:range={layout.color_range}")
            last = self._after(
                last, "scale", f"flags={'bilinear' if doubled else SCALING + '+full_chroma_int'}:threads=1"
            )
        else:
            last = self._after(last, "scale", f"{size}:{size}:flags={SCALING}+full_chroma_int:threads=1")
        last = self._after(last, "format", "gbrp")
        self._after(last, "buffersink")
        self._graph.configure()

    def _planes(self, source: FilterContext, pixel_format: str) -> FilterContext:
        """Resize luma and chroma each for itself: centre upon centre, as if they were pictures of their own."""
        apart = self._after(source, "extractplanes", "y+u+v")
        merged = self._graph.add("mergeplanes", f"map1s=1:map2s=2:format={pixel_format}")
        for number in range(3):
            plane = self._graph.add("scale", f"{self._size}:{self._size}:flags={SCALING}:threads=1")
            apart.link_to(plane, number, 0)
            if number == 0 and self._step == 2:
                plane = self._after(plane, "scale", f"{2 * self._size}:{2 * self._size}:flags=neighbor:threads=1")
            plane = self._after(plane, "setsar", "1")
            plane.link_to(merged, 0, number)
        return merged

    def _after(self, before: FilterContext | None, name: str, arguments: str = "") -> FilterContext:
        node = self._graph.add(name, arguments) if arguments else self._graph.add(name)
        if before is not None:
            before.link_to(node)
        return node

    def resize_into(self, channels: NDArray[np.uint8], frame: VideoFrame) -> None:
        """The centre square of a frame, resized.

        Args:
            channels: (3, size, size) uint8, to be written to: red, green and blue.
            frame: Of the layout.

        Raises:
            FFmpegError: It cannot be converted.
        """
        from av import VideoFrame

        self._graph.push(frame)
        resized = self._graph.pull()
        assert isinstance(resized, VideoFrame)
        shape = (self._size, self._size)
        for channel, plane in zip((1, 2, 0), resized.planes, strict=True):  # green, blue, red
            # Of a pair of equal bytes one is taken by cutting off the other, which is faster than leaving it out.
            pixels = np.ndarray(shape, self._pixel, memoryview(plane), 0, (self._step * plane.line_size, self._step))
            np.copyto(channels[channel], pixels, casting="unsafe")
