"""Rows of embeddings into Parquet files that pandas, DuckDB, LanceDB and PyTorch read."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videossl.errors import UsageError
from videossl.extraction.levels import Rows
from videossl.files import replacing

METADATA_KEY = b"videossl"


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of a folder of embeddings lies."""
    return folder / f"part-{number:05d}.parquet"


def read_about(shard: Path) -> dict[str, object]:
    """What a shard says about how its rows were made: run, level, pooling, clip length, version, ..."""
    about: dict[str, object] = json.loads(pq.read_schema(shard).metadata[METADATA_KEY])
    return about


class ShardWriter:
    """Collect rows and write them as `part-00000.parquet`, `part-00001.parquet`, ...

    A shard is there whole or not at all. Columns: `video` string, `frame` int64, `seconds` float64, `label` string or
    null, `embedding` fixed-size list of float32.

    Args:
        folder: Where the shards go.
        rows_per_shard: Rows of every shard but the last, >= 1.
        about: What is written into the metadata of every shard's schema, as JSON under the key `videossl`.

    Raises:
        UsageError: There are shards in the folder already.
    """

    def __init__(self, folder: Path, *, rows_per_shard: int, about: Mapping[str, object]) -> None:
        if rows_per_shard < 1:
            raise UsageError(f"expected rows_per_shard of at least 1, got {rows_per_shard}.")
        if shard_path(folder, 0).exists():
            raise UsageError(f"{folder} holds embeddings already. Choose another folder, or remove it.")
        self.folder = folder
        self.rows_per_shard = rows_per_shard
        self.about = dict(about)
        self.shards: list[Path] = []
        self.num_rows = 0
        self.width = 0
        self._videos: list[str] = []
        self._labels: list[str | None] = []
        self._frames: list[int] = []
        self._seconds: list[float] = []
        self._vectors: list[np.ndarray] = []

    def add(self, rows: Rows) -> None:
        """Add rows of one video; a shard is written as soon as it is full."""
        positions = list(rows.positions)
        self._videos += [rows.video.name] * len(positions)
        self._labels += [rows.video.label] * len(positions)
        self._frames += rows.video.frames[positions].tolist()
        self._seconds += rows.video.seconds[positions].tolist()
        self._vectors += list(rows.vectors.astype(np.float32, copy=False))
        while len(self._frames) >= self.rows_per_shard:
            self._write(self.rows_per_shard)

    def close(self) -> None:
        """Write what is left."""
        if self._frames:
            self._write(len(self._frames))

    def _write(self, num_rows: int) -> None:
        values = np.concatenate(self._vectors[:num_rows])
        self.width = len(values) // num_rows
        embedding = pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), self.width)
        columns = {
            "video": pa.array(self._videos[:num_rows], pa.string()),
            "frame": pa.array(self._frames[:num_rows], pa.int64()),
            "seconds": pa.array(self._seconds[:num_rows], pa.float64()),
            "label": pa.array(self._labels[:num_rows], pa.string()),
            "embedding": embedding,
        }
        table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(self.about, ensure_ascii=False)})
        path = shard_path(self.folder, len(self.shards))
        with replacing(path) as temporary:
            pq.write_table(table, temporary)
        self.shards.append(path)
        self.num_rows += num_rows
        for rows in (self._videos, self._labels, self._frames, self._seconds, self._vectors):
            del rows[:num_rows]
