"""What is extracted, and how: everything that changes a row or its meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from videossl import __version__
from videossl.data.decode.base import VideoReader
from videossl.errors import UsageError
from videossl.extraction.embedder import Embedder, is_causal
from videossl.extraction.sampling import Sampling

Level = Literal["frame", "clip", "video", "token"]
VideoPooling = Literal["mean", "max", "mean_max", "last"]
Precision = Literal["float32", "bfloat16", "float16"]
StoredType = Literal["float32", "float16"]
POOLING: dict[Level, str] = {
    "frame": "mean over the space of one tubelet time",
    "clip": "{0} over the tokens of a clip",
    "video": "{0} over the tokens of a clip, then {1} over the clips of the video",
    "token": "none",
}
# What two extractions must have in common to lie in one folder.
MUST_AGREE = (
    "level", "pooling", "frame_size", "clip_frames", "step_frames", "frame_stride", "target_fps",
    "reader", "precision", "dtype", "tubelet_frames", "causal",
)  # fmt: skip


@dataclass(frozen=True)
class ExtractionSettings:
    """What is extracted, and how.

    A video is sampled at `frame_stride` (frames 0, s, 2s, ...) or `target_fps`, and cut into windows of `clip_frames`
    that begin every `step_frames`, see `Windows`. Rows of level

    - "frame": one per tubelet time, `Embeddings.frames`; `frame` and `seconds` are those of its first frame. Each comes
      from the first window that covers it, so that overlap gives it frames before it to be seen with;
    - "clip": one per window, `Embeddings.representation`; `frame` and `seconds` are those of its first frame;
    - "video": one per video, `video_pooling` over the representations of its windows; `frame` is 0;
    - "token": H' * W' per tubelet time, one for each of its tokens, with their place in its grid (`token_row`,
      `token_column`, from the top left); `frame` and `seconds` as at level "frame".

    Attributes:
        frame_size: Side of the square frames in pixels, as in training.
        clip_frames: Frames T of a window, as in training.
        step_frames: Frames from the start of a window to the start of the next; None: `clip_frames`, no overlap.
        frame_stride: Distance of the frames of a window in frames of the file, as in training.
        target_fps: Sampled frames per second, as in training; instead of `frame_stride`.
        level: What a row is.
        video_pooling: At level "video": "mean" (weighted by the frames that only a window covers), "max", "mean_max"
            (both side by side) or "last".
        precision: Of the encoder's arithmetic: "float32", or "bfloat16" or "float16" for autocast.
        dtype: Of the vectors on disk; None: float16 for tokens, float32 for all else.
    """

    frame_size: int
    clip_frames: int
    step_frames: int | None = None
    frame_stride: int = 1
    target_fps: float | None = None
    level: Level = "frame"
    video_pooling: VideoPooling = "mean"
    precision: Precision = "float32"
    dtype: StoredType | None = None

    def __post_init__(self) -> None:
        check_choice("level", self.level, get_args(Level))
        check_choice("video_pooling", self.video_pooling, get_args(VideoPooling))
        check_choice("precision", self.precision, get_args(Precision))
        if self.dtype is not None:
            check_choice("dtype", self.dtype, get_args(StoredType))
        for name in ("frame_size", "clip_frames", "step_frames", "frame_stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"expected {name} of at least 1, got {value}.")
        if self.target_fps is not None and not 0 < self.target_fps < float("inf"):
            raise UsageError(f"expected target_fps above 0, got {self.target_fps}.")

    @property
    def stored_type(self) -> StoredType:
        """Type of the vectors on disk."""
        return self.dtype or ("float16" if self.level == "token" else "float32")

    @property
    def torch_precision(self) -> torch.dtype:
        """Type of the encoder's arithmetic."""
        types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        return types[self.precision]

    def sampling(self, model: Embedder) -> Sampling:
        """How videos are sampled and cut for a model.

        Raises:
            UsageError: Windows whose tubelets do not lie on those of the window before, or that leave out frames that
                are to have rows.
        """
        step = self.step_frames or self.clip_frames
        tubelet = model.encoder.tubelet_frames
        if self.level in ("frame", "token"):
            if step > self.clip_frames:
                raise UsageError(
                    f"expected step_frames of at most clip_frames = {self.clip_frames} at level {self.level}, got "
                    f"{step}: frames between windows would have no row. Choose level clip, or a shorter step."
                )
            if step != self.clip_frames and (step % tubelet or self.clip_frames % tubelet):
                raise UsageError(
                    f"expected step_frames and clip_frames that are multiples of the {tubelet} frames of a tubelet, so "
                    f"that those of overlapping windows fall together, got {step} and {self.clip_frames}."
                )
        return Sampling(
            clip_frames=self.clip_frames,
            step_frames=step,
            frame_stride=self.frame_stride,
            target_fps=self.target_fps,
            tubelet_frames=tubelet,
            fill_end=is_causal(model) and self.level in ("frame", "token"),
        )

    def about(self, model: Embedder, reader: type[VideoReader]) -> dict[str, object]:
        """What is written with the rows about how they were made."""
        return {
            "package_version": __version__,
            "level": self.level,
            "pooling": POOLING[self.level].format(model.pooling, self.video_pooling),
            "frame_size": self.frame_size,
            "preprocessing": f"centre square of the picture, resized to {self.frame_size} pixels, RGB from 0 to 255",
            "clip_frames": self.clip_frames,
            "step_frames": self.step_frames or self.clip_frames,
            "frame_stride": self.frame_stride if self.target_fps is None else None,
            "target_fps": self.target_fps,
            "tubelet_frames": model.encoder.tubelet_frames,
            "causal": is_causal(model),
            "precision": self.precision,
            "dtype": self.stored_type,
            "reader": reader.__name__,
        }


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a value that is none of these.

    Raises:
        UsageError: It is none.
    """
    if value not in choices:
        raise UsageError(f"expected {name} to be one of {', '.join(choices)}, got {value!r}.")


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """In which of the settings that must agree two extractions differ, one line each."""
    # Rows of earlier versions know the file of the weights only.
    model = "model_sha256" if before.get("model_sha256") is not None else "weights_sha256"
    return [
        f"{name} was {before.get(name)}, and is now {now.get(name)}"
        for name in (model, *MUST_AGREE)
        if before.get(name) != now.get(name)
    ]
