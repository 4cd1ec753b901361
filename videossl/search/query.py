"""What is searched for: a video, a picture or a row of the table, as vectors like those of the table."""

import contextlib
import csv
import io
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videossl.data.media import Media
from videossl.data.sources import VideoSet
from videossl.errors import UsageError, WorkError
from videossl.extraction import extract_run
from videossl.extraction.extract import FAILURES
from videossl.extraction.identity import model_sha256
from videossl.loading import find_model_files, load
from videossl.path_ends import rows_by_path_end
from videossl.search.pictures import PICTURE_SUFFIXES
from videossl.tables import EmbeddingTable


@dataclass(frozen=True, eq=False)
class Query:
    """What is searched for.

    Attributes:
        name: In words.
        vectors: (Q, E) float32.
        frames: (Q,) number of the frame at which each stands.
        seconds: (Q,) the same as a time.
        media: Where its pictures lie, None if nobody knows.
        row: Video and second, if it is a row of the table.
        damage: What of it could not be read, None if all was.
    """

    name: str
    vectors: NDArray[np.float32]
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    media: Media | None
    row: tuple[str, float] | None = None
    damage: str | None = None


def query_of_row(table: EmbeddingTable, video: str, frame: int | None) -> Query:
    """A row of the table itself: no model is needed.

    Args:
        table: The table.
        video: Name of a video in it, or the end of one by which it is known.
        frame: The row is the last that stands at this frame or before; None: the first of the video.

    Raises:
        UsageError: There is no such video in the table, or more than one.
    """
    names = table.video_names()
    row = rows_by_path_end(names, [video])[0]
    if row is None:
        raise UsageError(
            f"{table.path} has no video {video}, or several of that name. Give it as in the column `video`: "
            f"{', '.join(names[:3])}, ..."
        )
    video = names[row]
    found = []
    for batch in table.batches():
        of_video = np.flatnonzero((batch.columns["video"] == video).to_numpy())
        if len(of_video):
            found.append(batch.among(of_video))
    frames = np.concatenate([rows.columns["frame"].to_numpy(np.int64) for rows in found])
    seconds = np.concatenate([rows.columns["seconds"].to_numpy(np.float64) for rows in found])
    vectors = np.concatenate([rows.vectors for rows in found])
    before = np.where(frames <= frames.min() if frame is None else frames <= frame, frames, -1)
    place = int(before.argmax())
    if before[place] < 0:
        raise UsageError(f"{video} has no row at frame {frame} or before. Its first is at {frames.min()}.")
    chosen = slice(place, place + 1)
    name = f"{video} at {seconds[place]:.2f} s"
    return Query(name, vectors[chosen], frames[chosen], seconds[chosen], None, (video, float(seconds[place])))


def query_of_file(table: EmbeddingTable, path: Path, run: str | None, *, seconds: float | None, device: str) -> Query:
    """A video or picture, embedded by the model of the table as the videos of the table were.

    A picture is a video of one frame: it is repeated to the length of a clip.

    Args:
        table: The table.
        path: mp4, png, ...
        run: The model; None: where the table says it was.
        seconds: Only the row that is nearest to this time; None: all rows of the video.
        device: Where the model runs.

    Raises:
        UsageError: No such file, or a model that is not the table's.
        WorkError: The file cannot be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give one video, or a picture (jpg, png).")
    if not path.is_file():
        raise UsageError(f"no such query: {path}. Give a video, or a picture (jpg, png).")
    model = _model(table, run)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        videos = VideoSet(str(path))
        if path.suffix.lower() in PICTURE_SUFFIXES:
            (folder / "picture").mkdir()
            shutil.copyfile(path, folder / "picture" / f"0{path.suffix.lower()}")
            videos = VideoSet(str(folder / "picture"), frames_per_second=1.0)
        out = folder / "e"
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # of the extraction only what goes wrong is news
                extract_run(model, videos=videos, out=out, device=device, **_settings(table.about))
        except WorkError as error:
            cause = _cause(out)
            raise error if cause is None else WorkError(f"{path} cannot be searched for: {cause}") from error
        damage = _cause(out)
        rows = EmbeddingTable(out).read()
    times = rows.columns["seconds"].to_numpy(np.float64)
    name = path.name
    if seconds is not None:
        nearest = int(np.abs(times - seconds).argmin())
        rows = rows.among(np.array([nearest]))
        name = f"{path.name} at {times[nearest]:.2f} s"
    frames = rows.columns["frame"].to_numpy(np.int64)
    media = None if path.suffix.lower() in PICTURE_SUFFIXES else Media(str(path.resolve()))
    return Query(name, rows.vectors, frames, rows.columns["seconds"].to_numpy(np.float64), media, damage=damage)


def _cause(extracted: Path) -> str | None:
    """Why the one video of an extraction could not be read, or not whole; None if it could."""
    path = extracted / FAILURES
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as opened:
        cause = next((row["cause"] for row in csv.DictReader(opened)), None)
    return cause and re.sub(r"^its picture 0\.\w+ ", "", cause)  # of a query, which has no other name


def _model(table: EmbeddingTable, run: str | None) -> str:
    of_file, of_tensors = table.about.get("weights_sha256"), table.about.get("model_sha256")
    if of_file is None and of_tensors is None:
        raise UsageError(
            f"{table.path} does not say which model made it, so nothing can be embedded like its rows. Search by a row "
            "of it: --query_video and --query_frame."
        )
    model = run if run is not None else str(table.about.get("run", ""))
    if not model:
        raise UsageError(f"{table.path} does not say where its model is. Give --run.")
    try:
        files = find_model_files(model)
    except UsageError as error:
        if run is not None:
            raise
        raise UsageError(
            f"{table.path} says that its model is {model}, and it cannot be found there. Give --run: the same model "
            "where it is now."
        ) from error
    wanted, found = of_file, files.weights_sha256()
    if found != wanted and of_tensors is not None:  # the same tensors may lie in another file
        wanted, found = of_tensors, model_sha256(load(model)) or ""
    if found != wanted:
        raise UsageError(
            f"{model} is not the model that made {table.path}: its weights have the hash {found[:12]}, those of the "
            f"table {str(wanted)[:12]}. Vectors of different models cannot be compared: give --run the model of the "
            "table, or extract anew."
        )
    return model


def _settings(about: dict[str, Any]) -> dict[str, Any]:
    """How the videos of the table were cut, as options of an extraction."""
    names = ("level", "frame_size", "clip_frames", "step_frames", "frame_stride", "target_fps", "precision")
    settings = {name: about[name] for name in names if about.get(name) is not None}
    over_clips = re.search(r"then (\w+) over the clips", str(about.get("pooling", "")))
    if over_clips and about.get("level") == "video":
        settings["video_pooling"] = over_clips[1]
    return settings
