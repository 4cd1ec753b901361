"""Tables of videos with named columns: CSV and Parquet."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from videossl.data.places import Place
from videossl.data.sources.base import DEFAULT_FRAMES_PER_SECOND, Columns, Source, check_names
from videossl.data.sources.frames import rate_or_default
from videossl.data.sources.listed import ListedFiles
from videossl.errors import UsageError

Row = Mapping[str, Any]


def read_csv(place: Place, columns: Columns) -> list[Row] | None:
    """Rows of a CSV file whose first line names its columns, as text; None if it is a list without such names.

    Columns are separated by tabs if there is one in the first line, else by commas.

    Raises:
        UsageError: It is no UTF-8 text, or columns were asked for that it does not have.
    """
    try:
        with place.open() as file:
            text = file.read().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{place.address} is not a readable UTF-8 table.") from error
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", skipinitialspace=True)
    header = [name.strip() for name in next(reader, [])]
    if columns.path not in header:
        if columns == Columns() and len(header) <= 3:
            return None
        raise _no_column(place, columns.path, header)
    rows: list[Row] = []
    for values in reader:
        if not values or values == [""]:
            continue
        if len(values) != len(header):
            raise UsageError(
                f"line {reader.line_num} of {place.address} has {len(values)} columns, its header {len(header)}. "
                "Put text with commas into quotes."
            )
        rows.append({name: value.strip() or None for name, value in zip(header, values, strict=True)})
    _check_columns(place, columns, header)
    return rows


def read_parquet(place: Place, columns: Columns) -> list[Row]:
    """Rows of a Parquet file, of the columns that are used.

    Raises:
        UsageError: It is no such file, or columns were asked for that it does not have.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with place.open() as opened:
            file = pq.ParquetFile(opened)
            _check_columns(place, columns, file.schema_arrow.names)
            wanted = [name for name in _names(columns) if name in file.schema_arrow.names]
            rows: list[Row] = file.read(columns=wanted).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{place.address} is not a Parquet table: {' '.join(str(error).split())}") from error
    return rows


def in_table(place: Place, rows: Sequence[Row], columns: Columns, frames_per_second: float | None) -> list[Source]:
    """The videos of a table, one a row, in the order of the rows.

    A row with `start_seconds` or `end_seconds` is a stretch of its file. Without a column `name` a video is named by
    its path, a stretch by path#start-end. A path that does not exist is found with an error.

    Raises:
        UsageError: No rows, a row without a path, numbers that are none, two videos of one name.
    """
    where = f"the table {place.address}"
    if not rows:
        raise UsageError(f"{where} has no rows.")
    listed = ListedFiles(place.parent, frames_per_second or DEFAULT_FRAMES_PER_SECOND)
    sources = [_source(row, f"row {number} of {where}", columns, listed) for number, row in enumerate(rows, start=1)]
    if any(source.media.is_frame_folder for source in sources):
        rate_or_default(frames_per_second, place.address)
    check_names(sources, where)
    return sources


def _source(row: Row, where: str, columns: Columns, listed: ListedFiles) -> Source:
    path = row[columns.path]
    if not path:
        raise UsageError(f"{where} has no {columns.path}.")
    path = str(path)
    start, end = _number(row, columns.start_seconds, where), _number(row, columns.end_seconds, where)
    if (start is not None and start < 0) or (end is not None and end <= (start or 0.0)):
        raise UsageError(f"{where} has no stretch: expected 0 <= start < end in seconds, got {start} and {end}.")
    weight = _number(row, columns.weight, where)
    if weight is not None and weight < 0:
        raise UsageError(f"{where} has the weight {weight}; expected 0 or more.")
    group = listed.name(path)
    name = (
        group if start is None and end is None else f"{group}#{start or 0.0:g}-{'end' if end is None else f'{end:g}'}"
    )
    label = row.get(columns.label)
    return Source(
        replace(listed.media(path), start_seconds=start, end_seconds=end),
        str(row.get(columns.name) or name),
        None if label is None else _text(label),
        1.0 if weight is None else weight,
        group=group,
        error=listed.error(path),
    )


def _number(row: Row, column: str, where: str) -> float | None:
    value = row.get(column)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{where} has {value} as its {column}; expected a number.")
    return number


def _text(value: Any) -> str:
    """A label as text: the class 3 is "3" in every kind of table, though pandas makes 3.0 of it beside an empty one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _names(columns: Columns) -> list[str]:
    return [getattr(columns, column.name) for column in fields(Columns)]


def _check_columns(place: Place, columns: Columns, header: Sequence[str]) -> None:
    """`path` must be there, and whatever was named otherwise than it is by default."""
    asked = set(_names(columns)) - set(_names(Columns())) | {columns.path}
    for name in sorted(asked):
        if name not in header:
            raise _no_column(place, name, header)


def _no_column(place: Place, name: str, header: Sequence[str]) -> UsageError:
    return UsageError(
        f"the table {place.address} has no column {name}; it has {', '.join(header)}. Name its columns, for example "
        f"{{videos: {place.name}, columns: {{path: {header[0] if header else 'path'}}}}}."
    )
