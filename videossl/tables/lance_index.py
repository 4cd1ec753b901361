"""An approximate index of a table in LanceDB, for more rows than one wants to read for each search."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.files import replacing
from videossl.tables.nearest_rows import Candidates
from videossl.tables.table import EmbeddingTable

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "_lancedb"  # in the folder of the table: readers of Parquet folders pass over names that begin with _
SOURCE = "source.json"  # the files of which the index was made
NAME = "embeddings"
FEWEST_INDEXED = 4096  # rows; fewer are compared one by one, exactly
PROBES, REFINE = 32, 20


class LanceIndex:
    """The index of a table; made where there is none yet, and anew where the files of the table have changed.

    Args:
        table: Its folder gets a folder `_lancedb`.

    Attributes:
        was_made: Whether it was made now.
        folder: Where it is.

    Raises:
        UsageError: LanceDB is not installed.
    """

    def __init__(self, table: EmbeddingTable) -> None:
        try:
            import lancedb
        except ImportError as error:
            raise UsageError(
                "--index lancedb needs LanceDB: pip install 'videossl[lance]'. Or search with --index exact."
            ) from error
        self.folder = folder = (table.path if table.path.is_dir() else table.path.parent) / FOLDER
        source = _source(table)
        database = lancedb.connect(str(folder))
        self.num_rows = table.num_rows
        self.was_made = not (folder / SOURCE).is_file() or json.loads((folder / SOURCE).read_text()) != source
        if self.was_made:
            (folder / SOURCE).unlink(missing_ok=True)
            self._rows: Any = database.create_table(NAME, _batches(table), schema=_schema(table), mode="overwrite")
            if table.num_rows >= FEWEST_INDEXED:
                from lancedb.index import IvfPq

                self._rows.create_index("embedding", config=IvfPq(distance_type="cosine"))
            with replacing(folder / SOURCE) as temporary:
                temporary.write_text(json.dumps(source))
        else:
            self._rows = database.open_table(NAME)

    def nearest(self, queries: NDArray[np.float32], number: int) -> Candidates:
        """Rows near to the queries, at least so many if the table has them, with exact cosines.

        Args:
            queries: (Q, E).
            number: How many are wanted for each query.
        """
        found = []
        for place, query in enumerate(queries):
            search = self._rows.search(query, vector_column_name="embedding").distance_type("cosine")
            search = search.nprobes(PROBES).refine_factor(REFINE).limit(min(number, self.num_rows))
            found.append(search.select(["video", "frame", "seconds", "_distance"]).to_pandas().assign(query=place))
        rows = pd.concat(found).sort_values("_distance", kind="stable").drop_duplicates(["video", "frame"])
        similarity = 1 - rows["_distance"].to_numpy(np.float32)
        columns = rows[["video", "frame", "seconds"]].reset_index(drop=True)
        return Candidates(columns, similarity, rows["query"].to_numpy(np.int32))


def _source(table: EmbeddingTable) -> list[list[object]]:
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in table.files]


def _schema(table: EmbeddingTable) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("video", pa.string()),
            ("frame", pa.int64()),
            ("seconds", pa.float64()),
            ("embedding", pa.list_(pa.float32(), table.width)),
        ]
    )


def _batches(table: EmbeddingTable) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in table.batches():
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(batch.vectors.reshape(-1)), table.width)
        columns = [pa.array(batch.columns[name]) for name in ("video", "frame", "seconds")]
        yield pa.RecordBatch.from_arrays([*columns, vectors], schema=_schema(table))
