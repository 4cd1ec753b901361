"""Verbs that write embeddings: `extract`."""

from pathlib import Path
from typing import Literal

from videossl.data.sources import VideoSet
from videossl.loading import usable


def extract(
    *,
    run: Path,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    level: Literal["frame", "clip", "video"] = "frame",
    batch_size: int = 64,
    device: str = "cpu",
    overwrite: bool = False,
) -> int:
    """Write the embeddings of videos as Parquet files.

    Args:
        run: Run directory of the model.
        videos: Folder tree of videos, one file, a list or table of paths, tar shards, a URL, an index, or several sets.
        out: Folder for the Parquet files.
        level: One row per frame, per clip or per video.
        batch_size: Clips per pass of the encoder.
        device: Where the model runs: "cpu", "cuda", "mps".
        overwrite: Replace the embeddings in a folder that exists.
    """
    from videossl.extraction.run import extract_run

    device = usable(device)
    return extract_run(
        run, videos=videos, out=out, level=level, batch_size=batch_size, device=device, overwrite=overwrite
    )
