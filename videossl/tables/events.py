"""Boundaries of events: the places where what follows is new."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from videossl.tables.novelty import novelty
from videossl.tables.table import Rows
from videossl.tables.times import GAP_STEPS, centred, step_seconds

TO_DEVIATION = 1.4826  # from the median absolute deviation to the standard deviation of a Gaussian


@dataclass(frozen=True, eq=False)
class Events:
    """Boundaries found in the videos of a table.

    Attributes:
        found: One row a boundary: `video`, `frame`, `seconds` (of the first row after it), `novelty`.
        threshold: Novelty above which a peak is a boundary.
        num_videos: Videos looked at.
        too_short: Videos shorter than the kernel, in which nothing can be found.
        num_gaps: Places where rows are missing; nothing is looked for across them.
    """

    found: pd.DataFrame
    threshold: float
    num_videos: int
    too_short: tuple[str, ...]
    num_gaps: int


def find_events(rows: Rows, *, kernel_seconds: float, deviations: float, min_novelty: float | None = None) -> Events:
    """Find boundaries as peaks of the novelty of centred unit vectors.

    Args:
        rows: One for each time of a video, ordered by video and time.
        kernel_seconds: Time that is compared on each side of a place; the least distance of two boundaries, too.
        deviations: A peak is a boundary if it lies so many robust standard deviations (1.4826 times the median absolute
            deviation) above the median novelty of all videos.
        min_novelty: Instead of `deviations`: the threshold itself, from 0 to 4.
    """
    from scipy.signal import find_peaks

    vectors = centred(rows.vectors)
    seconds = rows.columns["seconds"].to_numpy(np.float64)
    pieces: list[tuple[NDArray[np.int64], int, NDArray[np.float64]]] = []
    too_short, num_gaps, num_videos = list[str](), 0, 0
    for name, numbers in rows.videos():
        num_videos += 1
        step = step_seconds(seconds[numbers])
        half_width = max(1, round(kernel_seconds / step)) if step > 0 else 1
        breaks = np.flatnonzero(np.diff(seconds[numbers]) > GAP_STEPS * step) + 1
        num_gaps += len(breaks)
        unbroken = [piece for piece in np.split(numbers, breaks) if len(piece) >= max(2, half_width)]
        if not unbroken:
            too_short.append(name)
        pieces += [(piece, half_width, novelty(vectors[piece], half_width)) for piece in unbroken]
    threshold = min_novelty
    if threshold is None:
        everything = np.concatenate([values for _, _, values in pieces]) if pieces else np.zeros(1)
        middle = float(np.median(everything))
        threshold = middle + deviations * TO_DEVIATION * float(np.median(np.abs(everything - middle)))
    at, values = list[int](), list[float]()
    for piece, half_width, of_piece in pieces:
        peaks, _ = find_peaks(
            np.concatenate([[0.0], of_piece, [0.0]]), height=max(threshold, 1e-9), distance=half_width
        )
        at += piece[peaks - 1].tolist()
        values += of_piece[peaks - 1].tolist()
    found = rows.columns.loc[at, ["video", "frame", "seconds"]].reset_index(drop=True)
    return Events(found.assign(novelty=values), threshold, num_videos, tuple(too_short), num_gaps)
