"""Reads the files of a run directory, each of which may be missing or broken."""

import csv
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from videossl.files import sha256
from videossl.report.parts import Part, attempt, read
from videossl.run_directory import RunDirectory

Series = list[tuple[int, float]]
Arrays = dict[str, NDArray[Any]]
INDEX_COLUMNS = ["name", "label", "label_id", "num_frames", "seconds", "height", "width", "split", "error"]


@dataclass(frozen=True)
class RunFiles:
    """What lies in a run directory.

    Attributes:
        path: The directory.
        config: Resolved config.
        environment: Versions, machine, start.
        training: Column of metrics.csv -> (step, value) of its cells that are not empty; NaN where "nan" was logged.
        index: One row a video, see `videossl.data.VideoIndex`.
        unreadable: (video, cause) of every video that failed, when the index was made or later.
        metrics: evaluation/metrics.json.
        gallery: Arrays of evaluation/gallery.npz.
        has_weights: Whether the training ended and wrote weights.
        scores_are_current: Whether the scores are of the weights that lie there; None where one of the two is missing,
            or the scores do not say of which weights they are.
    """

    path: Path
    config: Part[dict[str, Any]]
    environment: Part[dict[str, Any]]
    training: Part[dict[str, Series]]
    index: Part[pd.DataFrame]
    unreadable: Part[list[tuple[str, str]]]
    metrics: Part[dict[str, Any]]
    gallery: Part[Arrays]
    has_weights: bool
    scores_are_current: bool | None

    @classmethod
    def of(cls, run: RunDirectory) -> "RunFiles":
        """Read them all."""
        evaluate = f"No evaluation yet. Run: videossl evaluate --run {run.path}"
        metrics = read(run.evaluation / "metrics.json", _mapping_of_json, absent=evaluate)
        return cls(
            path=run.path,
            config=read(run.config, _mapping_of_yaml, absent="There is no config.yaml."),
            environment=read(run.environment, _mapping_of_json, absent="There is no environment.json."),
            training=read(run.metrics, read_training, absent="Nothing was logged: there is no metrics.csv."),
            index=read(run.index, _index, absent="There is no index.parquet, so nothing is known about the videos."),
            unreadable=read(run.unreadable, _failures, absent=""),
            metrics=metrics,
            gallery=read(run.evaluation / "gallery.npz", _arrays, absent=evaluate),
            has_weights=run.weights.is_file(),
            scores_are_current=_is_of(run.weights, (metrics.value or {}).get("weights_sha256")),
        )


def read_training(path: Path) -> dict[str, Series]:
    """The columns of a CSV file of Lightning's `CSVLogger`, sorted by step.

    Most of its cells are empty. An empty cell was not logged; a cell "nan" was, and is kept.

    Raises:
        ValueError: No column `step`, or a cell that is no number.
    """
    columns: dict[str, Series] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "step" not in (reader.fieldnames or []):
            raise ValueError("it has no column `step`")
        for row in reader:
            for name, cell in row.items():
                if name not in ("step", "epoch", None) and cell not in ("", None):
                    columns.setdefault(name, []).append((int(float(row["step"])), float(cell)))
    return {name: sorted(series, key=lambda point: point[0]) for name, series in columns.items()}


def finite(series: Series) -> Series:
    """The points whose value is a number."""
    return [point for point in series if math.isfinite(point[1])]


def _is_of(weights: Path, digest: object) -> bool | None:
    if not isinstance(digest, str) or not weights.is_file():
        return None
    return attempt(lambda: sha256([weights]) == digest, "").value


def _mapping_of_yaml(path: Path) -> dict[str, Any]:
    return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")))


def _mapping_of_json(path: Path) -> dict[str, Any]:
    return _mapping(json.loads(path.read_text(encoding="utf-8")))


def _mapping(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"expected names with values, got {type(content).__name__}")
    return content


def _index(path: Path) -> pd.DataFrame:
    present = pq.ParquetFile(path).schema_arrow.names
    table = pq.read_table(path, columns=[name for name in INDEX_COLUMNS if name in present])
    return table.to_pandas()


def _failures(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["video"], row["cause"]) for row in csv.DictReader(file)]


def _arrays(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an npz archive, or only a part of one")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
