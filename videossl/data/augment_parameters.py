"""What an augmentation does to each view, as tensors that can be logged, saved and used again."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from videossl.errors import UsageError


@dataclass(frozen=True)
class AugmentParameters:
    """Parameters of B V views, each (B, V) on the CPU. None depends on the size of the frames.

    Attributes:
        area: float, area of the crop as a share of the frame.
        ratio: float, width / height of the crop in pixels.
        left: float from 0 to 1, place of the crop: 0 at the left border, 1 at the right one.
        top: The same from top to bottom.
        mirrored: bool, left and right change places.
        brightness: float, factor; 1 changes nothing.
        contrast: float, factor around the mean grey of the view.
        saturation: float, factor.
        hue: float, turns of the chroma plane; 0 changes nothing.
        grey: bool, the colour is taken away.
        blur_sigma: float, standard deviation in pixels of the output; 0 for none.
        solarised: bool, bright values are inverted.
        reversed: bool, the frames run backwards.
    """

    area: Tensor
    ratio: Tensor
    left: Tensor
    top: Tensor
    mirrored: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    blur_sigma: Tensor
    solarised: Tensor
    reversed: Tensor

    def __post_init__(self) -> None:
        for name, value in self.tensors().items():
            if value.ndim != 2 or value.shape != self.area.shape:
                raise ValueError(
                    f"expected {name} of shape (B, V) = {tuple(self.area.shape)}, got {tuple(value.shape)}."
                )

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name: `AugmentParameters(**torch.load(...))` makes the same again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def generator_of(generator: torch.Generator | None, seed: int | None) -> torch.Generator | None:
    """The generator that was given, or a new one of a seed; None is torch's own.

    Raises:
        UsageError: Both were given.
    """
    if seed is None:
        return generator
    if generator is not None:
        raise UsageError("expected a generator or a seed, got both.")
    return torch.Generator().manual_seed(seed)


def uniform(
    amount: int, B: int, V: int, generator: torch.Generator | None, *, shared: bool = False
) -> tuple[Tensor, ...]:
    """`amount` tensors (B, V) of numbers from 0 to 1, on the CPU; shared: equal for all views of a video."""
    # Drawn on the CPU unless the generator lives elsewhere: the same numbers for every device.
    device = generator.device if generator is not None else "cpu"
    numbers = torch.rand(amount, B, 1 if shared else V, generator=generator, device=device).cpu()
    return numbers.expand(amount, B, V).unbind()


def between(low: float, high: float, share: Tensor) -> Tensor:
    """From `low` at a share of 0 to `high` at 1."""
    return low + (high - low) * share
