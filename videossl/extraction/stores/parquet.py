"""Shards as Parquet files that pandas, DuckDB, LanceDB and PyTorch read: part-00000.parquet, part-00001.parquet, ..."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videossl.errors import UsageError
from videossl.extraction.levels import Rows
from videossl.extraction.stores.base import (
    FinishedShard,
    Shard,
    VideoEntry,
    entries_from_json,
    entries_to_json,
)
from videossl.extraction.stores.columns import about_of, schema_of, table_of
from videossl.extraction.stores.unfinished import clean, unfinished

ENTRIES_KEY = b"videossl_videos"  # in the footer, which is written last: how many rows a video has is known then
ROW_GROUP_BYTES = 16 * 2**20


class ParquetStore:
    """A folder of Parquet shards.

    Columns: `video` string, `frame` int64, `seconds` float64, `label` string or null, `embedding` fixed-size list of
    float32 or float16, `repeated_frames` int32, `near_damage` bool; see `Rows`.

    Args:
        folder: Where they lie.
        dtype: "float32" or "float16".
        stem: First part of their names.
        with_embedding: Whether the vectors are in them.
    """

    def __init__(self, folder: Path, dtype: str, *, stem: str = "part", with_embedding: bool = True) -> None:
        self.folder = folder
        self.dtype = dtype
        self.stem = stem
        self.with_embedding = with_embedding

    def path(self, number: int) -> Path:
        """Where shard `number` lies."""
        return self.folder / f"{self.stem}-{number:05d}.parquet"

    def paths(self) -> dict[int, Path]:
        """The shards that are there, by number."""
        found = {}
        for path in self.folder.glob(f"{self.stem}-*.parquet"):
            match = re.fullmatch(rf"{self.stem}-(\d+)\.parquet", path.name)
            if match:
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def finished(self) -> list[FinishedShard]:
        """See `Store`.

        Raises:
            UsageError: A file of such a name that this did not write.
        """
        return [read_shard(path, number) for number, path in self.paths().items()]

    def begin(self, number: int, about: Mapping[str, object]) -> "ParquetShard":
        """See `Store`."""
        return ParquetShard(self, number, about)

    def remove(self, names: Collection[str]) -> None:
        """See `Store`."""
        for number, path in self.paths().items():
            kept = [entry for entry in read_shard(path, number).entries if entry.name not in names]
            if len(kept) == len(read_shard(path, number).entries):
                continue
            if not kept:
                path.unlink()
                continue
            temporary = unfinished(path)
            with pq.ParquetFile(path) as file, pq.ParquetWriter(temporary, file.schema_arrow) as writer:
                for batch in file.iter_batches():
                    keep = pc.invert(pc.is_in(batch.column("video"), pa.array(sorted(names), pa.string())))
                    writer.write_batch(batch.filter(keep))
                writer.add_key_value_metadata({ENTRIES_KEY: entries_to_json(kept)})
            temporary.replace(path)

    def clean(self) -> None:
        """See `Store`."""
        clean(self.folder)

    def files(self) -> list[str]:
        """See `Store`."""
        return [path.name for path in self.paths().values()]

    def delete(self) -> None:
        """See `Store`."""
        for path in self.paths().values():
            path.unlink()
        self.clean()


class ParquetShard(Shard):
    """A Parquet file that is being written, a group of rows at a time."""

    def __init__(self, store: ParquetStore, number: int, about: Mapping[str, object]) -> None:
        self._store = store
        self._about = about
        self._path = store.path(number)
        self._temporary = unfinished(self._path)
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._held: list[Rows] = []
        self._held_bytes = 0

    def add(self, rows: Rows) -> None:
        """See `Shard`."""
        dtype, with_embedding = self._store.dtype, self._store.with_embedding
        if self._schema is None:
            self._schema = schema_of(rows, dtype, self._about, with_embedding=with_embedding)
        self._held.append(rows)
        self._held_bytes += rows.vectors.nbytes
        if self._held_bytes >= ROW_GROUP_BYTES:
            self._write()

    def finish(self, entries: Sequence[VideoEntry]) -> None:
        """See `Shard`."""
        if self._schema is None:
            return
        self._write()
        assert self._writer is not None
        self._writer.add_key_value_metadata({ENTRIES_KEY: entries_to_json(entries)})
        self._writer.close()
        self._temporary.chmod(0o644)
        self._temporary.replace(self._path)

    def discard(self) -> None:
        """See `Shard`."""
        self._held = []
        if self._writer is not None:
            self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._writer is None:
            # Vectors do not repeat: a dictionary of them would only cost time.
            self._writer = pq.ParquetWriter(self._temporary, self._schema, use_dictionary=["video", "label"])
        if self._held:
            self._writer.write_table(table_of(self._held, self._schema, self._store.dtype))
            self._held, self._held_bytes = [], 0


def read_shard(path: Path, number: int = 0) -> FinishedShard:
    """What a shard says of itself.

    Raises:
        UsageError: It says nothing, or cannot be read.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())}. Delete it, or choose another --out."
        ) from error
    about = about_of(metadata)
    if about is None or ENTRIES_KEY not in metadata:
        raise UsageError(
            f"{path} was not written by this version of `videossl extract`, which cannot add to it. Choose another "
            "--out, or replace all with --overwrite true."
        )
    return FinishedShard(number, about, entries_from_json(metadata[ENTRIES_KEY]))
