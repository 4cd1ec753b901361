"""Random views of frames, on the device, a whole batch at once."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from videossl.data.colour import colour_matrix, recolour
from videossl.data.resampling import blur, crop_and_resize, shrink
from videossl.errors import UsageError

BLUR_RADIUS_SIGMAS = 3  # 0.3 % of the weight of a Gaussian lies beyond


class Augment(nn.Module):
    """uint8 views -> float views, randomly cropped, flipped, recoloured and blurred.

    All frames of a view get the same parameters. Crop boxes and flips are shared by the views of a video, so that
    motion from view to view is real, unless `shared_crop` is off; colours and blur are drawn for each view.

    Crop, resize and flip are one bilinear sampling of all frames of the batch. Colour is one 3x3 matrix and an offset:
    brightness, then contrast around the mean grey of the view, then saturation, hue (a turn of the chroma plane) and
    greyscale; clamped to [0, 1] once, at the end. What is switched off costs nothing.

    In eval mode frames are resized only.

    Args:
        size: Side of the output in pixels.
        scale: Least and most area of the crop, as a share of the frame.
        ratio: Least and most width / height of the crop; log-uniform. A side longer than the frame is cut to it.
        shared_crop: One crop and flip for all views of a video, or one for each.
        flip_probability: Of mirroring left and right.
        brightness, contrast, saturation: Factors are drawn from 1 - x to 1 + x.
        hue: Turns are drawn from -x to +x; 0.5 is half a turn.
        jitter_probability: Of changing brightness, contrast, saturation and hue at all.
        greyscale_probability: Of taking the colour away.
        blur_probability: Of blurring.
        blur_sigma: Least and most standard deviation of the blur, in pixels of the output.
    """

    def __init__(
        self,
        size: int = 64,
        scale: tuple[float, float] = (0.5, 1.0),
        ratio: tuple[float, float] = (0.75, 4 / 3),
        shared_crop: bool = True,
        flip_probability: float = 0.5,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        jitter_probability: float = 0.8,
        greyscale_probability: float = 0.2,
        blur_probability: float = 0.5,
        blur_sigma: tuple[float, float] = (0.1, 1.0),
    ) -> None:
        super().__init__()
        if size < 1:
            raise UsageError(f"expected a size of at least 1 pixel, got {size}.")
        if not 0 < scale[0] <= scale[1] <= 1:
            raise UsageError(f"expected scale as (least, most) share of the area, 0 < least <= most <= 1, got {scale}.")
        for name, span in (("ratio", ratio), ("blur_sigma", blur_sigma)):
            if not 0 < span[0] <= span[1]:
                raise UsageError(f"expected {name} as (least, most) with 0 < least <= most, got {span}.")
        for name, value, most in (
            ("flip_probability", flip_probability, 1.0),
            ("jitter_probability", jitter_probability, 1.0),
            ("greyscale_probability", greyscale_probability, 1.0),
            ("blur_probability", blur_probability, 1.0),
            ("brightness", brightness, 1.0),
            ("contrast", contrast, 1.0),
            ("saturation", saturation, 1.0),
            ("hue", hue, 0.5),
        ):
            if not 0 <= value <= most:
                raise UsageError(f"expected {name} from 0 to {most:g}, got {value}.")
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.shared_crop = shared_crop
        self.flip_probability = flip_probability
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.jitter_probability = jitter_probability
        self.greyscale_probability = greyscale_probability
        self.blur_probability = blur_probability
        self.blur_sigma = blur_sigma

    @torch.no_grad()
    def forward(self, clips: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Augmented views.

        Args:
            clips: (B, V, T, C, H, W) uint8, RGB.
            generator: Of all random choices; torch's own on the CPU if it is None.

        Returns:
            (B, V, T, C, size, size) float32 in [0, 1], on the device of `clips`.
        """
        if clips.ndim != 6 or clips.shape[3] != 3 or clips.dtype != torch.uint8:
            raise ValueError(
                f"expected clips of shape (B, V, T, 3, H, W) uint8, got {tuple(clips.shape)} {clips.dtype}."
            )
        B, V, T = clips.shape[:3]
        pixels = rearrange(clips, "b v t c h w -> (b v) (t c) h w").float().div_(255)
        # Half precision would round places and weights of pixels.
        with torch.autocast(clips.device.type, enabled=False):
            if self.training:
                pixels = self._crop(pixels, B, V, generator)
                pixels = self._recolour(pixels, B, V, generator)
                pixels = self._blur(pixels, B, V, generator)
            elif pixels.shape[-2:] != (self.size, self.size):
                pixels = F.interpolate(pixels, size=(self.size, self.size), mode="bilinear", antialias=True)
        return rearrange(pixels, "(b v) (t c) h w -> b v t c h w", b=B, t=T)

    def _crop(self, pixels: Tensor, B: int, V: int, generator: torch.Generator | None) -> Tensor:
        """(B V, F, H, W) -> (B V, F, size, size)."""
        area, ratio, left, top, flip = _uniform(5, B, V, generator, shared=self.shared_crop)
        is_whole = self.scale[0] == 1 and max(self.ratio) == min(self.ratio) == 1 and self.flip_probability == 0
        if is_whole and pixels.shape[-2:] == (self.size, self.size):
            return pixels
        pixels = shrink(pixels, math.ceil(self.size / math.sqrt(self.scale[0])))
        height, width = pixels.shape[-2:]
        box_area = _between(*self.scale, area) * height * width
        box_ratio = _between(math.log(self.ratio[0]), math.log(self.ratio[1]), ratio).exp()
        box_width = (box_area * box_ratio).sqrt().clamp_max(width)
        box_height = (box_area / box_ratio).sqrt().clamp_max(height)
        boxes = torch.stack([left * (width - box_width), top * (height - box_height), box_width, box_height], dim=1)
        mirrored = flip < self.flip_probability
        device = pixels.device
        return crop_and_resize(
            pixels, boxes.to(device, non_blocking=True), mirrored.to(device, non_blocking=True), self.size
        )

    def _recolour(self, pixels: Tensor, B: int, V: int, generator: torch.Generator | None) -> Tensor:
        """(B V, T 3, h, w) -> the same shape."""
        jitter, grey, *amounts = _uniform(6, B, V, generator)
        has_jitter = self.jitter_probability > 0 and max(self.brightness, self.contrast, self.saturation, self.hue) > 0
        if not has_jitter and self.greyscale_probability == 0:
            return pixels
        is_jittered = (jitter < self.jitter_probability).float()
        # From -1 to 1 where the view is jittered, 0 where it is not.
        brightness, contrast, saturation, hue = ((2 * amount - 1) * is_jittered for amount in amounts)
        matrix, offset_share = colour_matrix(
            1 + self.brightness * brightness,
            1 + self.contrast * contrast,
            1 + self.saturation * saturation,
            self.hue * hue,
            grey < self.greyscale_probability,
        )
        device, size = pixels.device, self.size
        changed = recolour(
            rearrange(pixels, "n (t c) h w -> n t c (h w)", c=3),
            matrix.to(device, non_blocking=True),
            offset_share.to(device, non_blocking=True),
        )
        return rearrange(changed.clamp_(0, 1), "n t c (h w) -> n (t c) h w", h=size, w=size)

    def _blur(self, pixels: Tensor, B: int, V: int, generator: torch.Generator | None) -> Tensor:
        """(B V, F, h, w) -> the same shape; overwrites `pixels`."""
        draw, sigma = _uniform(2, B, V, generator)
        chosen = (draw < self.blur_probability).nonzero().flatten()
        if len(chosen):
            radius = math.ceil(BLUR_RADIUS_SIGMAS * self.blur_sigma[1])
            sigmas = _between(*self.blur_sigma, sigma[chosen]).to(pixels.device, non_blocking=True)
            chosen = chosen.to(pixels.device, non_blocking=True)
            pixels.index_copy_(0, chosen, blur(pixels[chosen], sigmas, radius))
        return pixels


def _uniform(
    amount: int, B: int, V: int, generator: torch.Generator | None, *, shared: bool = False
) -> tuple[Tensor, ...]:
    """`amount` tensors (B V,) of numbers from 0 to 1, on the CPU; shared: equal for all views of a video."""
    # Drawn on the CPU unless the generator lives elsewhere: the same numbers for every device.
    device = generator.device if generator is not None else "cpu"
    numbers = torch.rand(amount, B, 1 if shared else V, generator=generator, device=device).cpu()
    return rearrange(numbers.expand(amount, B, V), "n b v -> n (b v)").unbind()


def _between(low: float, high: float, share: Tensor) -> Tensor:
    return low + (high - low) * share
