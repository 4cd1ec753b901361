"""Read a table of embeddings: a folder of Parquet files as `videossl extract` writes it, or one such file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from videossl.errors import UsageError, WorkError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ABOUT_KEY = b"videossl"  # in the metadata of the schema: JSON of how the rows were made
COLUMNS = ("video", "frame", "seconds")
TOKEN_COLUMNS = ("token_row", "token_column")
VECTOR = "embedding"
REPEATED = "repeated_frames"  # of the frames behind a row, those that show the same as the frame before
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table with their vectors.

    Attributes:
        columns: `video`, `frame`, `seconds`, and where the table has them `label` and `repeated_frames`; one line a
            row, numbered from 0.
        vectors: (n, E) float32.
    """

    columns: "pd.DataFrame"
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    def among(self, rows: NDArray[np.int64]) -> "Rows":
        """Some of the rows, by number."""
        return Rows(self.columns.iloc[rows].reset_index(drop=True), self.vectors[rows])

    @property
    def names(self) -> list[str]:
        """The videos in order of their names."""
        return sorted(self.columns["video"].unique().tolist())

    @property
    def video_numbers(self) -> NDArray[np.int64]:
        """(n,) the place of each row's video in `names`."""
        codes = self.columns["video"].astype("category").cat.set_categories(self.names).cat.codes
        return codes.to_numpy().astype(np.int64)

    def videos(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Each video with the numbers of its rows, in order of names; rows keep their order."""
        numbers = self.video_numbers
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], np.arange(len(self.names) + 1))
        for number, name in enumerate(self.names):
            yield name, order[bounds[number] : bounds[number + 1]]


class EmbeddingTable:
    """A table of embeddings on disk.

    Args:
        path: Folder of Parquet files, or one file.

    Attributes:
        files: The Parquet files, in order of their names.
        about: How the rows were made: `level`, `weights_sha256`, ...; empty for a table that somebody else made.
        width: Numbers in a vector, E.
        num_rows: Rows of all files.
        columns: Names of the columns.

    Raises:
        UsageError: No table of embeddings, or files of different ones.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.files = _files(path)
        schemas = [_schema(file) for file in self.files]
        self.columns = tuple(schemas[0].names)
        self.width = _width(schemas[0], path)
        self.about = _about(schemas[0])
        for file, schema in zip(self.files, schemas, strict=True):
            about = _about(schema)
            for name in ("weights_sha256", "level"):
                if about.get(name) != self.about.get(name):
                    raise UsageError(
                        f"{file.name} in {path} was made with another {name} than {self.files[0].name}: vectors of "
                        "different models cannot be compared. Extract into a folder for each."
                    )
        self.num_rows = sum(pq.read_metadata(file).num_rows for file in self.files)
        if self.num_rows == 0:
            raise UsageError(f"{path} has no rows. Extract from videos that can be read.")

    @property
    def level(self) -> str:
        """What a row is: "frame", "clip", "video" or "token"; "frame" where nobody says."""
        return str(self.about.get("level", "frame"))

    def batches(self) -> Iterator[Rows]:
        """The rows as they lie on disk, at most 65,536 at a time.

        Raises:
            WorkError: A vector is not finite.
        """
        import pyarrow.parquet as pq

        wanted = [name for name in (*COLUMNS, "label", REPEATED, *TOKEN_COLUMNS, VECTOR) if name in self.columns]
        for file in self.files:
            for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=wanted):
                vectors = _vectors(batch.column(VECTOR), self.width, file)
                yield Rows(batch.drop_columns([VECTOR]).to_pandas(), vectors)

    def video_names(self) -> list[str]:
        """The videos in order of their names; no vector is read."""
        import pyarrow.parquet as pq

        names = set[str]()
        for file in self.files:
            names.update(pq.read_table(file, columns=["video"])["video"].unique().to_pylist())
        return sorted(names)

    def read(self) -> Rows:
        """All rows in memory, ordered by video and frame: 4 E bytes a row.

        Raises:
            WorkError: A vector is not finite.
        """
        import pandas as pd

        vectors = np.empty((self.num_rows, self.width), np.float32)
        parts, start = [], 0
        for batch in self.batches():
            vectors[start : start + len(batch)] = batch.vectors
            parts.append(batch.columns)
            start += len(batch)
        columns = pd.concat(parts, ignore_index=True)
        by = [name for name in ("video", "frame", *TOKEN_COLUMNS) if name in columns]
        order = columns.sort_values(by, kind="stable").index.to_numpy()
        if not np.array_equal(order, np.arange(len(order))):
            columns, vectors = columns.iloc[order].reset_index(drop=True), vectors[order]
        return Rows(columns, vectors)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"no such table of embeddings: {path}. `videossl extract --out {path}` makes one.")
    files = sorted(file for file in path.glob("*.parquet") if not file.name.startswith(("_", ".")))
    if not files:
        raise UsageError(
            f"{path} holds no Parquet files of embeddings. Give the folder that `videossl extract` wrote with "
            "--format parquet."
        )
    return files


def _schema(file: Path) -> "pa.Schema":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        cause = str(error).rstrip(".")
        raise UsageError(f"{file} cannot be read as Parquet: {cause}. Give a table of embeddings.") from error


def _about(schema: "pa.Schema") -> dict[str, Any]:
    return dict(json.loads((schema.metadata or {}).get(ABOUT_KEY, b"{}")))


def _width(schema: "pa.Schema", path: Path) -> int:
    import pyarrow as pa

    missing = [name for name in (*COLUMNS, VECTOR) if name not in schema.names]
    if missing:
        raise UsageError(
            f"a table of embeddings needs the columns {', '.join((*COLUMNS, VECTOR))}, got {', '.join(schema.names)} "
            f"in {path}. Give the folder that `videossl extract` wrote with --format parquet."
        )
    kind = schema.field(VECTOR).type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
        raise UsageError(
            f"expected the column {VECTOR} of {path} to be lists of floats of one length (fixed-size lists), got "
            f"{kind}. Cast it with pyarrow: pa.list_(pa.float32(), E)."
        )
    return int(kind.list_size)


def _vectors(column: "pa.Array", width: int, file: Path) -> NDArray[np.float32]:
    if column.null_count:
        raise WorkError(f"{file} has {column.null_count} rows without an embedding. Extract it again.")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    vectors = np.ascontiguousarray(flat, dtype=np.float32).reshape(-1, width)
    if not np.isfinite(vectors).all():
        raise WorkError(f"{file} has embeddings that are not finite. Extract it again, in float32.")
    return vectors
