"""What is asked of a model, looked at before anything is computed."""

import numbers
from pathlib import Path

import torch
from torch import Tensor

from videossl.errors import UsageError

LARGEST_SEED = 2**63 - 1
CLIPS, VIDEO = "(B, T, 3, H, W)", "(T, 3, H, W)"


def check_counts(**counts: object) -> None:
    """Refuse numbers of samples, steps or frames that are none.

    Args:
        counts: By the names that callers know them by.

    Raises:
        UsageError: One is no whole number, or below 1.
    """
    for name, count in counts.items():
        if not isinstance(count, numbers.Integral) or int(count) < 1:
            raise UsageError(f"expected {name} >= 1, got {count!r}. Give a whole number of at least 1.")


def check_seed(seed: object, *, largest: int = LARGEST_SEED) -> None:
    """Refuse a seed that not everything that draws can take.

    Args:
        seed: Whatever a caller gave.
        largest: That all can take: torch's generators, if nothing else is said.

    Raises:
        UsageError: No whole number from 0 to `largest`.
    """
    if not isinstance(seed, numbers.Integral) or not 0 <= int(seed) <= largest:
        raise UsageError(f"expected a seed from 0 to {largest}, got {seed!r}. Give a whole number in that range.")


def check_frames(frames: object, *, shape: str = CLIPS) -> None:
    """Refuse what are no decoded frames.

    Args:
        frames: Whatever a caller gave.
        shape: `CLIPS` or `VIDEO`.

    Raises:
        UsageError: Another type or shape, or none at all.
    """
    num_axes = shape.count(",") + 1
    if isinstance(frames, str | Path):
        remedy = "Decode the file first, for example with videossl.data.PyAVReader."
    elif not isinstance(frames, Tensor):
        remedy = "Give a torch.Tensor: torch.from_numpy(frames) of an array."
    elif frames.dtype != torch.uint8:
        remedy = "Give colours from 0 to 255 as uint8."
    elif shape == CLIPS and frames.ndim == num_axes - 1:
        remedy = "A single clip needs a leading axis: frames[None]."
    elif frames.ndim != num_axes:
        remedy = f"Give {num_axes} axes."
    elif frames.numel() == 0:
        remedy = "Give at least one of each axis" + (": B >= 1 clips." if shape == CLIPS else ".")
    else:
        return
    what = "frames" if shape == CLIPS else "a video"
    raise UsageError(f"expected {what} of shape {shape} uint8, got {described(frames)}. {remedy}")


def described(value: object) -> str:
    """What was given, for messages: the shape and type of a tensor, the class of anything else."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {value.dtype}"
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
