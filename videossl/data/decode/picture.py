"""What is done to a decoded picture, the same for every decoder."""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray


def turned(picture: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) turned counterclockwise by the nearest multiple of 90 degrees."""
    quarters = round(degrees / 90) % 4
    return np.rot90(picture, quarters) if quarters else picture


def centre_square(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The centre square of a picture, resized.

    The square has the short side of the picture. It is resized by bilinear interpolation with antialiasing (a triangle
    filter as wide as the reduction), in 8 bits, by torch; where it has the wanted size already, its pixels are
    untouched.

    Decoders that give whole RGB pictures use this. `rgb.RGBConverter` does the same while decoding, before colours are
    converted: the pictures of the two differ by less than 1 of 255 levels in the mean (0.4 to 0.6 on real videos; see
    `VideoReader.read` for exceptions). What is left is chroma, interpolated there and repeated here.

    Args:
        picture: (H, W, 3) uint8.
        size: Side of the result in pixels.

    Returns:
        (size, size, 3) uint8.
    """
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side == size:
        return square
    pixels = rearrange(torch.from_numpy(np.ascontiguousarray(square)), "h w c -> 1 c h w")
    resized = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(rearrange(resized, "1 c h w -> h w c").numpy())
