"""Extract with the model of a run directory, on the clips that it was trained on."""

import os
import shutil
from pathlib import Path

from videossl.data import VideoIndex
from videossl.data.sources.mixing import Videos
from videossl.extraction.extract import FAILURES, extract
from videossl.extraction.levels import Level
from videossl.files import check_output
from videossl.loading import find_model_files, load, load_data_settings

FAILURES_SHOWN = 5


def extract_run(
    run: Path,
    *,
    videos: Videos,
    out: Path,
    level: Level = "frame",
    batch_size: int = 64,
    device: str = "cpu",
    overwrite: bool = False,
) -> int:
    """Embed videos with the model of a run: reader, frame size, clip length and stride are those of its training.

    Args:
        run: Run directory.
        videos: Whatever `find_videos` takes, or an index of videos.
        out: Folder for the Parquet files.
        level: One row per frame, per clip or per video.
        batch_size: Clips per pass of the encoder.
        device: Where the model runs.
        overwrite: Replace the embeddings in a folder that exists, once the model is loaded and the videos are found.

    Returns:
        Exit code: 0, or 1 if a video could not be read.

    Raises:
        UsageError: No finished run, no such videos, or a folder that may not be replaced.
    """
    check_output(out, overwrite=overwrite, marks=("part-00000.parquet", FAILURES))
    data = load_data_settings(run)
    model = load(run, device=device)
    index = VideoIndex.build(videos, heldout_share=0.0, num_workers=os.cpu_count() or 1)
    weights_hash = find_model_files(run).weights_sha256()
    shutil.rmtree(out, ignore_errors=True)
    done = extract(
        model,
        index,
        reader=data.reader,
        frame_size=data.frame_size,
        num_frames=data.clips.num_frames,
        frame_stride=data.clips.frame_stride,
        target_fps=data.clips.target_fps,
        level=level,
        out=out,
        batch_size=batch_size,
        device=device,
        about={"run": str(run), "weights_sha256": weights_hash, "videos": str(videos)},
        isolate=data.isolate,
        deadline_seconds=data.deadline_seconds,
    )
    files = "1 file" if len(done.shards) == 1 else f"{len(done.shards)} files"
    print(f"wrote {done.num_rows} rows (one per {level}) of {done.width} numbers in {files}: {out}")
    if done.num_filled:
        clip = f"a clip of {data.clips.num_frames} frames"
        print(f"{done.num_filled} videos are shorter than {clip}: their last frame was repeated")
    for failure in done.failures[:FAILURES_SHOWN]:
        print(f"could not read {failure.video}: {failure.cause}")
    if done.failures:
        share = f"{len(done.failures)} of {len(index)} videos"
        print(f"{share} could not be read, or not whole: all are listed in {out / FAILURES}")
    return 1 if done.failures else 0
