"""Crop, recolour and blur on a CPU, with all frames of a view side by side at every pixel: (N, H, W, F), F = T 3.

The same as `resampling` and `colour`, which are for GPUs, at half the time. So laid out, resizing and blurring are
weighted sums of few long runs of numbers, what embedding bags are made for.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from videossl.data.colour import GREY_WEIGHTS
from videossl.data.resampling import gaussian

MOST_FRAMES_TOGETHER = 8  # whose colours are changed by one matrix; mostly zeros, but large enough to be fast


def crop_taps(boxes: Tensor, mirrored: Tensor, height: int, width: int, size: int) -> dict[str, Tensor]:
    """Rows and columns of which outputs are weighted sums, (N, size, 2) each, for `crop_and_resize`.

    Args:
        boxes: (N, 4) float: left, top, width and height in pixels; need not be whole.
        mirrored: (N,) bool, whether left and right change places.
        height: Of the frames.
        width: Of the frames.
        size: Side of the output.
    """
    left, top, box_width, box_height = boxes.unbind(dim=1)
    rows, row_weights = _two_taps(top, box_height, height, size)
    columns, column_weights = _two_taps(left, box_width, width, size)
    columns = torch.where(mirrored[:, None, None], columns.flip(1), columns)
    column_weights = torch.where(mirrored[:, None, None], column_weights.flip(1), column_weights)
    return {"rows": rows, "row_weights": row_weights, "columns": columns, "column_weights": column_weights}


def crop_and_resize(pixels: Tensor, taps: dict[str, Tensor]) -> Tensor:
    """See `resampling.crop_and_resize`; uint8 or float (N, F, H, W) -> float (N, size, size, F), by `crop_taps`."""
    N, frames, height, width = pixels.shape
    size = taps["rows"].shape[1]
    scale = 1 / 255 if pixels.dtype == torch.uint8 else 1.0
    beside = rearrange(pixels, "n f h w -> n h w f").contiguous().float()
    rows = taps["rows"] + height * torch.arange(N)[:, None, None]
    squeezed = _weighted_sums(beside.view(N * height, width * frames), rows, taps["row_weights"] * scale)
    columns = taps["columns"][:, None] + width * torch.arange(N * size).view(N, size, 1, 1)
    weights = taps["column_weights"][:, None].expand(-1, size, -1, -1)
    return _weighted_sums(squeezed.view(N * size * width, frames), columns, weights).view(N, size, size, frames)


def colour_blocks(matrix: Tensor, num_frames: int) -> Tensor:
    """(N, 3, 3) colour matrices -> (N, 3 k, 3 k) for k frames at a time, k a divisor of `num_frames`."""
    together = max(number for number in range(1, MOST_FRAMES_TOGETHER + 1) if num_frames % number == 0)
    blocks = torch.einsum("tu,nij->ntjui", torch.eye(together), matrix)
    return blocks.reshape(len(matrix), 3 * together, 3 * together)


def offsets(pixels: Tensor, offset_share: Tensor) -> list[float]:
    """What contrast adds to every value of a view, one number for each of the views (N, h, w, T 3)."""
    channels = pixels.shape[-1]
    mean_colour = pixels.view(len(pixels), -1, channels).mean(dim=1).view(len(pixels), -1, 3).mean(dim=1)
    added: list[float] = (offset_share * (mean_colour @ torch.tensor(GREY_WEIGHTS))).tolist()
    return added


def recolour(pixels: Tensor, block: Tensor, offset: float, out: Tensor) -> Tensor:
    """See `colour.recolour`; one view (h, w, T 3) -> `out` of the same shape, clamped to [0, 1], by `colour_blocks`."""
    together = len(block)
    torch.mm(pixels.view(-1, together), block, out=out.view(-1, together))
    return out.add_(offset).clamp_(0, 1)


def recolour_turned(pixels: Tensor, block: Tensor, offset: float, out: Tensor) -> Tensor:
    """The same into `out` (T 3, h w): the product turns over what has to be turned over anyway."""
    together = len(block)
    if len(out) == together:
        torch.mm(block.T, pixels.view(-1, together).T, out=out)
    else:
        groups = pixels.view(-1, len(out) // together, together).permute(1, 2, 0)  # (groups, channels, h w)
        torch.matmul(block.T, groups, out=out.view(len(out) // together, together, -1))
    return out.add_(offset).clamp_(0, 1)


def blur(pixels: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """See `resampling.blur`; (n, h, w, F), each view with its `sigma` (n,), -> (n, h, w, F)."""
    height, width, frames = pixels.shape[1:]
    places = torch.arange(-radius, radius + 1)
    weights = gaussian(places, sigma)[:, None]  # (n, 1, k)
    views = torch.arange(len(pixels))[:, None, None]
    rows = (torch.arange(height)[:, None] + places).clamp(0, height - 1) + height * views
    down = _weighted_sums(pixels.view(-1, width * frames), rows, weights.expand(-1, height, -1))
    columns = (torch.arange(width)[:, None] + places).clamp(0, width - 1)
    columns = columns + width * torch.arange(len(pixels) * height)[:, None, None]
    across = _weighted_sums(down.view(-1, frames), columns, weights.expand(-1, height * width, -1))
    return across.view_as(pixels)


def _two_taps(begin: Tensor, length: Tensor, extent: int, size: int) -> tuple[Tensor, Tensor]:
    """The two pixels, of `extent`, between which each of `size` outputs lies, and their weights: (N, size, 2)."""
    places = begin[:, None] + (torch.arange(size) + 0.5) * (length / size)[:, None] - 0.5
    places = places.clamp(0, extent - 1)
    first = places.floor().clamp_max(max(0, extent - 2))
    share = places - first
    taps = torch.stack([first, (first + 1).clamp_max(extent - 1)], dim=-1)
    return taps.long(), torch.stack([1 - share, share], dim=-1)


def _weighted_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Sums of k weighted rows: table (R, L), rows and weights (..., k) -> (n, L), n the product of the leading axes."""
    taps = rows.shape[-1]
    return F.embedding_bag(rows.reshape(-1, taps), table, mode="sum", per_sample_weights=weights.reshape(-1, taps))
