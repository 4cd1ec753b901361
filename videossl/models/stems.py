"""Stems: how pixels become the first tokens of a video transformer, one for each tubelet."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from videossl.errors import UsageError


class LinearStem(nn.Linear):
    """One linear map of all pixels of a tubelet, as in ViViT (arXiv:2103.15691).

    Args:
        width: Token dimension E.
        patch_size: Side of a tubelet in pixels.
        tubelet_frames: Frames of a tubelet.
    """

    def __init__(self, width: int, patch_size: int, tubelet_frames: int) -> None:
        # A matrix product: a Conv3d whose stride is its kernel computes the same, at half the speed.
        super().__init__(tubelet_frames * 3 * patch_size**2, width)
        self.patch_size = patch_size
        self.tubelet_frames = tubelet_frames

    def forward(self, clips: Tensor, pixel_mean: Tensor, pixel_std: Tensor) -> Tensor:  # type: ignore[override]
        """(B, T, 3, H, W) -> (B, T', H', W', E)."""
        tubelets = rearrange(
            clips,
            "b (t dt) c (h dh) (w dw) -> b t h w (dt c dh dw)",
            dt=self.tubelet_frames, dh=self.patch_size, dw=self.patch_size,
        )  # fmt: skip
        # Pixels are normalised by folding mean and deviation into the weights: no pass over the pixels is needed.
        mean, std = (
            repeat(value, "c 1 1 -> (dt c pixels)", dt=self.tubelet_frames, pixels=self.patch_size**2)
            for value in (pixel_mean, pixel_std)
        )
        weight = self.weight / std  # (E, pixels of a tubelet)
        return F.linear(tubelets, weight, self.bias - weight @ mean)


class ConvStem(nn.Module):
    """Overlapping convolutions over space, the frames of a tubelet side by side as channels (arXiv:2106.14881).

    A linear map has to learn every place within a patch by itself; convolutions share between places what they learn.

    Args:
        width: Token dimension E.
        patch_size: Side of a tubelet in pixels: the product of the strides.
        tubelet_frames: Frames of a tubelet.
        channels: Channels between the convolutions; one less than strides.
        strides: Stride of each convolution; kernels are twice as wide, so that neighbours overlap.

    Raises:
        UsageError: Strides that do not make the patch size, or do not fit the channels.
    """

    def __init__(
        self,
        width: int,
        patch_size: int,
        tubelet_frames: int,
        *,
        channels: Sequence[int] = (32,),
        strides: Sequence[int] = (4, 3),
    ) -> None:
        super().__init__()
        if math.prod(strides) != patch_size or len(channels) != len(strides) - 1 or min([*channels, *strides]) < 1:
            raise UsageError(
                f"expected strides whose product is patch_size={patch_size} and one channel less than strides, got "
                f"strides {list(strides)} and channels {list(channels)}. For patches of 16: strides [4, 4]."
            )
        self.tubelet_frames = tubelet_frames
        widths = [3 * tubelet_frames, *channels, width]
        # Kernel minus stride is even, so that equal padding on both sides gives one output a stride.
        kernels = [2 * stride - stride % 2 for stride in strides]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(here, there, kernel, stride, padding=(kernel - stride) // 2)
            for here, there, kernel, stride in zip(widths[:-1], widths[1:], kernels, strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, channel) for channel in channels)

    def forward(self, clips: Tensor, pixel_mean: Tensor, pixel_std: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T', H', W', E)."""
        planes = rearrange(clips, "b (t dt) c h w -> (b t) (dt c) h w", dt=self.tubelet_frames)
        planes = planes.contiguous(memory_format=torch.channels_last)  # half the time on a CPU
        mean, std = (repeat(value, "c 1 1 -> (dt c) 1 1", dt=self.tubelet_frames) for value in (pixel_mean, pixel_std))
        first = self.convolutions[0]
        assert isinstance(first, nn.Conv2d)  # made above; for the type checker
        assert first.bias is not None
        # As in LinearStem; beyond the frame is black, as pixels there are 0 before they are normalised.
        weight = first.weight / std
        bias = first.bias - (weight * mean).sum(dim=(1, 2, 3))
        hidden = F.conv2d(planes, weight, bias, first.stride, first.padding)
        for norm, convolution in zip(self.norms, self.convolutions[1:], strict=True):
            hidden = convolution(F.gelu(norm(hidden)))
        # By the length of time: a batch size taken from Python's len() would be a constant of an exported file.
        return rearrange(hidden, "(b t) e h w -> b t h w e", t=clips.shape[1] // self.tubelet_frames)
