"""Random views of frames, on the device, a whole batch at once."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from videossl.data import pixel_major
from videossl.data.augment_parameters import AugmentParameters, between, generator_of, uniform
from videossl.data.colour import colour_matrix, recolour
from videossl.data.resampling import as_float, blur, crop_and_resize, shrink, shrunk_shape
from videossl.errors import UsageError

CPU_PIXELS = 2**20  # of the frames of a few views: a megabyte as bytes, about the cache of a core
BLUR_RADIUS_SIGMAS = 3  # 0.3 % of the weight of a Gaussian lies beyond


class Augment(nn.Module):
    """uint8 views -> float views, randomly cropped, flipped, recoloured and blurred.

    All frames of a view get the same parameters. Crop boxes and flips are shared by the views of a video, so that
    motion from view to view is real, unless `shared_crop` is off; colours and blur are drawn for each view.

    Crop, resize and flip are one bilinear sampling of all frames of the batch. Colour is one 3x3 matrix and an offset:
    brightness, then contrast around the mean grey of the view, then saturation, hue (a turn of the chroma plane) and
    greyscale; clamped to [0, 1] once, at the end. Then blur, then solarisation. What is switched off costs nothing.

    In eval mode frames are resized only.

    What was done can be done again: `augment(clips, seed=3)` gives the same each time, and
    `augment.apply(clips, augment.draw(B, V))` is `augment(clips)` in two steps, with the parameters in between.

    Args:
        size: Side of the output in pixels.
        scale: Least and most area of the crop, as a share of the frame.
        ratio: Least and most width / height of the crop; log-uniform. A side longer than the frame is cut to it.
        shared_crop: One crop and flip for all views of a video, or one for each.
        flip_probability: Of mirroring left and right.
        brightness: Factors are drawn from 1 - x to 1 + x.
        contrast: The same.
        saturation: The same.
        hue: Turns are drawn from -x to +x; 0.5 is half a turn.
        jitter_probability: Of changing brightness, contrast, saturation and hue at all.
        greyscale_probability: Of taking the colour away.
        blur_probability: Of blurring.
        blur_sigma: Least and most standard deviation of the blur, in pixels of the output.
        solarise_probability: Of inverting all values from `solarise_threshold` on.
        solarise_threshold: From 0 to 1.
        reverse_probability: Of running the frames of a view backwards. What is learnt from the order of time is lost by
            it; the frame numbers and seconds of the batch stay those of the clip as it was cut.
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
        solarise_probability: float = 0.0,
        solarise_threshold: float = 0.5,
        reverse_probability: float = 0.0,
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
            ("solarise_probability", solarise_probability, 1.0),
            ("solarise_threshold", solarise_threshold, 1.0),
            ("reverse_probability", reverse_probability, 1.0),
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
        self.solarise_probability = solarise_probability
        self.solarise_threshold = solarise_threshold
        self.reverse_probability = reverse_probability

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels of the views that come out."""
        return (self.size,)

    def num_views_from(self, num_clips: int) -> int:
        """Views V that are made of so many clips of a video."""
        return num_clips

    @torch.no_grad()
    def forward(self, clips: Tensor, generator: torch.Generator | None = None, *, seed: int | None = None) -> Tensor:
        """Augmented views.

        Args:
            clips: (B, V, T, C, H, W) uint8, RGB.
            generator: Of all random choices; torch's own on the CPU if it is None.
            seed: Of a new generator, instead.

        Returns:
            (B, V, T, C, size, size) float32 in [0, 1], on the device of `clips`.
        """
        _check(clips)
        B, V = clips.shape[:2]
        if self.training:
            return self.apply(clips, self.draw(B, V, generator, seed=seed))
        pixels = rearrange(clips, "b v t c h w -> (b v) (t c) h w").float().div_(255)
        with torch.autocast(clips.device.type, enabled=False):
            if pixels.shape[-2:] != (self.size, self.size):
                pixels = F.interpolate(pixels, size=(self.size, self.size), mode="bilinear", antialias=True)
        return rearrange(pixels, "(b v) (t c) h w -> b v t c h w", b=B, c=3)

    def draw(
        self, B: int, V: int, generator: torch.Generator | None = None, *, seed: int | None = None
    ) -> AugmentParameters:
        """Parameters of the views of a batch; the same random numbers are drawn whatever is switched on or off.

        Only solarisation and reversal draw theirs if they can happen: they came later, and a seed should give what it
        always gave.
        """
        generator = generator_of(generator, seed)
        area, ratio, left, top, flip = uniform(5, B, V, generator, shared=self.shared_crop)
        jitter, grey, *amounts = uniform(6, B, V, generator)
        blurred, sigma = uniform(2, B, V, generator)
        never = torch.zeros(B, V, dtype=torch.bool)
        solarised, backwards = (
            uniform(1, B, V, generator)[0] < probability if probability > 0 else never
            for probability in (self.solarise_probability, self.reverse_probability)
        )
        is_jittered = (jitter < self.jitter_probability).float()
        # From -1 to 1 where the view is jittered, 0 where it is not.
        brightness, contrast, saturation, hue = ((2 * amount - 1) * is_jittered for amount in amounts)
        return AugmentParameters(
            area=between(*self.scale, area),
            ratio=between(math.log(self.ratio[0]), math.log(self.ratio[1]), ratio).exp(),
            left=left,
            top=top,
            mirrored=flip < self.flip_probability,
            brightness=1 + self.brightness * brightness,
            contrast=1 + self.contrast * contrast,
            saturation=1 + self.saturation * saturation,
            hue=self.hue * hue,
            grey=grey < self.greyscale_probability,
            blur_sigma=torch.where(blurred < self.blur_probability, between(*self.blur_sigma, sigma), 0),
            solarised=solarised,
            reversed=backwards,
        )

    @torch.no_grad()
    def apply(self, clips: Tensor, parameters: AugmentParameters) -> Tensor:  # type: ignore[override]
        """Views changed by parameters of `draw`: the same pixels each time, whatever the mode.

        Args:
            clips: (B, V, T, C, H, W) uint8, RGB.
            parameters: Of B videos and V views.

        Returns:
            (B, V, T, C, size, size) float32 in [0, 1], on the device of `clips`.
        """
        _check(clips)
        if parameters.area.shape != clips.shape[:2]:
            raise ValueError(
                f"expected parameters of {tuple(clips.shape[:2])} (videos, views), got {tuple(parameters.area.shape)}."
            )
        flat = {name: value.flatten() for name, value in parameters.tensors().items()}
        pixels = rearrange(clips, "b v t c h w -> (b v) (t c) h w")
        # On a CPU a few views at a time, so that they stay in its cache from step to step.
        at_once = max(1, CPU_PIXELS // pixels[0].numel()) if pixels.device.type == "cpu" else len(pixels)
        out = torch.empty(*clips.shape[:4], self.size, self.size, device=clips.device)
        views = rearrange(out, "b v t c h w -> (b v) t c h w")
        # Half precision would round places and weights of pixels.
        with torch.autocast(clips.device.type, enabled=False):
            flat |= _colours(parameters)
            if pixels.device.type == "cpu":
                flat |= self._plans_for_cpu(pixels, flat)
            for first in range(0, len(pixels), max(1, at_once)):
                some = slice(first, first + at_once)
                self._change(pixels[some], {name: value[some] for name, value in flat.items()}, views[some])
        return out

    def _change(self, pixels: Tensor, flat: dict[str, Tensor], out: Tensor) -> None:
        """Some views (n, T 3, H, W) uint8 -> `out` (n, T, 3, size, size) float."""
        change = self._change_on_cpu if pixels.device.type == "cpu" else self._change_on_device
        change(pixels, flat, out)
        for chosen in _chosen(flat["reversed"], pixels.device):
            out[chosen] = out[chosen].flip(1)
        for chosen in _chosen(flat["solarised"], pixels.device):
            bright = out[chosen]
            out[chosen] = torch.where(bright >= self.solarise_threshold, 1 - bright, bright)

    def _change_on_cpu(self, pixels: Tensor, flat: dict[str, Tensor], out: Tensor) -> None:
        """(n, T 3, H, W) uint8 -> `out`: cropped, recoloured, blurred."""
        if not flat.keys() & {"rows", "blocks"} and not (flat["blur_sigma"] > 0).any():
            # Nothing is changed: no turning of the pixels.
            torch.div(pixels, 255, out=out.view_as(pixels))
            return
        if "rows" in flat:
            pixels = pixel_major.crop_and_resize(shrink(pixels, self._shrunk_side), flat)
        else:
            pixels = rearrange(as_float(pixels), "n f h w -> n h w f").contiguous()
        by_frame = rearrange(out, "n t c h w -> n (t c) (h w)")
        sigma = flat["blur_sigma"]
        blurred = [number for number, size in enumerate(sigma.tolist()) if size > 0]
        sharp = [number for number in range(len(pixels)) if number not in blurred]
        if "blocks" in flat:
            offsets = pixel_major.offsets(pixels, flat["offset_share"])
            for number in sharp:
                pixel_major.recolour_turned(pixels[number], flat["blocks"][number], offsets[number], by_frame[number])
            soft = torch.empty(len(blurred), *pixels.shape[1:])
            for place, number in enumerate(blurred):
                pixel_major.recolour(pixels[number], flat["blocks"][number], offsets[number], soft[place])
        else:
            by_frame[sharp] = rearrange(pixels[sharp], "n h w f -> n f (h w)")
            soft = pixels[blurred]
        if blurred:
            soft = rearrange(pixel_major.blur(soft, sigma[blurred], self._blur_radius), "n h w f -> n f (h w)")
            by_frame[blurred] = soft

    def _plans_for_cpu(self, pixels: Tensor, flat: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `_change_on_cpu` needs of all views: small tensors, made once."""
        plans = {}
        if not self._keeps_pixels(pixels, flat):
            height, width = shrunk_shape(pixels.shape[-2], pixels.shape[-1], self._shrunk_side)
            boxes = self._boxes(height, width, flat)
            plans = pixel_major.crop_taps(boxes, flat["mirrored"], height, width, self.size)
        if "matrix" in flat:
            plans["blocks"] = pixel_major.colour_blocks(flat["matrix"], pixels.shape[1] // 3)
        return plans

    def _change_on_device(self, pixels: Tensor, flat: dict[str, Tensor], out: Tensor) -> None:
        """The same in the layout that suits GPUs."""
        # What is looked at stays on the CPU, so that nothing waits for the device.
        sigma = flat["blur_sigma"]
        moved = {name: value.to(pixels.device, non_blocking=True) for name, value in flat.items()}
        if self._keeps_pixels(pixels, flat):
            pixels = as_float(pixels)
        else:
            pixels = shrink(pixels, self._shrunk_side)
            pixels = crop_and_resize(
                pixels, self._boxes(pixels.shape[-2], pixels.shape[-1], moved), moved["mirrored"], self.size
            )
        if "matrix" in flat:
            by_frame = rearrange(pixels, "n (t c) h w -> n t c (h w)", c=3)
            pixels = recolour(by_frame, moved["matrix"], moved["offset_share"]).clamp_(0, 1).view_as(pixels)
        for chosen in _chosen(sigma > 0, pixels.device):
            sigmas = sigma[sigma > 0].to(pixels.device, non_blocking=True)
            pixels.index_copy_(0, chosen, blur(pixels[chosen], sigmas, self._blur_radius))
        out.copy_(rearrange(pixels, "n (t c) h w -> n t c h w", c=3))

    @property
    def _shrunk_side(self) -> int:
        return math.ceil(self.size / math.sqrt(self.scale[0]))

    @property
    def _blur_radius(self) -> int:
        return math.ceil(BLUR_RADIUS_SIGMAS * self.blur_sigma[1])

    def _keeps_pixels(self, pixels: Tensor, flat: dict[str, Tensor]) -> bool:
        """Whether crop, resize and flip change nothing."""
        is_whole = (flat["area"] == 1).all() and (flat["ratio"] == 1).all() and not flat["mirrored"].any()
        return bool(is_whole) and pixels.shape[-2:] == (self.size, self.size)

    def _boxes(self, height: int, width: int, flat: dict[str, Tensor]) -> Tensor:
        """(n, 4) left, top, width and height of the crops in pixels."""
        box_area = flat["area"] * height * width
        box_width = (box_area * flat["ratio"]).sqrt().clamp_max(width)
        box_height = (box_area / flat["ratio"]).sqrt().clamp_max(height)
        left, top = flat["left"] * (width - box_width), flat["top"] * (height - box_height)
        return torch.stack([left, top, box_width, box_height], dim=1)


def _colours(parameters: AugmentParameters) -> dict[str, Tensor]:
    """Colour matrix and offset share of all views, or nothing if no view is recoloured."""
    factors = [parameters.brightness, parameters.contrast, parameters.saturation]
    if not (parameters.grey.any() or parameters.hue.any() or (torch.stack(factors) != 1).any()):
        return {}
    brightness, contrast, saturation = (factor.flatten() for factor in factors)
    matrix, offset_share = colour_matrix(
        brightness, contrast, saturation, parameters.hue.flatten(), parameters.grey.flatten()
    )
    return {"matrix": matrix, "offset_share": offset_share}


def _check(clips: Tensor) -> None:
    if clips.ndim != 6 or clips.shape[3] != 3 or clips.dtype != torch.uint8:
        raise ValueError(f"expected clips of shape (B, V, T, 3, H, W) uint8, got {tuple(clips.shape)} {clips.dtype}.")


def _chosen(mask: Tensor, device: torch.device) -> list[Tensor]:
    """[numbers of the views that are chosen], or [] if none is."""
    return [mask.nonzero().flatten().to(device, non_blocking=True)] if mask.any() else []
