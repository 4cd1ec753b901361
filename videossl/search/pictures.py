"""Pictures of what was found, read from the videos wherever they can be reached."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videossl.data import PyAVReader, VideoIndex
from videossl.data.decode.base import VideoError
from videossl.data.isolated_reader import Readers
from videossl.data.media import Media
from videossl.data.sources import find_videos
from videossl.data.sources.mixing import Videos
from videossl.errors import UsageError
from videossl.path_ends import rows_by_path_end
from videossl.tables import EmbeddingTable

INDEX = "_videos.index"  # what extraction leaves beside the embeddings: where every video lay
WIDTH, HEIGHT = 240, 180
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (h, w, 3) uint8 that fits into 240 x 180 pixels, or the reason why there is none."""

    pixels: NDArray[np.uint8] | None
    why_none: str = ""


def find_media(table: EmbeddingTable, videos: Videos | None) -> tuple[dict[str, Media], str]:
    """Where the videos of a table lie: where the user says, else where extraction found them.

    Args:
        table: The table.
        videos: Whatever `find_videos` takes; None: where they were when they were extracted.

    Returns:
        Name -> media; and a sentence, empty if there is nothing to say.
    """
    if videos is not None:
        return {source.name: source.media for source in find_videos(videos) if source.error is None}, ""
    index = table.path / INDEX if table.path.is_dir() else None
    if index is not None and index.is_file():
        return {video.name: video.media for video in VideoIndex.load(index)}, ""
    said = table.about.get("videos")
    if said is None:
        return {}, "the table does not say where its videos are, so no pictures are shown. Give --videos."
    try:
        return {source.name: source.media for source in find_videos(said) if source.error is None}, ""
    except UsageError as error:
        return {}, f"the videos are not where the table says, so no pictures are shown ({error}). Give --videos."


def read_pictures(wanted: Sequence[tuple[str, int]], media: Mapping[str, Media]) -> list[Picture]:
    """The pictures of (video, frame), each video opened once.

    Args:
        wanted: Names of videos and numbers of frames.
        media: Where the videos lie, by name.
    """
    known = list(media)
    names = list(dict.fromkeys(name for name, _ in wanted))
    row_of = dict(zip(names, rows_by_path_end(known, names), strict=True))
    found = dict[tuple[str, int], Picture]()
    # LanceDB's threads do not survive a fork; and these videos have been decoded before.
    with Readers(PyAVReader, isolate="lancedb" not in sys.modules) as readers:
        for name in names:
            frames = sorted({frame for video, frame in wanted if video == name})
            row = row_of[name]
            if row is None:
                pictures = [Picture(None, "video not found")] * len(frames)
            else:
                pictures = _of_video(readers, media[known[row]], frames)
            found |= dict(zip(((name, frame) for frame in frames), pictures, strict=True))
    return [found[one] for one in wanted]


def _of_video(readers: Readers, media: Media, frames: list[int]) -> list[Picture]:
    if not media.is_url and not Path(media.path).exists():
        return [Picture(None, "video not found")] * len(frames)
    try:
        with readers.open(media) as opened:
            # One by one: frames of a long video must not lie in memory at full size together.
            return [fitted(opened.read([frame], size=None)[0]) for frame in frames]
    except VideoError as error:
        return [Picture(None, error.cause)] * len(frames)


def fitted(pixels: NDArray[np.uint8]) -> Picture:
    """The picture (H, W, 3), reduced if it is larger than 240 x 180."""
    image = Image.fromarray(pixels)
    image.thumbnail((WIDTH, HEIGHT))
    return Picture(np.asarray(image))


def picture_of_file(path: Path) -> Picture:
    """A picture file, turned as it says."""
    from PIL import ImageOps

    with Image.open(path) as image:
        return fitted(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
