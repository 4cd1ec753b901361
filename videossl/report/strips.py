"""Clips as strips of frames: one small picture each, inside of the page."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TINY = 64  # frames up to this height are kept pixel by pixel and enlarged by the browser
HEIGHT = 96
MOST_FRAMES = 6
GAP = 1


@dataclass(frozen=True)
class Strip:
    """A clip, first frame on the left.

    Attributes:
        uri: The picture as a data URI.
        width: In pixels as stored.
        height: In pixels as stored.
        is_tiny: Whether to enlarge it in whole pixels.
    """

    uri: str
    width: int
    height: int
    is_tiny: bool

    def shown(self, target: int) -> tuple[int, int]:
        """Width and height at which to show it: about `target` high, tiny ones enlarged by a whole number."""
        scale = max(1, round(target / self.height)) if self.is_tiny else target / self.height
        return round(self.width * scale), round(self.height * scale)


def frames_shown(num_frames: int) -> list[int]:
    """Which of the frames a strip shows: all, or the first, the last and evenly spaced ones between."""
    if num_frames <= MOST_FRAMES:
        return list(range(num_frames))
    return [round(place) for place in np.linspace(0, num_frames - 1, MOST_FRAMES).tolist()]


def strip(clip: NDArray[Any]) -> Strip:
    """Frames side by side.

    Args:
        clip: (T, H, W, 3) uint8.
    """
    if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8:
        raise ValueError(f"expected a clip (T, H, W, 3) uint8, got {clip.shape} {clip.dtype}")
    frames = [Image.fromarray(clip[number]) for number in frames_shown(len(clip))]
    is_tiny = clip.shape[1] <= TINY
    if not is_tiny:
        size = (max(1, round(HEIGHT * clip.shape[2] / clip.shape[1])), HEIGHT)
        frames = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    width, height = frames[0].size
    joined = Image.new("RGB", (len(frames) * (width + GAP) - GAP, height), (128, 128, 128))
    for place, frame in enumerate(frames):
        joined.paste(frame, (place * (width + GAP), 0))
    buffer = io.BytesIO()
    kind = "png" if is_tiny else "jpeg"
    joined.save(buffer, kind, **({"optimize": True} if is_tiny else {"quality": 82}))
    uri = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Strip(uri, joined.width, joined.height, is_tiny)
