"""What a row of an embedding table is: a frame, a clip or a whole video."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from videossl.extraction.clips import Clip, SampledVideo

Level = Literal["frame", "clip", "video"]


@dataclass(frozen=True)
class EmbeddedClip:
    """A clip with its representation (E,) and its frame vectors (T', E), float32."""

    clip: Clip
    representation: np.ndarray
    frames: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Rows of one video: the position of the sampled frame that each stands at, and vectors (n, E)."""

    video: SampledVideo
    positions: tuple[int, ...]
    vectors: np.ndarray


def frame_rows(clips: Iterable[EmbeddedClip]) -> Iterator[Rows]:
    """One row per tubelet time, at its first frame: every sampled frame is in exactly one."""
    for embedded in clips:
        times, positions = zip(*embedded.clip.window.rows, strict=True)
        if times[-1] >= len(embedded.frames):
            raise ValueError(
                f"expected frame vectors up to tubelet time {times[-1]}, got {len(embedded.frames)} of them. "
                "Does model.encoder.tubelet_frames say what its encoder does?"
            )
        yield Rows(embedded.clip.video, positions, embedded.frames[list(times)])


def clip_rows(clips: Iterable[EmbeddedClip]) -> Iterator[Rows]:
    """One row per clip, at its first frame."""
    for embedded in clips:
        yield Rows(embedded.clip.video, (embedded.clip.window.start,), embedded.representation[None])


def video_rows(clips: Iterable[EmbeddedClip]) -> Iterator[Rows]:
    """One row per video, at frame 0: the mean of its clips, each weighted by the frames that no earlier clip covers.

    A video of which a clip could not be read has no row.
    """
    for video, of_video in groupby(clips, key=lambda embedded: embedded.clip.video):
        total: np.ndarray | float = 0.0
        num_frames = 0
        for embedded in of_video:
            num_new = embedded.clip.window.num_new
            total = total + embedded.representation.astype(np.float64) * num_new
            num_frames += num_new
        if num_frames == len(video.frames):
            yield Rows(video, (0,), np.asarray(total / num_frames)[None])


ROWS: dict[Level, Callable[[Iterable[EmbeddedClip]], Iterator[Rows]]] = {
    "frame": frame_rows,
    "clip": clip_rows,
    "video": video_rows,
}
POOLING: dict[Level, str] = {
    "frame": "mean over the space of one tubelet time",
    "clip": "{} over the tokens of a clip",
    "video": "{} over the tokens of a clip, then the mean over the clips of the video",
}
