"""Where labels come from: a column of the table, a CSV or Parquet file, or the truth of a world."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.path_ends import rows_by_path_end
from videossl.tables.spans import last_frames
from videossl.tables.table import EmbeddingTable, Rows
from videossl.tables.targets import Labels, Target, target_of
from videossl.worlds import clip_targets, is_world, load_world

VIDEO_COLUMNS = ("video", "path", "name")
SHOWN = 3
NAMELESS = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name
OF_A_VIDEO = {"class", "kick"}  # targets of a world that do not change in a video


def read_labels(table: EmbeddingTable, rows: Rows, source: str | None) -> Labels:
    """What is known of the rows of a table.

    Args:
        table: The table.
        rows: Some or all of its rows.
        source: None or "label": the column `label` of the table. A folder that `videossl world` wrote. Or a CSV or
            Parquet file with a column `video` (or `path`, or `name`), if it has one label a frame also `frame`, if it
            gives the parts also `split` ("train", "validation", "test"), and any further columns of labels.

    Raises:
        UsageError: No labels there, or none of these videos.
    """
    if source is None or source == "label":
        return _own(rows, table.path)
    path = Path(source)
    if path.is_dir():
        return _of_world(table, rows, path)
    if path.name == "truth.parquet" and is_world(path.parent):
        return _of_world(table, rows, path.parent)
    return _of_file(rows, path)


def _own(rows: Rows, path: Path) -> Labels:
    if "label" not in rows.columns or rows.columns["label"].isna().all():
        raise UsageError(
            f"{path} has no labels in its column `label`. Give --labels a CSV or Parquet file with a column `video`, "
            "or the folder of a world."
        )
    target = target_of(rows.columns["label"].rename("label"))
    return Labels((target.with_note(np.ones(len(rows), np.bool_)),) if target else ())


def _of_world(table: EmbeddingTable, rows: Rows, folder: Path) -> Labels:
    _, truth = load_world(folder)
    of_video = _matched(rows.names, truth.video.tolist(), str(folder))
    known = of_video >= 0
    if not known.all():
        raise UsageError(
            f"{folder} knows nothing of {(~known).sum()} of the {len(known)} videos of {table.path}, for example of "
            f"{rows.names[int(np.argmin(known))]}. Give the world that the videos came from."
        )
    of_row = of_video[rows.video_numbers]
    num_frames = truth.positions.shape[1]
    last = np.minimum(last_frames(table, rows), num_frames - 1)
    targets = clip_targets(truth[of_row], last)
    notes = []
    if table.level == "video":
        targets = {name: values for name, values in targets.items() if name in OF_A_VIDEO}
        notes.append("position and velocity: they change within a video, and a row is a whole one")
    kinds = {name: range(int(values.max()) + 1) for name, values in targets.items() if values.ndim == 1}
    return Labels(
        tuple(Target(name, values, tuple(map(str, kinds.get(name, ())))) for name, values in targets.items()),
        None,
        notes,
    )


def _of_file(rows: Rows, path: Path) -> Labels:
    labels = _read(path)
    key = next((name for name in VIDEO_COLUMNS if name in labels), None)
    if key is None:
        raise UsageError(f"expected a column `video` in {path}, got {', '.join(map(str, labels.columns))}.")
    if labels.empty:
        raise UsageError(
            f"{path} has columns ({', '.join(map(str, labels.columns))}) and no rows. Give one row a video."
        )
    named = labels[key].astype(str)
    of_frame = "frame" in labels
    by = [key, "frame"] if of_frame else [key]
    twice = labels.duplicated(by)
    if twice.any():
        raise UsageError(
            f"{path} has several rows of {named[twice].iloc[0]}. Give one row a video, or a column `frame` to tell "
            "them apart."
        )
    distinct = named.drop_duplicates().tolist()
    of_video = _matched(rows.names, distinct, str(path))
    notes = []
    if (of_video < 0).any():
        missing = int((of_video < 0).sum())
        notes.append(f"{missing} of {len(of_video)} videos: {path} does not name them")
    place = {name: row for row, name in enumerate(distinct)}
    right = labels.drop(columns=[name for name in VIDEO_COLUMNS if name in labels]).assign(
        _video=named.map(place).to_numpy()
    )
    left = pd.DataFrame({"_video": of_video[rows.video_numbers]})
    if of_frame:
        left["frame"] = rows.columns["frame"].to_numpy()
    if of_frame:
        notes += _frames_apart(left, right, path)
    joined = left.merge(right, on=["_video", "frame"] if of_frame else ["_video"], how="left", indicator="_found")
    labelled = (joined.pop("_found") == "both").to_numpy()
    split = None
    if "split" in joined:
        split = joined.pop("split").fillna("").astype(str).to_numpy(dtype=np.str_)
    found = []
    for name in joined.columns.drop(["_video", "frame"], errors="ignore"):
        if NAMELESS.fullmatch(str(name)):
            notes.append(f"the label column {name}: it has no name in {path}, as the row numbers of pandas")
            continue
        target = target_of(joined[name])
        if target is None:
            notes.append(f"the label column {name}: it is empty for these videos")
        else:
            found.append(target.with_note(labelled))
    if not found:
        raise UsageError(f"{path} has no labels of the videos of this table beside {', '.join(by)}.")
    return Labels(tuple(found), split, notes)


def _frames_apart(rows: pd.DataFrame, labels: pd.DataFrame, path: Path) -> list[str]:
    """What must be said of labels at whose frame no row begins, and of rows that have none.

    Args:
        rows: `_video`, negative where there are no labels of it, and `frame` at which a row begins.
        labels: `_video` and `frame`, no two alike.
        path: Of the labels.

    Raises:
        UsageError: Frames that are no numbers, or no label at a frame at which a row begins.
    """
    if not pd.api.types.is_numeric_dtype(labels["frame"]):
        raise UsageError(f"expected numbers in the column frame of {path}, got {labels['frame'].dropna().iloc[0]}.")
    by = ["_video", "frame"]
    rows, labels = rows.loc[rows["_video"] >= 0, by], labels.loc[labels["_video"].isin(rows["_video"]), by]
    stray = labels.merge(rows.drop_duplicates(), on=by, how="left", indicator=True)["_merge"] == "left_only"
    without = rows.merge(labels, on=by, how="left", indicator=True)["_merge"] == "left_only"
    beginnings = rows.loc[rows["_video"] == rows["_video"].iloc[0], "frame"].unique().tolist()
    if len(beginnings) > SHOWN:
        beginnings[SHOWN:] = ["..."]
    begin = f"rows begin at frames {', '.join(map(str, beginnings))}"
    if stray.all():
        raise UsageError(
            f"{path} has no label of a frame at which a row of this table begins: it has frame "
            f"{labels['frame'].iloc[0]}, and {begin}. Give labels of those frames."
        )
    notes = []
    if stray.any():
        notes.append(f"{stray.sum()} of {len(stray)} labels: they are of frames at which no row begins ({begin})")
    if without.any():
        notes.append(f"{without.sum()} of {len(without)} rows: {path} names their video, but not their frame")
    return notes


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(
            f"no such labels: {path}. Give a CSV or Parquet file with a column `video`, or the folder of a world."
        )
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path, dtype_backend="numpy_nullable")
        if path.suffix in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype_backend="numpy_nullable")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a table of labels: {error}") from error
    raise UsageError(f"expected labels in a .csv, .tsv or .parquet file, got {path}.")


def _matched(names: list[str], known: list[str], source: str) -> NDArray[np.int64]:
    """The row of `known` for each name, -1 where there is none."""
    rows = rows_by_path_end(known, names)
    found = np.array([-1 if row is None else row for row in rows], dtype=np.int64)
    if (found < 0).all():
        raise UsageError(
            f"{source} names none of the videos of this table: it has {known[0]}, the table {names[0]}. "
            "Name the videos as the table does, or by their paths."
        )
    return found
