"""Extract with the model of a run directory, on clips like those that it was trained on."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from videossl.data import VideoIndex
from videossl.data.settings import DataSettings
from videossl.data.sources.mixing import Videos, absolute_videos
from videossl.errors import UsageError
from videossl.extraction.extract import FAILURES, INDEX, MARKS, Extracted, check_options, delete_extraction, extract
from videossl.extraction.pipeline import make_shards
from videossl.extraction.ray_engine import RayEngine
from videossl.extraction.resume import Vanished
from videossl.extraction.settings import ExtractionSettings, Level, Precision, StoredType, VideoPooling
from videossl.extraction.stores.formats import Format
from videossl.files import check_output
from videossl.loading import find_model_files, load, load_data_settings
from videossl.wording import counted

NAMES_SHOWN = 5


def extract_run(
    run: Path | str,
    *,
    videos: Videos,
    out: Path,
    level: Level = "frame",
    clip_frames: int | None = None,
    step_frames: int | None = None,
    overlap_frames: int | None = None,
    frame_size: int | None = None,
    frame_stride: int | None = None,
    target_fps: float | None = None,
    video_pooling: VideoPooling = "mean",
    dtype: StoredType | None = None,
    precision: Precision = "float32",
    file_format: Format = "parquet",
    engine: Literal["local", "ray"] = "local",
    num_actors: int | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    compiled: bool = False,
    num_workers: int | None = None,
    vanished: Vanished = "remove",
    allow_failures: bool = False,
    overwrite: bool = False,
) -> int:
    """Embed videos with the model of a run: reader, frame size, clip length and stride are those of its training.

    Arguments that are not here: see `ExtractionSettings` and `extract`.

    Args:
        run: Whatever `videossl.load` takes.
        videos: Whatever `find_videos` takes, or an index of videos.
        out: Folder for the files. Where it holds embeddings, only videos that are new or have changed are read.
        overlap_frames: Frames that a window shares with the next; instead of `step_frames`.
        engine: "local": this process makes the shards; "ray": a Ray cluster does.
        num_actors: Of engine "ray", see `RayEngine`.
        allow_failures: Whether videos that could not be read leave exit code 0.
        overwrite: Make everything anew, once the model is loaded and the videos are found.

    Returns:
        Exit code: 0, or 1 if a video could not be read and `allow_failures` is false.

    Raises:
        UsageError: No finished run, no such videos, or a folder that holds something else.
    """
    check_output(out, overwrite=True, marks=MARKS)
    if num_actors is not None and engine != "ray":
        raise UsageError("--num_actors belongs to --engine ray. Leave it out, or choose that engine.")
    data = load_data_settings(run)
    rate = _rate(data, frame_stride, target_fps)
    settings = ExtractionSettings(
        frame_size=data.frame_size if frame_size is None else frame_size,
        clip_frames=(length := data.clips.num_frames if clip_frames is None else clip_frames),
        step_frames=_step(length, step_frames, overlap_frames),
        level=level,
        video_pooling=video_pooling,
        precision=precision,
        dtype=dtype,
        frame_stride=rate[0],
        target_fps=rate[1],
    )
    files = find_model_files(run)
    model = load(run, device=device)
    check_options(
        model, settings, batch_size=batch_size, num_workers=num_workers, vanished=vanished, file_format=file_format
    )
    known = out / INDEX
    index = VideoIndex.build(
        videos,
        heldout_share=0.0,
        num_workers=os.cpu_count() or 1,
        known=known if known.is_file() else None,
    )
    if overwrite and out.exists():
        delete_extraction(out)
    out.mkdir(parents=True, exist_ok=True)
    index.save(known)
    done = extract(
        model,
        index,
        settings=settings,
        reader=data.reader,
        out=out,
        file_format=file_format,
        batch_size=batch_size,
        device=device,
        compiled=compiled,
        num_workers=num_workers,
        vanished=vanished,
        about={
            "run": _absolute(run),
            "weights_sha256": files.weights_sha256(),
            "config": files.config,
            "videos": absolute_videos(videos),
        },
        isolate=data.isolate,
        deadline_seconds=data.deadline_seconds,
        engine=RayEngine(num_actors) if engine == "ray" else make_shards,
    )
    print("\n".join(_lines(done, out, settings)))
    return 1 if done.failures and not allow_failures else 0


def _absolute(run: Path | str) -> str:
    """Where the model lies, from whatever folder it is asked; a hub id as it is."""
    return str(Path(run).absolute()) if Path(run).exists() else str(run)


def _step(clip_frames: int, step_frames: int | None, overlap_frames: int | None) -> int | None:
    if overlap_frames is None:
        return step_frames
    if step_frames is not None:
        raise UsageError("--step_frames and --overlap_frames say the same in two ways. Give one of them.")
    if not 0 <= overlap_frames < clip_frames:
        raise UsageError(
            f"expected overlap_frames from 0 to {clip_frames - 1} (clip_frames - 1), got {overlap_frames}."
        )
    return clip_frames - overlap_frames


def _rate(data: DataSettings, frame_stride: int | None, target_fps: float | None) -> tuple[int, float | None]:
    """Frame stride and frame rate: as in training, unless something else is asked for."""
    if frame_stride is not None and target_fps is not None:
        raise UsageError("--frame_stride and --target_fps are two ways to sample frames. Give one of them.")
    if frame_stride is not None or target_fps is not None:
        return 1 if frame_stride is None else frame_stride, target_fps
    return data.clips.frame_stride, data.clips.target_fps


def _lines(done: Extracted, out: Path, settings: ExtractionSettings) -> list[str]:
    """What was done, for a reader."""
    lines = []
    if done.changed:
        lines.append(f"of {_count(done.changed, 'changed ')} the rows were replaced: {_some(done.changed)}")
    if done.vanished:
        are = "is" if len(done.vanished) == 1 else "are"
        lines.append(
            f"of {_count(done.vanished)} that {are} not among the videos any more the rows were removed: "
            f"{_some(done.vanished)}"
        )
    if done.num_kept:
        are = "is" if done.num_new == 1 else "are"
        their = "its" if done.num_kept == 1 else "their"
        lines.append(f"{_count(done.num_kept)} had {their} rows already, {_count(done.num_new)} {are} new")
    files = counted(len(done.shards), "file")
    lines.append(
        f"wrote {counted(done.num_new_rows, 'row')} (one per {settings.level}) of {done.width} numbers; "
        f"{counted(done.num_rows, 'row')} in {files}: {out}"
    )
    if done.num_filled:
        are = "is" if done.num_filled == 1 else "are"
        clip = f"a clip of {settings.clip_frames} frames"
        lines.append(f"{_count(done.num_filled)} {are} shorter than {clip}: the last frame was repeated")
    lines += [f"could not read {failure.video}: {failure.cause}" for failure in done.failures[:NAMES_SHOWN]]
    if done.failures:
        lines.append(f"{_count(done.failures)} could not be read, or not whole: all are listed in {out / FAILURES}")
    return lines


def _count(videos: int | Sequence[object], kind: str = "") -> str:
    return counted(videos if isinstance(videos, int) else len(videos), f"{kind}video")


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
