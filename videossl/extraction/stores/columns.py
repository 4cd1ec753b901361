"""The columns of a table of embeddings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videossl.errors import WorkError
from videossl.extraction.levels import Rows

ABOUT_KEY = b"videossl"


def schema_of(rows: Rows, dtype: str, about: Mapping[str, object], *, with_embedding: bool = True) -> pa.Schema:
    """The schema of the table that rows like these go into.

    Args:
        rows: Any rows of it.
        dtype: "float32" or "float16".
        about: How they were made; goes into the metadata as JSON under the key `videossl`.
        with_embedding: Whether the vectors are in the table.
    """
    width = rows.vectors.shape[1]
    value = pa.float16() if dtype == "float16" else pa.float32()
    fields = [
        pa.field("video", pa.string()),
        pa.field("frame", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("label", pa.string()),
        *([pa.field("embedding", pa.list_(value, width))] if with_embedding else []),
        pa.field("repeated_frames", pa.int32()),
        pa.field("near_damage", pa.bool_()),
    ]
    if rows.places is not None:
        fields += [pa.field("token_row", pa.int16()), pa.field("token_column", pa.int16())]
    facts = json.dumps({**about, "width": width}, ensure_ascii=False)
    return pa.schema(fields, metadata={ABOUT_KEY: facts})


def about_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any] | None:
    """How the rows of a table were made; None if its metadata do not say."""
    text = (metadata or {}).get(ABOUT_KEY)
    return None if text is None else dict(json.loads(text))


def table_of(held: Sequence[Rows], schema: pa.Schema, dtype: str) -> pa.Table:
    """Rows as a table."""
    counts = [len(rows.positions) for rows in held]
    names = pa.array([rows.video.name for rows in held], pa.string())
    labels = pa.array([rows.video.label for rows in held], pa.string())
    of_row = np.repeat(np.arange(len(held)), counts)
    columns = {
        "video": names.take(pa.array(of_row)),
        "frame": pa.array(np.concatenate([rows.video.frames[list(rows.positions)] for rows in held]), pa.int64()),
        "seconds": pa.array(np.concatenate([rows.video.seconds[list(rows.positions)] for rows in held]), pa.float64()),
        "label": labels.take(pa.array(of_row)),
        "repeated_frames": pa.array([number for rows in held for number in rows.num_repeated], pa.int32()),
        "near_damage": pa.array([near for rows in held for near in rows.near_damage], pa.bool_()),
    }
    if "token_row" in schema.names:
        places = np.concatenate([rows.places for rows in held if rows.places is not None])
        columns |= {"token_row": pa.array(places[:, 0]), "token_column": pa.array(places[:, 1])}
    if "embedding" in schema.names:
        vectors = np.concatenate([stored(rows, dtype) for rows in held])
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table([columns[name] for name in schema.names], schema=schema)


def stored(rows: Rows, dtype: str) -> np.ndarray:
    """(n, E) vectors in the type in which they are stored.

    Raises:
        WorkError: They are beyond its range.
    """
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(rows.vectors, dtype=np.dtype(dtype))
    if dtype == "float16" and not np.isfinite(vectors).all():
        raise WorkError(
            f"the embedding of {rows.video.name} has numbers up to {np.abs(rows.vectors).max():.3g}, and float16 ends "
            "at 65504. Give --dtype float32."
        )
    return vectors


def read_about(shard: Path) -> dict[str, Any]:
    """What a shard says about how its rows were made: run, level, pooling, clip length, version, ...

    Raises:
        KeyError: It says nothing.
    """
    about = about_of(pq.read_schema(shard).metadata)
    if about is None:
        raise KeyError(f"{shard} says nothing of how it was made")
    return about


def with_about(table: pa.Table, facts: Mapping[str, object]) -> pa.Table:
    """The same table, saying these things besides about how its rows were made."""
    about = {**(about_of(table.schema.metadata) or {}), **facts}
    return table.replace_schema_metadata({ABOUT_KEY: json.dumps(about, ensure_ascii=False)})
