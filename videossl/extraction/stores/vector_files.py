"""Shards as a file of vectors (.npy or .safetensors) with a Parquet table of its rows beside it.

Row i of `rows-00000.parquet` is of vector i of the file that it names in its metadata (`vectors`), which is
`embeddings-00000.npy` unless rows were taken out of it. The vectors are there before the table is, so a shard is there
when its table is.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videossl.extraction.levels import Rows
from videossl.extraction.stores.base import FinishedShard, Shard, VideoEntry, entries_to_json
from videossl.extraction.stores.columns import stored, with_about
from videossl.extraction.stores.parquet import ENTRIES_KEY, ParquetStore, read_shard
from videossl.extraction.stores.raw_vectors import HEADER_BYTES, RawVectors
from videossl.extraction.stores.unfinished import unfinished

Suffix = Literal["npy", "safetensors"]


class VectorFileStore:
    """A folder of files of vectors and of tables of their rows.

    Args:
        folder: Where they lie.
        dtype: "float32" or "float16".
        suffix: Format of the vectors.
    """

    def __init__(self, folder: Path, dtype: str, suffix: Suffix) -> None:
        self.folder = folder
        self.dtype = dtype
        self.suffix = suffix
        self.tables = ParquetStore(folder, dtype, stem="rows", with_embedding=False)

    def finished(self) -> list[FinishedShard]:
        """See `Store`."""
        return self.tables.finished()

    def begin(self, number: int, about: Mapping[str, object]) -> "VectorFileShard":
        """See `Store`."""
        return VectorFileShard(self, number, about)

    def vectors_path(self, number: int, revision: int = 1) -> Path:
        """Where the vectors of shard `number` lie, after rows were taken out `revision` - 1 times."""
        name = f"embeddings-{number:05d}" + (f"-{revision}" if revision > 1 else "")
        return self.folder / f"{name}.{self.suffix}"

    def remove(self, names: Collection[str]) -> None:
        """See `Store`."""
        for number, path in self.tables.paths().items():
            shard = read_shard(path, number)
            kept = [entry for entry in shard.entries if entry.name not in names]
            if len(kept) == len(shard.entries):
                continue
            old = self.folder / str(shard.about["vectors"])
            if kept:
                self._take_out(path, number, names, kept, old)
            else:
                path.unlink()
            old.unlink()

    def _take_out(self, path: Path, number: int, names: Collection[str], kept: Sequence[VideoEntry], old: Path) -> None:
        table = pq.read_table(path)
        keep = ~np.isin(table["video"].to_numpy(), sorted(names))
        width = int(read_shard(path).about["width"])
        vectors = np.memmap(old, self.dtype, "r", offset=HEADER_BYTES, shape=(len(keep), width))
        new = self.vectors_path(number, _revision(old) + 1)
        temporary = unfinished(new)
        file = RawVectors(temporary, self.suffix, self.dtype)
        file.add(vectors[keep])
        file.close()
        temporary.replace(new)
        table = with_about(table.filter(pa.array(keep)), {"vectors": new.name})
        temporary = unfinished(path)
        with pq.ParquetWriter(temporary, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({ENTRIES_KEY: entries_to_json(kept)})
        temporary.replace(path)

    def clean(self) -> None:
        """See `Store`."""
        self.tables.clean()
        named = {shard.about["vectors"] for shard in self.finished()}
        for path in self.folder.glob(f"embeddings-*.{self.suffix}"):
            if path.name not in named:
                path.unlink()

    def files(self) -> list[str]:
        """See `Store`."""
        return [*self.tables.files(), *(str(shard.about["vectors"]) for shard in self.finished())]

    def delete(self) -> None:
        """See `Store`."""
        self.tables.delete()
        for path in self.folder.glob(f"embeddings-*.{self.suffix}"):
            path.unlink()


class VectorFileShard(Shard):
    """Vectors and a table that are being written."""

    def __init__(self, store: VectorFileStore, number: int, about: Mapping[str, object]) -> None:
        self._store = store
        self._path = store.vectors_path(number)
        self._temporary = unfinished(self._path)
        self._table = store.tables.begin(number, {**about, "vectors": self._path.name})
        self._vectors: RawVectors | None = None

    def add(self, rows: Rows) -> None:
        """See `Shard`."""
        if self._vectors is None:
            self._vectors = RawVectors(self._temporary, self._store.suffix, self._store.dtype)
        self._vectors.add(stored(rows, self._store.dtype))
        self._table.add(rows)

    def finish(self, entries: Sequence[VideoEntry]) -> None:
        """See `Shard`."""
        if self._vectors is not None:
            self._vectors.close()
            self._temporary.replace(self._path)
        self._table.finish(entries)

    def discard(self) -> None:
        """See `Shard`."""
        if self._vectors is not None:
            self._vectors.close()
        self._temporary.unlink(missing_ok=True)
        self._table.discard()


def _revision(path: Path) -> int:
    match = re.fullmatch(r"embeddings-\d+-(\d+)\.\w+", path.name)
    return int(match[1]) if match else 1
