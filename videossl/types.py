"""Axis legend, and the few values that cross a door between packages.

Axes, always in this order and these letters:

| letter | axis |
|---|---|
| `B` | videos of a batch |
| `V` | views of one video |
| `T` | frames of a clip (`T'` after the tubelet embedding) |
| `C H W` | pixels |
| `N` | tokens |
| `D` | embedding (`E` where the width of the encoder is meant) |
| `R` | latent `r` |
| `P` | ordered pairs of the view graph |
| `K` | sampled futures |
| `S` | steps of a rollout |
| `M` | true branches of a context |
| `J` | decoys of a context |

A batch of views is `(B, V, T, C, H, W)` uint8 until it is on the device; embeddings of views are `(V, B, D)`.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Failure:
    """A video that could not be read, and why: one line, no traceback."""

    video: str
    cause: str


@dataclass(frozen=True)
class ViewBatch:
    """Views cut out of a batch of videos.

    Attributes:
        clips: (B, V, T, C, H, W) uint8, RGB.
        frames: (B, V, T) int64, frame number in the file.
        seconds: (B, V, T) float64, presentation time from the first frame of the file.
        videos: (B,) int64, row of the video in its `VideoIndex`.
        labels: (B,) int64, class of the video; -1 where it has none.
        failures: Videos that were asked for and could not be read; another video stands in their place.
    """

    clips: Tensor
    frames: Tensor
    seconds: Tensor
    videos: Tensor
    labels: Tensor
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        if self.clips.ndim != 6 or self.clips.dtype != torch.uint8:
            raise ValueError(
                f"expected clips of shape (B, V, T, C, H, W) uint8, got {tuple(self.clips.shape)} {self.clips.dtype}"
            )
        leading = tuple(self.clips.shape[:3])
        for name, wanted in (
            ("frames", leading),
            ("seconds", leading),
            ("videos", leading[:1]),
            ("labels", leading[:1]),
        ):
            got = tuple(getattr(self, name).shape)
            if got != wanted:
                raise ValueError(f"expected {name} of shape {wanted} beside clips {tuple(self.clips.shape)}, got {got}")

    def __len__(self) -> int:
        return len(self.clips)

    def _map(self, method: str, *args: object, **kwargs: object) -> "ViewBatch":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: getattr(value, method)(*args, **kwargs) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        return ViewBatch(**moved)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ViewBatch":
        """The same batch on another device."""
        return self._map("to", device, non_blocking=non_blocking)

    def pin_memory(self) -> "ViewBatch":
        """The same batch in page-locked memory, so that it can be copied to a GPU while the GPU computes."""
        return self._map("pin_memory")


@dataclass(frozen=True)
class Embeddings:
    """What an encoder says of a batch of clips.

    Attributes:
        representation: (B, E) float, pooled encoder output before the projector; any scale. What probes and
            extraction use.
        embedding: (B, D) float, projected and L2-normalised: the space in which futures are predicted.
        frames: (B, T', E) float, one vector per tubelet in time, spatial mean; same scale as `representation`.
    """

    representation: Tensor
    embedding: Tensor
    frames: Tensor
