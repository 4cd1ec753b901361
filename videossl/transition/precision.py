"""Arithmetic in float32 at least: what mathematics on latents and embeddings asks for, whatever autocast says."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Autocast off for this device."""
    with torch.autocast(device_type=device.type, enabled=False):
        yield


def at_least_float32(values: Tensor) -> Tensor:
    """The same values in float32, or in float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
