"""Rendered clips as a reader of video files gives them."""

import torch.nn.functional as F
from torch import Tensor


def centre_squares(clips: Tensor, size: int) -> Tensor:
    """Rendered clips (..., C, H, W) uint8 as a reader gives them: the rule of `data.decode.picture.centre_square`."""
    height, width = clips.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    squares = clips[..., top : top + side, left : left + side]
    if side == size:
        return squares
    pictures = squares.flatten(0, -4)
    resized = F.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized.reshape(*clips.shape[:-2], size, size)
