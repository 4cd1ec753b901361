"""Clips that move: several beside each other in one small animation, inside of the page."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MILLISECONDS = 220
LAST_MILLISECONDS = 1100
GAP, BAR = 2, 4  # px
GREY = (128, 128, 128)
Clip = NDArray[Any]


@dataclass(frozen=True)
class Moving:
    """Panels side by side, all in step.

    Attributes:
        uri: The animation as a data URI.
        width: In pixels as stored.
        height: In pixels as stored.
    """

    uri: str
    width: int
    height: int


def moving(
    rows: list[list[Clip | None]], colours: list[tuple[int, int, int]], *, side: int, lead: Clip | None = None
) -> Moving:
    """Play clips of the same length side by side and in rows, again and again.

    Args:
        rows: Of panels, (T, H, W, 3) uint8 each; None leaves a place empty. All rows have the same number.
        colours: Of the bar over each panel of a row.
        side: Height and width at which each is stored.
        lead: (T', H, W, 3) uint8, a clip that all panels play first, under a grey bar.
    """
    clips = [panel for row in rows for panel in row if panel is not None]
    frames = []
    for time in range(0 if lead is None else len(lead)):
        pictures = [[None if panel is None or lead is None else lead[time] for panel in row] for row in rows]
        frames.append(_frame(pictures, [GREY] * len(colours), side))
    for time in range(len(clips[0])):
        pictures = [[None if panel is None else panel[time] for panel in row] for row in rows]
        frames.append(_frame(pictures, colours, side))
    is_grey = all(bool((clip[..., :1] == clip).all()) for clip in clips)
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "webp",
        save_all=True,
        append_images=frames[1:],
        duration=[MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS],
        loop=0,
        lossless=is_grey,
        quality=80,
        method=3,
    )
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Moving(uri, frames[0].width, frames[0].height)


def _frame(rows: list[list[Clip | None]], colours: list[tuple[int, int, int]], side: int) -> Image.Image:
    """One moment: pictures (H, W, 3) or None."""
    step = side + BAR + GAP
    joined = Image.new("RGBA", (len(colours) * (side + GAP) - GAP, len(rows) * step - GAP), (0, 0, 0, 0))
    for top, row in enumerate(rows):
        for place, (picture, colour) in enumerate(zip(row, colours, strict=True)):
            if picture is None:
                continue
            left = place * (side + GAP)
            joined.paste((*colour, 255), (left, top * step, left + side, top * step + BAR))
            image = Image.fromarray(np.ascontiguousarray(picture))
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BILINEAR)
            joined.paste(image.convert("RGBA"), (left, top * step + BAR))
    return joined
