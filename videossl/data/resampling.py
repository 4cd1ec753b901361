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
        pixels: (N, F, H, W) float; all F frames of a view have the same box.
        boxes: (N, 4) float: left, top, width and height in pixels; need not be whole.
        mirrored: (N,) bool, whether left and right change places.
        size: Side of the output.

    Returns:
        (N, F, size, size) float.
    """
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


def shrink(pixels: Tensor, side: int) -> Tensor:
    """Frames (N, F, H, W) with a short side of `side` pixels, antialiased; as they are if they are not much larger."""
    height, width = pixels.shape[-2:]
    factor = side / min(height, width)
    if factor * PRE_SHRINK >= 1:
        return pixels
    smaller = (max(side, round(height * factor)), max(side, round(width * factor)))
    return F.interpolate(pixels, size=smaller, mode="bilinear", antialias=True)


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
    weights = torch.exp(-places.square() / (2 * sigma.square()[:, None]))  # (N, k)
    weights = weights / weights.sum(dim=1, keepdim=True)
    kernels = repeat(weights, "n k -> (n f) 1 k 1", f=frames)
    # Every frame is a channel with a kernel of its own; along columns, then along rows.
    blurred = rearrange(F.pad(pixels, [radius] * 4, mode="replicate"), "n f h w -> 1 (n f) h w")
    blurred = F.conv2d(blurred, kernels, groups=N * frames)
    blurred = F.conv2d(blurred, kernels.mT, groups=N * frames)
    return rearrange(blurred, "1 (n f) h w -> n f h w", n=N)
