"""Embed videos and write one row a frame, clip or video."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from videossl import __version__
from videossl.data import VideoIndex
from videossl.data.decode.base import VideoReader
from videossl.data.isolated_reader import Readers
from videossl.errors import UsageError, WorkError
from videossl.extraction.clips import Clip, batched, read_clips, sampled_videos
from videossl.extraction.levels import POOLING, ROWS, EmbeddedClip, Level
from videossl.extraction.shards import ShardWriter
from videossl.files import replacing
from videossl.progress import progress
from videossl.types import Embeddings, Failure

FAILURES = "_failures.csv"  # readers of Parquet folders pass over names that begin with _


class TubeletEncoder(Protocol):
    """An encoder that joins so many frames to one step in time."""

    tubelet_frames: int


class Embedder(Protocol):
    """What extraction needs of a model: `videossl.load(run)` gives one."""

    @property
    def encoder(self) -> TubeletEncoder:
        """The encoder."""

    @property
    def pooling(self) -> str:
        """How tokens become one representation, by name."""

    def embed(self, frames: Tensor) -> Embeddings:
        """(B, T, 3, H, W) uint8 -> `Embeddings`."""


@dataclass(frozen=True)
class Extracted:
    """What an extraction leaves behind.

    Attributes:
        num_rows: Rows written.
        width: Numbers in an embedding, E.
        shards: The Parquet files.
        failures: Videos that could not be read, or not to their end.
        num_filled: Videos shorter than a clip; filled by repeating their last frame.
    """

    num_rows: int
    width: int
    shards: tuple[Path, ...]
    failures: tuple[Failure, ...]
    num_filled: int


def extract(
    model: Embedder,
    index: VideoIndex,
    *,
    reader: type[VideoReader],
    frame_size: int,
    num_frames: int,
    frame_stride: int = 1,
    target_fps: float | None = None,
    level: Level = "frame",
    out: Path,
    batch_size: int = 64,
    rows_per_shard: int = 100_000,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    about: Mapping[str, object] | None = None,
    isolate: bool = True,
    deadline_seconds: float | None = 10.0,
) -> Extracted:
    """Embed every video of an index, and write Parquet shards and `_failures.csv`.

    A video is sampled at `frame_stride` (frames 0, s, 2s, ...) or `target_fps`, and cut into clips of `num_frames` as
    `windows.cut` says: every sampled frame is covered exactly once. Rows of level

    - "frame": one per tubelet time, `Embeddings.frames`; `frame` and `seconds` are those of its first frame;
    - "clip": one per clip, `Embeddings.representation`; `frame` and `seconds` are those of its first frame. The last
      clip of a video ends with the video and may overlap the one before;
    - "video": one per video, the mean of the representations of its clips, each weighted by the frames that only it
      covers; `frame` is 0.

    Args:
        model: On `device`, in evaluation mode.
        index: Videos; its unreadable ones are listed among the failures.
        reader: Class that decodes.
        frame_size: Side of the square frames in pixels, as in training.
        num_frames: Frames T of a clip, as in training.
        frame_stride: Distance of the frames of a clip, as in training.
        target_fps: Sampled frames per second, as in training; instead of `frame_stride`.
        level: What a row is.
        out: Folder for the shards.
        batch_size: Clips per pass of the encoder; batches are filled across videos.
        rows_per_shard: Rows of every Parquet file but the last.
        device: Where the model is.
        dtype: float32, or bfloat16 or float16 for autocast. Rows are float32 in any case.
        about: More to be said in the metadata of the shards, for example the run.
        isolate: Decode in a process beside this one: a decoder that crashes or hangs costs one video.
        deadline_seconds: A video that gives nothing for so long, to its opening or for every 256 frames that are read
            at a time, is given up; None: none is. Needs `isolate`.

    Raises:
        UsageError: Options that cannot work, or embeddings in `out` already.
        WorkError: No video could be read, or the model gives numbers that are none.
    """
    for name, value in (("batch_size", batch_size), ("num_frames", num_frames), ("frame_stride", frame_stride)):
        if value < 1:
            raise UsageError(f"expected {name} of at least 1, got {value}.")
    videos = sampled_videos(
        index,
        frame_stride=frame_stride,
        target_fps=target_fps,
        clip_frames=num_frames,
        tubelet_frames=model.encoder.tubelet_frames,
    )
    settings = {
        "package_version": __version__,
        "level": level,
        "pooling": POOLING[level].format(model.pooling),
        "frame_size": frame_size,
        "num_frames": num_frames,
        "frame_stride": frame_stride if target_fps is None else None,
        "target_fps": target_fps,
        "dtype": str(dtype).removeprefix("torch."),
        "reader": reader.__name__,
    }
    failures = list(index.failures)
    writer = ShardWriter(out, rows_per_shard=rows_per_shard, about={**settings, **(about or {})})
    with Readers(reader, isolate=isolate, deadline_seconds=deadline_seconds) as readers:
        clips = progress(
            read_clips(videos, readers=readers, frame_size=frame_size, failures=failures),
            total=sum(len(video.windows) for video in videos),
            description="extracting",
            unit="clip",
        )
        for rows in ROWS[level](_embedded(model, batched(clips, batch_size), device=device, dtype=dtype)):
            writer.add(rows)
    writer.close()
    _write_failures(out / FAILURES, failures)
    if not writer.shards:
        raise WorkError(
            f"none of the {len(index)} videos could be read; the causes are listed in {out / FAILURES}. "
            f"The first: {failures[0].video}: {failures[0].cause}"
        )
    num_filled = sum(len(video.frames) < num_frames for video in videos)
    return Extracted(writer.num_rows, writer.width, tuple(writer.shards), tuple(failures), num_filled)


def _embedded(
    model: Embedder, batches: Iterable[list[Clip]], *, device: torch.device | str, dtype: torch.dtype
) -> Iterator[EmbeddedClip]:
    for batch in batches:
        clips = rearrange([torch.from_numpy(clip.pixels) for clip in batch], "b t h w c -> b t c h w").to(device)
        with torch.autocast(clips.device.type, dtype, enabled=dtype != torch.float32):
            embeddings = model.embed(clips)
        representations, frames = (
            values.float().cpu().numpy() for values in (embeddings.representation, embeddings.frames)
        )
        for clip, representation, vectors in zip(batch, representations, frames, strict=True):
            if not (np.isfinite(representation).all() and np.isfinite(vectors).all()):
                raise WorkError(
                    f"the model's embedding of {clip.video.name} is not finite. Its weights are broken, or {dtype} is "
                    "too narrow for it: try float32."
                )
            yield EmbeddedClip(clip, representation, vectors)


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["video", "cause"])
        lines.writerows((failure.video, failure.cause) for failure in failures)
