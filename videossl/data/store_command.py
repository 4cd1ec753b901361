"""`videossl cache`: decode and resize videos once, and say what was written."""

import os
import time
from pathlib import Path

from videossl.data.decode.base import VideoReader
from videossl.data.sources import find_videos
from videossl.data.sources.mixing import Videos
from videossl.data.store import LOCK, delete_store, write_store
from videossl.data.stored import MARKER, is_store
from videossl.errors import UsageError
from videossl.files import check_output

FAILURES_SHOWN = 10


def cache_videos(
    videos: Videos,
    out: Path,
    *,
    reader: type[VideoReader],
    frame_size: int,
    target_fps: float | None,
    num_workers: int | None,
    deadline_seconds: float | None,
    overwrite: bool,
) -> int:
    """Write a store, or go on with one, and print what is in it. Arguments: see `write_store`.

    Returns:
        Exit code: 0, or 1 if a video could not be read.

    Raises:
        UsageError: Settings that cannot work, or something at `out` that is no store.
        WorkError: It was interrupted, or there is no room.
    """
    if frame_size < 1:
        raise UsageError(f"expected frame_size of at least 1 pixel, got {frame_size}.")
    if target_fps is not None and not 0 < target_fps < float("inf"):
        raise UsageError(f"expected target_fps above 0 (or null, for all frames), got {target_fps}.")
    if num_workers is not None and num_workers < 1:
        raise UsageError(f"expected num_workers of at least 1, got {num_workers}.")
    if deadline_seconds is not None and not deadline_seconds > 0:
        raise UsageError(f"expected deadline_seconds above 0 (or null, for no deadline), got {deadline_seconds}.")
    sources = find_videos(videos)
    inside = [one.name for one in sources if any(one.path.is_relative_to(at) for at in (out.absolute(), out.resolve()))]
    if inside:
        raise UsageError(
            f"{out} holds the videos, for example {inside[0]}, and would be overwritten. Choose another --out."
        )
    if overwrite or not is_store(out):
        check_output(out, overwrite=overwrite, marks=(MARKER, LOCK))
        if out.exists():
            delete_store(out)
    began = time.monotonic()
    stored = write_store(
        sources,
        out,
        reader=reader,
        frame_size=frame_size,
        target_fps=target_fps,
        num_workers=num_workers or os.cpu_count() or 1,
        deadline_seconds=deadline_seconds,
    )
    print(
        f"{stored.num_videos} videos, {stored.num_frames} frames of {frame_size} x {frame_size} pixels, "
        f"{stored.num_bytes / 2**30:.2f} GiB: {out} ({stored.num_new} written now, in {time.monotonic() - began:.0f} s)"
    )
    for failure in stored.failures[:FAILURES_SHOWN]:
        print(f"could not read {failure.video}: {failure.cause}")
    if stored.failures:
        share = f"{len(stored.failures)} of {len(sources)} videos"
        print(f"{share} could not be read whole and are not in it: all are listed in {out / 'unreadable.csv'}")
    if stored.num_videos:
        print(f"next: videossl pretrain --config ... --data.videos {out} --data.frame_size {frame_size}")
    return 1 if stored.failures else 0
