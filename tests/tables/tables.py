"""Write tables of embeddings by hand, as `videossl extract` writes them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_table(folder, columns, vectors, *, num_files=1, dtype="float32", **about):
    """A folder of Parquet files: columns `video`, `frame`, `seconds` and others beside vectors (n, E)."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.ascontiguousarray(vectors, dtype=dtype)
    table = pa.table(
        {
            **{name: pa.array(values) for name, values in columns.items()},
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
        }
    ).replace_schema_metadata({b"videossl": json.dumps({"level": "frame", **about})})
    for number, rows in enumerate(np.array_split(np.arange(len(vectors)), num_files)):
        pq.write_table(table.take(pa.array(rows)), folder / f"part-{number:05d}.parquet")
    return folder


def videos(num_videos, num_rows, *, rate=10.0):
    """Columns of so many videos of so many rows, a row a frame."""
    return {
        "video": [f"{number:03d}.mp4" for number in range(num_videos) for _ in range(num_rows)],
        "frame": [row for _ in range(num_videos) for row in range(num_rows)],
        "seconds": [row / rate for _ in range(num_videos) for row in range(num_rows)],
    }
