"""Crop, resize, mirror and blur frames, many views with their own parameters at once."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

PRE_SHRINK = 1.25  # frames this much larger than needed are made smaller first


def crop_and_resize(pixels: Tensor, boxes: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """Cut a box out of every frame and resize it, bilinearly.

    Not antialiased: shrink frames with `shrink` before, where boxes are much larger than the output.

    Args:
        pixels: (N, F, H, W) float, or uint8 that stands for 0 to 1; all F frames of a view have the same box.
        boxes: (N, 4) float: left, top, width and height in pixels; need not be whole.
        mirrored: (N,) bool, whether left and right change places.
        size: Side of the output.

    Returns:
        (N, F, size, size) float.
    """
    pixels = as_float(pixels)
    height, width = pixels.shape[-2:]
    left, top, box_width, box_height = boxes.unbind(dim=1)
    # The output lies in [-1, 1]; an affine map brings it into the box.
    affine = torch.zeros(len(boxes), 2, 3, device=pixels.device)
    affine[:, 0, 0] = torch.where(mirrored, -box_width, box_width) / width
    affine[:, 0, 2] = (2 * left + box_width) / width - 1
    affine[:, 1, 1] = box_height / height
    affine[:, 1, 2] = (2 * top + box_height) / height - 1
    grid = F.affine_grid(affine, [len(boxes), 1, size, size], align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def as_float(pixels: Tensor) -> Tensor:
    """Bytes as float from 0 to 1; float as it is."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def shrink(pixels: Tensor, side: int) -> Tensor:
    """Frames (N, F, H, W) with a short side of `side` pixels, antialiased; as they are if they are not much larger.

    Bytes that are shrunk become float from 0 to 1.
    """
    smaller = shrunk_shape(pixels.shape[-2], pixels.shape[-1], side)
    if smaller == pixels.shape[-2:]:
        return pixels
    return F.interpolate(as_float(pixels), size=smaller, mode="bilinear", antialias=True)


def shrunk_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of frames after `shrink`."""
    factor = side / min(height, width)
    if factor * PRE_SHRINK >= 1:
        return height, width
    return max(side, round(height * factor)), max(side, round(width * factor))


def blur(pixels: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur.

    Args:
        pixels: (N, F, H, W) float.
        sigma: (N,) float, standard deviation in pixels, above 0.
        radius: Pixels that are looked at on each side; three times the largest sigma loses nothing.

    Returns:
        (N, F, H, W) float. Frames go on beyond their border with the pixel at the border.
    """
    N, frames = pixels.shape[:2]
    places = torch.arange(-radius, radius + 1, device=pixels.device)
    weights = gaussian(places, sigma)
    blurred = rearrange(F.pad(pixels, [radius] * 4, mode="replicate"), "n f h w -> 1 (n f) h w")
    # Every frame is a channel with a kernel of its own; along columns, then along rows.
    kernels = repeat(weights, "n k -> (n f) 1 k 1", f=frames)
    blurred = F.conv2d(blurred, kernels, groups=N * frames)
    blurred = F.conv2d(blurred, kernels.mT, groups=N * frames)
    return rearrange(blurred, "1 (n f) h w -> n f h w", n=N)


def gaussian(places: Tensor, sigma: Tensor) -> Tensor:
    """(N, k) weights at k places for N standard deviations; they sum to 1."""
    weights = torch.exp(-places.square() / (2 * sigma.square()[:, None]))
    return weights / weights.sum(dim=1, keepdim=True)
