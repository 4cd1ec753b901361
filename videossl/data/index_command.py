"""`videossl index`: make or update the index of videos, and say what was found."""

import os
import tempfile
import time
from pathlib import Path

from videossl.data.index import VideoIndex
from videossl.data.index_table import is_index
from videossl.data.sources.mixing import Videos
from videossl.data.video import Check
from videossl.errors import UsageError

FAILURES_SHOWN = 10


def index_videos(
    videos: Videos,
    out: Path,
    *,
    check: Check = "fast",
    workers: int | None = None,
    heldout_share: float = 0.1,
    seed: int = 0,
) -> int:
    """Write the index of videos to `out`, taking over what an index that stands there knows.

    While it is made, what was found is kept in `out` + ".unfinished"; the index at `out` stays as it was until the new
    one is complete.

    Args:
        videos: See `VideoIndex.build`.
        out: Parquet file.
        check: "fast" or "full".
        workers: Processes; None: one per core.
        heldout_share: From 0 to 1.
        seed: Of the split.

    Returns:
        Exit code: 0, or 1 if no video can be read.

    Raises:
        UsageError: Nothing to index, or something at `out` that is no index.
        WorkError: Interrupted.
    """
    if out.suffix != ".parquet":
        raise UsageError(f"expected --out to end in .parquet, the format of the index, got {out}.")
    if out.exists() and not is_index(out):
        raise UsageError(f"{out} exists and is no index of videos. Choose another --out.")
    if workers is not None and workers < 1:
        raise UsageError(f"expected at least 1 of --workers, got {workers}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out.parent):  # hours of looking must not end with a folder that is read-only
        pass
    unfinished = out.with_name(f"{out.name}.unfinished")
    began = time.monotonic()
    index = VideoIndex.build(
        videos,
        heldout_share=heldout_share,
        seed=seed,
        num_workers=workers or os.cpu_count() or 1,
        known=out if out.exists() else None,
        check=check,
        unfinished=unfinished,
    )
    seconds = time.monotonic() - began
    index.save(out)
    unfinished.unlink(missing_ok=True)
    failures = index.failures
    for failure in failures[:FAILURES_SHOWN]:
        print(f"could not read {failure.video}: {failure.cause}")
    if failures:
        print(f"{len(failures)} of {len(index)} videos cannot be read: their column `error` says why")
    print(f"{index.changes}")
    print(f"wrote {len(index)} rows in {seconds:.1f} s ({len(index) / seconds:.0f} videos/s): {out}")
    return 1 if len(failures) == len(index) else 0
