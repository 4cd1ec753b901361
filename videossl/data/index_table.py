"""The index as a Parquet table: one row a video, plain columns that pandas reads too."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videossl.data.fingerprint import Fingerprint
from videossl.data.media import Media
from videossl.data.video import Video
from videossl.errors import UsageError
from videossl.files import replacing

# Columns that every index has had from the first version on. Those that came later may be missing.
FIRST_SCHEMA = pa.schema(
    {
        "video": pa.int64(),
        "name": pa.string(),
        "path": pa.string(),
        "label": pa.string(),
        "label_id": pa.int64(),
        "num_frames": pa.int64(),
        "seconds": pa.list_(pa.float64()),
        "height": pa.int64(),
        "width": pa.int64(),
        "split": pa.string(),
        "error": pa.string(),
    }
)
LATER_SCHEMA = pa.schema(
    {
        "keyframes": pa.list_(pa.int64()),
        "duration_seconds": pa.float64(),
        "fps": pa.float64(),
        "codec": pa.string(),
        "container": pa.string(),
        "offset": pa.int64(),
        "num_bytes": pa.int64(),
        "start_seconds": pa.float64(),
        "end_seconds": pa.float64(),
        "frames_per_second": pa.float64(),
        "file_bytes": pa.int64(),
        "file_mtime_ns": pa.int64(),
        "file_version": pa.string(),
        "check": pa.string(),
        "weight": pa.float64(),
        "group": pa.string(),
        "refused": pa.bool_(),
    }
)
SCHEMA = pa.schema([*FIRST_SCHEMA, *LATER_SCHEMA])
# What stands where an index that was written before a column came has none.
WITHOUT: dict[str, Any] = {"offset": 0, "check": "fast", "weight": 1.0, "group": "", "refused": False}
OF_MEDIA = [one.name for one in fields(Media)]
OF_FINGERPRINT = [one.name for one in fields(Fingerprint)]
DERIVED = {"duration_seconds", "fps"}  # properties of a row; in the table for those who read it without us


def is_index(path: Path) -> bool:
    """Whether this file is an index of videos, and not some other table or a list."""
    if not path.is_file():
        return False
    try:
        return set(FIRST_SCHEMA.names) <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False


def write_index(rows: Sequence[Video], path: Path) -> None:
    """Write rows as Parquet."""
    table = pa.table({name: _column(name, rows) for name in SCHEMA.names}, schema=SCHEMA)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_index(path: Path) -> list[Video]:
    """The rows that `write_index` wrote, now or in an earlier version.

    Raises:
        UsageError: There is no such file, or it is no index.
    """
    if not path.is_file():
        raise UsageError(f"no such index of videos: {path}.")
    try:
        table = pq.read_table(path)
        missing = set(FIRST_SCHEMA.names) - set(table.column_names)
        if missing:
            raise UsageError(f"{path} is not an index of videos: it has no column {', '.join(sorted(missing))}.")
        columns = {
            name: _values(table.column(name).cast(SCHEMA.field(name).type))
            if name in table.column_names
            else [WITHOUT.get(name)] * table.num_rows
            for name in SCHEMA.names
        }
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} is not an index of videos: {' '.join(str(error).split())}") from error
    return [_video({name: columns[name][row] for name in SCHEMA.names}) for row in range(table.num_rows)]


def _column(name: str, rows: Sequence[Video]) -> Any:
    """The values of a column as pyarrow takes them."""
    if pa.types.is_list(SCHEMA.field(name).type):
        values = [getattr(row, name) for row in rows]
        offsets = np.cumsum([0, *(len(value) for value in values)]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, np.concatenate(values) if values else []).cast(SCHEMA.field(name).type)
    if name in OF_MEDIA:
        found = [getattr(row.media, name) for row in rows]
    elif name in OF_FINGERPRINT:
        found = [None if row.fingerprint is None else getattr(row.fingerprint, name) for row in rows]
    else:
        found = [getattr(row, name) for row in rows]
    return [_utf8(value) if isinstance(value, str) else value for value in found]


def _utf8(text: str) -> str:
    """Text that Parquet can hold: file names need not be UTF-8, and Python keeps their other bytes as surrogates."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _values(column: Any) -> Sequence[Any]:
    """The values of a column, lists as arrays."""
    if not pa.types.is_list(column.type):
        values: list[Any] = column.to_pylist()
        return values
    arrays: list[NDArray[Any]] = []
    for chunk in column.chunks:
        numbers = np.array(chunk.values)  # a copy: arrow's own memory cannot be written to
        offsets = np.asarray(chunk.offsets)
        arrays += [numbers[start:end] for start, end in pairwise(offsets)]
    return arrays


def _video(row: dict[str, Any]) -> Video:
    media = Media(**{name: row.pop(name) for name in OF_MEDIA})
    told = {name: row.pop(name) for name in OF_FINGERPRINT}
    fingerprint = None if told["file_bytes"] is None else Fingerprint(**told)
    if row["keyframes"] is None:
        row["keyframes"] = np.empty(0, dtype=np.int64)
    return Video(**{name: row[name] for name in row if name not in DERIVED}, media=media, fingerprint=fingerprint)
