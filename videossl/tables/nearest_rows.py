"""The rows of a table that are nearest to some vectors by cosine: exact, in one pass over its files."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from videossl.tables.table import EmbeddingTable

SMALLEST = 1e-12  # length of a vector: one of zeros is like nothing


@dataclass(frozen=True)
class Hit:
    """A row that was found.

    Attributes:
        similarity: Cosine, from -1 to 1.
        video: Name of its video.
        frame: Frame at which it stands.
        seconds: The same from the start of the video.
        query: Number of the vector to which it is nearest.
    """

    similarity: float
    video: str
    frame: int
    seconds: float
    query: int


class Candidates:
    """Rows from which hits are chosen.

    Attributes:
        columns: `video`, `frame`, `seconds`.
        similarity: (n,) cosine with the nearest of the queries.
        query: (n,) number of that query.
    """

    def __init__(self, columns: pd.DataFrame, similarity: NDArray[np.float32], query: NDArray[np.int32]) -> None:
        self.columns, self.similarity, self.query = columns, similarity, query

    def best(
        self, number: int, *, apart_seconds: float, without: tuple[str, float] | None = None
    ) -> tuple[list[Hit], int]:
        """The best rows, each at least `apart_seconds` from every better one of its video.

        Args:
            number: How many.
            apart_seconds: 0 for all rows that are best.
            without: A video and a second in it: the row there is no hit, nor are those nearer than `apart_seconds`.

        Returns:
            Hits, the best first, and how many better rows than the last of them were passed over.
        """
        # Rows of the same cosine come in the order of the table.
        order = np.argsort(-self.similarity, kind="stable")
        taken = dict[str, list[float]]()
        if without is not None:
            taken[without[0]] = [without[1]]
        hits, passed_over = list[Hit](), 0
        videos, seconds = self.columns["video"], self.columns["seconds"].to_numpy(np.float64)
        for row in order.tolist():
            if len(hits) == number:
                break
            video, second = str(videos.iloc[row]), float(seconds[row])
            near = [abs(second - other) for other in taken.get(video, [])]
            if without is not None and (video, second) == without:
                continue
            if any(distance < apart_seconds for distance in near):
                passed_over += 1
                continue
            taken.setdefault(video, []).append(second)
            frame = int(self.columns["frame"].iloc[row])
            hits.append(Hit(float(self.similarity[row]), video, frame, second, int(self.query[row])))
        return hits, passed_over


def nearest_rows(table: EmbeddingTable, queries: NDArray[np.float32]) -> Candidates:
    """The cosine of every row with the nearest of the queries.

    One pass over the files: in memory are 65,536 rows, and of every row about 30 bytes, but not its vector.

    Args:
        table: To be searched.
        queries: (Q, E).
    """
    wanted = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), SMALLEST)
    columns, similarity, nearest = [], [], []
    for batch in table.batches():
        length = np.sqrt(np.einsum("ne,ne->n", batch.vectors, batch.vectors))
        cosines = (batch.vectors @ wanted.T) / np.maximum(length, SMALLEST)[:, None]  # (n, Q)
        best = cosines.argmax(axis=1)
        similarity.append(cosines[np.arange(len(best)), best])
        nearest.append(best.astype(np.int32))
        columns.append(batch.columns[["video", "frame", "seconds"]].astype({"video": "category"}))
    return Candidates(_joined(columns), np.concatenate(similarity), np.concatenate(nearest))


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Parts below each other; names of videos stay numbers of categories, for a name a row is 50 bytes."""
    names = pd.api.types.union_categoricals([part["video"] for part in parts])
    rest = pd.concat([part[["frame", "seconds"]] for part in parts], ignore_index=True)
    return rest.assign(video=names)
