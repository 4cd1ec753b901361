"""Verbs that write embeddings: `extract`."""

from pathlib import Path
from typing import Literal

from videossl.data.sources import VideoSet
from videossl.loading import usable


def extract(
    *,
    run: str,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    level: Literal["frame", "clip", "video", "token"] = "frame",
    clip_frames: int | None = None,
    step_frames: int | None = None,
    overlap_frames: int | None = None,
    frame_size: int | None = None,
    frame_stride: int | None = None,
    target_fps: float | None = None,
    video_pooling: Literal["mean", "max", "mean_max", "last"] = "mean",
    dtype: Literal["float32", "float16"] | None = None,
    format: Literal["parquet", "npy", "safetensors", "lance"] = "parquet",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
    compile: bool = False,
    batch_size: int = 64,
    num_workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    num_actors: int | None = None,
    device: str = "cpu",
    vanished: Literal["remove", "keep"] = "remove",
    allow_failures: bool = False,
    overwrite: bool = False,
) -> int:
    """Write the embeddings of videos, or add those of new and changed videos to what is there.

    Stopped at any moment, the same command goes on: finished files are kept, unfinished ones are never seen. Exit code
    1 if a video cannot be read, or not whole; _failures.csv in OUT lists such videos with the causes.

    Args:
        run: Run directory of the model, a weights file, or whatever else `videossl.load` takes.
        videos: Folder tree of videos, one file, a list or table of paths, tar shards, a URL, an index, or several sets.
        out: Folder for the files.
        level: One row per frame (per tubelet, in time), per clip, per video, or per token.
        clip_frames: Frames of a window, the clip that the model sees at once; as in training if it is not given.
        step_frames: Frames from the start of a window to the start of the next; clip_frames if it is not given.
        overlap_frames: Frames that a window shares with the one before, instead of step_frames. At level frame they are
            what the new frames of a window are seen with.
        frame_size: Side of the frames in pixels; as in training if it is not given.
        frame_stride: Every so many frames of the file one is taken; as in training if it is not given.
        target_fps: Frames taken per second, instead of frame_stride.
        video_pooling: Of the clips of a video, at level video: mean, max, both side by side, or the last clip.
        dtype: Type of the numbers on disk; float16 at level token if it is not given, else float32.
        format: parquet; npy or safetensors, with a Parquet table of the rows beside them; or a Lance table.
        precision: Of the model's arithmetic.
        compile: Compile the model with torch.compile: a minute at the start, worth it for hours of video on a GPU. On a
            CPU it saves nothing; there, precision bfloat16 does where the processor has it.
        batch_size: Clips per pass of the encoder.
        num_workers: Processes that decode; one per core if it is not given.
        engine: "local": this machine. "ray": a Ray cluster (the one of the variable RAY_ADDRESS, or one started here),
            whose actors make whole files; videos and OUT must be within their reach.
        num_actors: Models that run at a time with engine ray; as many as there is room for if it is not given.
        device: Where the model runs: "cpu", "cuda", "mps".
        vanished: What happens to the rows of videos that are not among the videos any more.
        allow_failures: Leave with exit code 0 though videos could not be read.
        overwrite: Make everything anew.
    """
    from videossl.extraction.run import extract_run

    return extract_run(
        run,
        videos=videos,
        out=out,
        level=level,
        clip_frames=clip_frames,
        step_frames=step_frames,
        overlap_frames=overlap_frames,
        frame_size=frame_size,
        frame_stride=frame_stride,
        target_fps=target_fps,
        video_pooling=video_pooling,
        dtype=dtype,
        precision=precision,
        file_format=format,
        batch_size=batch_size,
        device=usable(device),
        compiled=compile,
        num_workers=num_workers,
        engine=engine,
        num_actors=num_actors,
        vanished=vanished,
        allow_failures=allow_failures,
        overwrite=overwrite,
    )
