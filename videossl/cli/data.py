"""Verbs that look at videos before anything is trained: `index` and `cache`."""

from pathlib import Path
from typing import Literal

from videossl.data import PyAVReader, VideoReader
from videossl.data.sources import VideoSet


def index(
    *,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    check: Literal["fast", "full"] = "fast",
    workers: int | None = None,
    heldout_share: float = 0.1,
    seed: int = 0,
) -> int:
    """Look into every video and write a table of what they are and which cannot be read, and why.

    Where OUT is an earlier index, only new and changed files are looked into. Training and extraction take the index
    in place of the videos. Exit code 1 if no video can be read.

    Args:
        videos: Folder tree of videos, one file, a list or table of paths, tar shards, a URL, an index, or several sets.
        out: Parquet file to write: one row a video, with the cause in the column `error` where it cannot be read.
        check: "fast": every packet is read and the first picture is decoded. "full": every picture is decoded, and the
            first that is damaged is reported.
        workers: Processes that look into videos; one per core if it is not given.
        heldout_share: Share of the videos kept for evaluation, in the column `split`. Training makes its own split
            from data.heldout_share and its seed.
        seed: Of the split.
    """
    from videossl.data.index_command import index_videos

    return index_videos(videos, out, check=check, workers=workers, heldout_share=heldout_share, seed=seed)


def cache(
    *,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    frame_size: int,
    target_fps: float | None = None,
    reader: type[VideoReader] = PyAVReader,
    num_workers: int | None = None,
    deadline_seconds: float | None = 60.0,
    overwrite: bool = False,
) -> int:
    """Decode and resize videos once, for training that reads them many times: give OUT in place of the videos then.

    Stopped at any moment, the same command goes on: finished videos are kept, and only new and changed ones are read.
    Of a world's folder, what is known of its videos comes along. Exit code 1 if a video cannot be read;
    unreadable.csv in OUT lists such videos.

    Args:
        videos: Folder tree of videos, one file, a list, or whatever else training takes.
        out: Folder to write.
        frame_size: Side in pixels to which frames are resized; the middle square is kept. Training can ask for less.
        target_fps: Keep so many frames a second, each with its own time; all if it is not given.
        reader: Class that decodes.
        num_workers: Processes that decode; one per core if it is not given.
        deadline_seconds: A video of which 256 frames take longer is given up; null: none is.
        overwrite: Replace a store that exists.
    """
    from videossl.data.store_command import cache_videos
    from videossl.worlds import copy_world, is_world

    exit_code = cache_videos(
        videos,
        out,
        reader=reader,
        frame_size=frame_size,
        target_fps=target_fps,
        num_workers=num_workers,
        deadline_seconds=deadline_seconds,
        overwrite=overwrite,
    )
    if isinstance(videos, str) and is_world(Path(videos)):
        copy_world(Path(videos), out)  # so that `videossl evaluate` knows all futures of these videos, too
    return exit_code
