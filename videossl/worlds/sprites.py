"""Draw small grey pictures at sub-pixel places on black frames.

Shapes: F frames, O objects in each, s side of a picture in pixels.
"""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

FRAMES_AT_ONCE = 1024  # keeps the working arrays of one block in the processor's cache


def draw_sprites(sprites: NDArray[np.float32], corners: NDArray[np.float64], canvas: int) -> Tensor:
    """Draw O sprites on each of F frames.

    A sprite between pixels is shared between them bilinearly; where sprites overlap the brighter one is seen; what is
    outside the canvas is cut off.

    Args:
        sprites: (F, O, s, s) grey values in [0, 255].
        corners: (F, O, 2) px, (x, y) of each sprite's upper left corner; may lie outside the canvas.
        canvas: Side of a frame in pixels.

    Returns:
        Tensor of shape (F, 3, canvas, canvas), uint8, three equal channels.
    """
    frames = torch.empty((len(sprites), 3, canvas, canvas), dtype=torch.uint8)
    pixels = frames.numpy()
    for start in range(0, len(sprites), FRAMES_AT_ONCE):
        block = slice(start, start + FRAMES_AT_ONCE)
        pixels[block] = _draw_block(sprites[block], corners[block], canvas)[:, None]
    return frames


def _draw_block(sprites: NDArray[np.float32], corners: NDArray[np.float64], canvas: int) -> NDArray[np.uint8]:
    """(F, canvas, canvas) uint8."""
    num_frames, num_objects, side = sprites.shape[:3]
    pad = side + 1
    whole = np.floor(corners)
    shares = (corners - whole).astype(np.float32)
    # A sprite wholly outside may be anywhere outside; this bounds the margin that catches what is cut off.
    places = np.clip(whole, -pad, canvas).astype(np.int64)
    before = max(0, -int(places.min()))
    after = max(0, int(places.max()) + pad - canvas)
    padded = np.zeros((num_frames, before + canvas + after, before + canvas + after), np.uint8)
    windows = sliding_window_view(padded, (pad, pad), axis=(1, 2), writeable=True)
    frame = np.arange(num_frames)
    for i in range(num_objects):
        patches = _shift(sprites[:, i], shares[:, i])
        x, y = before + places[:, i, 0], before + places[:, i, 1]
        windows[frame, y, x] = np.maximum(windows[frame, y, x], patches) if i else patches
    return padded[:, before : before + canvas, before : before + canvas]


def _shift(sprites: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Move (F, s, s) sprites by `shares` (F, 2) of a pixel to the right and down: (F, s + 1, s + 1) uint8."""
    num_frames, side = sprites.shape[:2]
    right, down = shares[:, 0, None, None], shares[:, 1, None, None]
    rows = np.zeros((num_frames, side + 1, side), np.float32)
    rows[:, :-1] = sprites * (1 - down)
    rows[:, 1:] += sprites * down
    both = np.full((num_frames, side + 1, side + 1), 0.5, np.float32)  # 0.5: the cast below cuts, we want to round
    both[:, :, :-1] += rows * (1 - right)
    both[:, :, 1:] += rows * right
    return both.astype(np.uint8)
