"""What a row of an embedding table is: a frame, a clip, a whole video, or the tokens of a frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from videossl.extraction.encoding import EmbeddedClip
from videossl.extraction.sampling import SampledVideo
from videossl.extraction.settings import Level, VideoPooling


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one video.

    Attributes:
        video: The video.
        positions: (n,) of the sampled frame that each stands at.
        vectors: (n, E) float32.
        num_repeated: (n,) frames behind each row that show the same as the frame before them.
        near_damage: (n,) whether the window before or behind that of the row could not be read.
        places: (n, 2) row and column of each token in the grid of its tubelet time, at level "token"; else None.
    """

    video: SampledVideo
    positions: tuple[int, ...]
    vectors: NDArray[np.float32]
    num_repeated: tuple[int, ...]
    near_damage: tuple[bool, ...]
    places: NDArray[np.int16] | None = None


def frame_rows(clips: Iterable[EmbeddedClip]) -> Iterator[Rows]:
    """One row per tubelet time, or one for each of its tokens, at its first frame: every frame is in exactly one."""
    for embedded, vectors, near_damage in _with_neighbours(clips):
        window = embedded.clip.window
        if not window.rows:
            continue
        times, positions = zip(*window.rows, strict=True)
        if times[-1] >= len(vectors):
            raise ValueError(
                f"expected frame vectors up to tubelet time {times[-1]}, got {len(vectors)} of them. "
                "Does model.encoder.tubelet_frames say what its encoder does?"
            )
        video = embedded.clip.video
        tubelet = video.windows.tubelet_frames
        repeats = video.repeats(window.positions)
        num_repeated = [0] * len(times)
        if repeats.any():
            num_repeated = [int(repeats[time * tubelet : (time + 1) * tubelet - 1].sum()) for time in times]
        rows = Rows(video, positions, vectors[list(times)], tuple(num_repeated), (near_damage,) * len(times))
        yield rows if vectors.ndim == 2 else _tokens_apart(rows)


def _tokens_apart(rows: Rows) -> Rows:
    """One row per token instead of one per tubelet time, with vectors (n, H', W', E)."""
    _, height, width, _ = rows.vectors.shape
    each = height * width
    places = np.stack(np.divmod(np.arange(each), width), axis=1).astype(np.int16)
    return Rows(
        rows.video,
        tuple(np.repeat(rows.positions, each).tolist()),
        rearrange(rows.vectors, "n h w e -> (n h w) e"),
        tuple(np.repeat(rows.num_repeated, each).tolist()),
        tuple(np.repeat(rows.near_damage, each).tolist()),
        np.tile(places, (len(rows.positions), 1)),
    )


def clip_rows(clips: Iterable[EmbeddedClip]) -> Iterator[Rows]:
    """One row per clip, at its first frame."""
    for embedded, vectors, near_damage in _with_neighbours(clips):
        video, window = embedded.clip.video, embedded.clip.window
        yield Rows(video, (window.start,), vectors, (int(video.repeats(window.positions).sum()),), (near_damage,))


def video_rows(clips: Iterable[EmbeddedClip], pooling: VideoPooling = "mean") -> Iterator[Rows]:
    """One row per video, at frame 0, pooled over its clips; none if one of its clips could not be read.

    Args:
        clips: Of one video.
        pooling: "mean": each clip is weighted by the frames that no earlier clip covers; "max": per dimension;
            "mean_max": both side by side; "last": the last clip.
    """
    total: NDArray[np.float64] | float = 0.0
    highest: NDArray[np.float32] | None = None
    num_frames = 0
    for embedded in clips:
        if embedded.vectors is None:
            return
        window, vector = embedded.clip.window, embedded.vectors[0]
        num_new = max(1, window.num_new)
        total = total + vector.astype(np.float64) * num_new
        num_frames += num_new
        highest = vector if highest is None else np.maximum(highest, vector)
        if embedded.clip.is_last:
            video = embedded.clip.video
            mean = np.asarray(total / num_frames, dtype=np.float32)
            pooled = {"mean": mean, "max": highest, "mean_max": np.concatenate([mean, highest]), "last": vector}
            num_repeated = int((np.diff(video.frames) == 0).sum()) + window.num_repeated
            yield Rows(video, (0,), pooled[pooling][None], (num_repeated,), (False,))


def _with_neighbours(
    clips: Iterable[EmbeddedClip],
) -> Iterator[tuple[EmbeddedClip, NDArray[np.float32], bool]]:
    """The clips of a video that could be read, with their vectors, and whether a neighbour could not."""
    held: tuple[EmbeddedClip, NDArray[np.float32], bool] | None = None
    damage_before = False
    for embedded in clips:
        lost = embedded.vectors is None
        if held is not None:
            yield held[0], held[1], held[2] or lost
        held = None if embedded.vectors is None else (embedded, embedded.vectors, damage_before)
        damage_before = lost
    if held is not None:
        yield held


def rows_of(clips: Iterable[EmbeddedClip], level: Level, pooling: VideoPooling) -> Iterator[Rows]:
    """The rows of one video at a level."""
    if level == "video":
        return video_rows(clips, pooling)
    return clip_rows(clips) if level == "clip" else frame_rows(clips)
