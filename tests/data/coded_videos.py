"""Videos whose frames say which they are: ten bars, black or white, are the number in binary, low bit first."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 16, 160


def picture(code: int) -> np.ndarray:
    """(16, 160, 3) uint8, the bars of a number up to 1023."""
    bits = [255 * (code >> bit & 1) for bit in range(10)]
    return np.ascontiguousarray(
        np.broadcast_to(np.repeat(bits, 16)[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)
    )


def codes_of(pictures: np.ndarray) -> list[int]:
    """The numbers of pictures (N, 16, 160, 3)."""
    bars = pictures.mean(axis=(1, 3)).reshape(len(pictures), 10, 16).mean(axis=2) > 127
    return [int(sum(1 << bit for bit in range(10) if row[bit])) for row in bars]


def write_coded(path: Path, codes: Sequence[int], *, rate: int = 10, gop: int = 6, b_frames: int = 2) -> Path:
    """An H.264 file with these numbers as frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "10", "bf": str(b_frames), "g": str(gop), "preset": "veryfast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, code in enumerate(codes):
            frame = av.VideoFrame.from_ndarray(picture(code), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
