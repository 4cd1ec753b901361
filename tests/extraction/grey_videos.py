"""Videos whose frame i is grey of level 16 i, a model whose vectors say which frames it saw; extraction with both."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from videossl.data import VideoIndex
from videossl.data.decode.pyav import PyAVReader
from videossl.extraction import Extracted, ExtractionSettings, extract
from videossl.types import Embeddings
from videossl.worlds.video_file import write_video

FPS = 10
GREY_STEP = 16
LENGTHS = {"long/a.mp4": 11, "long/b.mp4": 8, "short/c.mp4": 3, "short/image.mp4": 1}
NAMES = {field.name for field in fields(ExtractionSettings)}


class Encoder:
    tubelet_frames = 2


class GreyLevel:
    """A model whose frame vectors say the frame numbers in a tubelet, and whose representation is their mean."""

    encoder = Encoder()
    pooling = "mean"

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def embed(self, frames: Tensor) -> Embeddings:
        self.batch_sizes.append(len(frames))
        numbers = frames.float().mean(dim=(2, 3, 4)) / GREY_STEP  # (B, T)
        vectors = numbers.unflatten(1, (-1, 2))  # (B, T', 2): the frames of each tubelet
        pooled = vectors.mean(dim=1)
        return Embeddings(pooled, pooled, vectors)


def write_grey(folder: Path, lengths: Mapping[str, int] = LENGTHS, *, first: int = 0) -> Path:
    """Videos of these lengths, whose first frame is number `first`."""
    for name, length in lengths.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        grey = torch.arange(first, first + length, dtype=torch.uint8) * GREY_STEP
        write_video(folder / name, grey.view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous(), frames_per_second=FPS)
    return folder


def extracted(
    videos: Path, out: Path, model: GreyLevel | None = None, *, read: bool = True, **options: object
) -> tuple[Extracted, pd.DataFrame]:
    """Extract with options of `ExtractionSettings` and of `extract`; what is left behind, and all rows."""
    index = VideoIndex.build(videos, heldout_share=0.0, num_workers=0)
    what: dict[str, object] = {"frame_size": 32, "clip_frames": 4}
    how: dict[str, object] = {"reader": PyAVReader, "isolate": False}
    for name, value in options.items():
        (what if name in NAMES else how)[name] = value
    done = extract(model or GreyLevel(), index, settings=ExtractionSettings(**what), out=out, **how)  # type: ignore[arg-type]
    return done, pd.read_parquet(out) if read else pd.DataFrame()


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in an order that does not depend on the shards."""
    return table.sort_values(["video", "frame"], ignore_index=True)
