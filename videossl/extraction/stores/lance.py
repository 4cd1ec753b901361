"""Shards in a Lance table (`embeddings.lance`), which LanceDB opens: `lancedb.connect(OUT).open_table("embeddings")`.

Its rows have a column `shard`. A second table, `shards`, says which shards are finished, and what is in them: rows of
others, or of videos that are not in their shard any more, do not count, and are deleted at the next occasion.
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from videossl.errors import UsageError
from videossl.extraction.levels import Rows
from videossl.extraction.stores.base import FinishedShard, Shard, VideoEntry, entries_from_json, entries_to_json
from videossl.extraction.stores.columns import ABOUT_KEY, schema_of, table_of
from videossl.extraction.stores.parquet import ROW_GROUP_BYTES
from videossl.extraction.stores.unfinished import clean, unfinished

ROWS, SHARDS = "embeddings", "shards"


class LanceStore:
    """A folder with a Lance table of rows and one of shards.

    Args:
        folder: Where they lie.
        dtype: "float32" or "float16".
    """

    def __init__(self, folder: Path, dtype: str) -> None:
        self.folder = folder
        self.dtype = dtype

    def table(self, name: str) -> Any | None:
        """A table; None if it is not there."""
        if not (self.folder / f"{name}.lance").is_dir():
            return None
        return self.connect().open_table(name)

    def connect(self) -> Any:
        """The folder as a data base.

        Raises:
            UsageError: LanceDB is not installed.
        """
        try:
            import lancedb
        except ImportError as error:
            raise UsageError(
                "--format lance needs LanceDB. Install it: pip install 'videossl[lance]', or choose --format parquet."
            ) from error
        return lancedb.connect(str(self.folder))

    def finished(self) -> list[FinishedShard]:
        """See `Store`."""
        table = self.table(SHARDS)
        rows = [] if table is None else table.to_arrow().to_pylist()
        return sorted(
            (FinishedShard(row["shard"], json.loads(row["about"]), entries_from_json(row["videos"])) for row in rows),
            key=lambda shard: shard.number,
        )

    def begin(self, number: int, about: Mapping[str, object]) -> "LanceShard":
        """See `Store`."""
        self.connect()  # better now than when everything is computed
        return LanceShard(self, number, about)

    def remove(self, names: Collection[str]) -> None:
        """See `Store`."""
        shards, rows = self.table(SHARDS), self.table(ROWS)
        if shards is None or rows is None:
            return
        for shard in self.finished():
            kept = [entry for entry in shard.entries if entry.name not in names]
            if len(kept) == len(shard.entries):
                continue
            if kept:
                shards.update(where=f"shard = {shard.number}", values={"videos": entries_to_json(kept)})
            else:
                shards.delete(f"shard = {shard.number}")
        self.clean()

    def clean(self) -> None:
        """See `Store`."""
        clean(self.folder)
        rows = self.table(ROWS)
        if rows is None:
            return
        finished = self.finished()
        rows.delete(f"shard NOT IN ({', '.join(str(shard.number) for shard in finished)})" if finished else "true")
        for shard in finished:
            of_shard = f"shard = {shard.number}"
            if rows.count_rows(of_shard) != shard.num_rows:
                names = ", ".join("'" + entry.name.replace("'", "''") + "'" for entry in shard.entries)
                rows.delete(f"{of_shard} AND video NOT IN ({names})")

    def files(self) -> list[str]:
        """See `Store`."""
        return [f"{ROWS}.lance"] if self.table(ROWS) is not None else []

    def delete(self) -> None:
        """See `Store`."""
        for name in (ROWS, SHARDS):
            shutil.rmtree(self.folder / f"{name}.lance", ignore_errors=True)
        clean(self.folder)


class LanceShard(Shard):
    """Rows on their way into the table, in a file until the shard is finished."""

    def __init__(self, store: LanceStore, number: int, about: Mapping[str, object]) -> None:
        self._store = store
        self._number = number
        self._about = about
        self._path = unfinished(store.folder / f"shard-{number:05d}.arrow")
        self._schema: pa.Schema | None = None
        self._file: pa.RecordBatchFileWriter | None = None
        self._held: list[Rows] = []
        self._held_bytes = 0

    def add(self, rows: Rows) -> None:
        """See `Shard`."""
        if self._schema is None:
            self._schema = schema_of(rows, self._store.dtype, self._about)
            self._file = pa.ipc.new_file(self._path, self._schema.append(pa.field("shard", pa.int32())))
        self._held.append(rows)
        self._held_bytes += rows.vectors.nbytes
        if self._held_bytes >= ROW_GROUP_BYTES:
            self._write()

    def finish(self, entries: Sequence[VideoEntry]) -> None:
        """See `Shard`."""
        if self._schema is None or self._file is None:
            return
        self._write()
        self._file.close()
        base = self._store.connect()
        with pa.memory_map(str(self._path)) as source, pa.ipc.open_file(source) as file:
            batches = pa.RecordBatchReader.from_batches(
                file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
            )
            _opened(base, ROWS, file.schema).add(batches)
        about = json.loads(self._schema.metadata[ABOUT_KEY])
        line = pa.table(
            {
                "shard": pa.array([self._number], pa.int32()),
                "about": [json.dumps(about, ensure_ascii=False)],
                "videos": [entries_to_json(entries)],
            }
        )
        _opened(base, SHARDS, line.schema).add(line)
        self._path.unlink()

    def discard(self) -> None:
        """See `Shard`."""
        self._held = []
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._held:
            assert self._schema is not None
            assert self._file is not None
            table = table_of(self._held, self._schema, self._store.dtype)
            numbers = pa.array([self._number] * len(table), pa.int32())
            self._file.write_table(table.append_column(pa.field("shard", pa.int32()), numbers))
            self._held, self._held_bytes = [], 0


def _opened(base: Any, name: str, schema: pa.Schema) -> Any:
    """A table, made if it is not there."""
    try:
        return base.create_table(name, schema=schema, exist_ok=True)
    except (OSError, RuntimeError, ValueError):  # another process makes it at this moment
        return base.open_table(name)
