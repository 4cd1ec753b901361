"""Colour changes of a view as one 3x3 matrix and one offset."""

import math

import torch
from torch import Tensor

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
# RGB -> luma and two axes of chroma: a turn of the chroma plane changes the hue and leaves the luma as it is.
RGB_TO_YIQ = (GREY_WEIGHTS, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def colour_matrix(
    brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor, is_grey: Tensor
) -> tuple[Tensor, Tensor]:
    """What brightness, contrast, saturation, hue and greyscale, one after the other, do to a colour.

    Contrast is changed around the mean grey of the view; the mean is linear in the colours, so it is taken afterwards:
    the result of a pixel is `matrix @ rgb + offset_share * mean_grey`, with `mean_grey` of the unchanged view.

    Args:
        brightness: (N,) factor; 1 changes nothing.
        contrast: (N,) factor.
        saturation: (N,) factor; 0 is grey.
        hue: (N,) turns of the chroma plane; 0 changes nothing.
        is_grey: (N,) bool.

    Returns:
        Matrix (N, 3, 3) and offset share (N,).
    """
    device = brightness.device
    grey = torch.tensor(GREY_WEIGHTS, device=device).expand(3, 3)  # every channel becomes the grey value
    to_yiq = torch.tensor(RGB_TO_YIQ, device=device)
    angle = 2 * math.pi * hue
    turn = torch.zeros(len(hue), 3, 3, device=device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 2, 1] = angle.sin()
    turn[:, 1, 2] = -angle.sin()
    turned = torch.linalg.inv(to_yiq) @ turn @ to_yiq  # (N, 3, 3)
    amount = saturation[:, None, None]
    saturated = amount * torch.eye(3, device=device) + (1 - amount) * grey
    matrix = turned @ saturated
    matrix = torch.where(is_grey[:, None, None], grey @ matrix, matrix)
    # All of these leave greys alone, so the offset that contrast brings passes through them unchanged.
    return matrix * (brightness * contrast)[:, None, None], brightness * (1 - contrast)


def recolour(pixels: Tensor, matrix: Tensor, offset_share: Tensor) -> Tensor:
    """Apply a colour matrix of `colour_matrix` to views.

    Args:
        pixels: (N, T, 3, L) float, all pixels of T frames of a view; any range.
        matrix: (N, 3, 3).
        offset_share: (N,).

    Returns:
        (N, T, 3, L) float, not clamped.
    """
    weights = torch.tensor(GREY_WEIGHTS, device=pixels.device)
    mean_grey = pixels.mean(dim=(1, 3)) @ weights  # (N,)
    changed = matrix[:, None] @ pixels
    return changed.add_((offset_share * mean_grey)[:, None, None, None])
