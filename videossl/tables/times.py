"""One vector for each time of a video, in order, and how far apart the times are."""

import numpy as np
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.tables.table import TOKEN_COLUMNS, EmbeddingTable, Rows

GAP_STEPS = 3.0  # rows further apart than so many usual steps do not follow each other


def mean_tokens(rows: Rows) -> tuple[Rows, NDArray[np.int64], NDArray[np.int64]]:
    """The mean of the tokens of each time; rows of another kind are left as they are.

    Args:
        rows: Ordered by video and frame, n of them.

    Returns:
        (n',) rows; the number of the first of the n rows behind each (n',); and for each of the n rows its place among
        the n' (n,).
    """
    everything = np.arange(len(rows))
    if not all(name in rows.columns for name in TOKEN_COLUMNS):
        return rows, everything, everything
    frames, videos = rows.columns["frame"].to_numpy(), rows.video_numbers
    begins = np.append(True, (np.diff(videos) != 0) | (np.diff(frames) != 0))
    first = np.flatnonzero(begins)
    counts = np.diff(np.append(first, len(rows)))
    means = np.add.reduceat(rows.vectors, first, axis=0, dtype=np.float64) / counts[:, None]
    columns = rows.columns.iloc[first].drop(columns=list(TOKEN_COLUMNS)).reset_index(drop=True)
    return Rows(columns, means.astype(np.float32)), first, np.cumsum(begins) - 1


def read_times(table: EmbeddingTable) -> Rows:
    """The rows of a table, one for each time of a video; tokens are averaged.

    Raises:
        UsageError: A row is a whole video.
    """
    if table.level == "video":
        raise UsageError(
            f"{table.path} has one row a video, and the times within it are needed. Extract with --level frame."
        )
    return mean_tokens(table.read())[0]


def centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, E) vectors about the mean of all, of unit length; those of the mean itself stay zero.

    What all frames share says nothing of their difference, and fills the cosine of most encoders: without the mean,
    cosines of frames that have nothing to do with each other lie around zero, whatever the encoder.
    """
    away = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    length = np.linalg.norm(away, axis=1, keepdims=True)
    # A hundred-thousandth of the vectors' own length is the rounding of float32, not a direction.
    nothing = length <= 1e-5 * np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(nothing, 0, away / np.maximum(length, 1e-30)).astype(np.float32)


def step_seconds(seconds: NDArray[np.float64]) -> float:
    """The median time from one row of a video to the next; 0 where there is one row."""
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
