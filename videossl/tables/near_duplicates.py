"""Stretches of different videos that show the same: rows that stay alike while time goes on in both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.progress import progress
from videossl.tables.table import Rows
from videossl.tables.times import centred, step_seconds

SIMILARITIES_AT_ONCE = 2**24
MOST_HITS = 50_000_000
RANDOM_PAIRS = 20_000
SHORT_SHARE = 0.8  # of a video shorter than a stretch must be: that share of it is enough
SLACK = 0.75  # of a step: rows of two videos no further apart in time stand beside each other
COLUMNS = (
    "video_a", "start_a_seconds", "end_a_seconds", "video_b", "start_b_seconds", "end_b_seconds",
    "similarity", "share_a", "share_b",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Pairs of stretches.

    Attributes:
        found: One row a pair: `video_a`, `start_a_seconds`, `end_a_seconds` (NaN where the table does not say when a
            video ends), the same of b, `similarity` (mean cosine over the stretch), `share_a` and `share_b` of the
            videos that the stretch covers. The longest first.
        num_videos: Videos compared.
        share_by_chance: Of random pairs of rows of different videos, how many are as alike as the threshold asks.
    """

    found: pd.DataFrame
    num_videos: int
    share_by_chance: float


class _Stretch(NamedTuple):
    """Start and end in seconds in video a and in video b, and the mean cosine of the two."""

    a: tuple[float, float]
    b: tuple[float, float]
    cosine: float


@dataclass(frozen=True, eq=False)
class _Video:
    """One video: numbers of its rows (n,), unit vectors (n, E), when each begins and ends (n,), and the usual step."""

    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]
    seconds: NDArray[np.float64]
    ends: NDArray[np.float64]
    step: float

    @property
    def duration(self) -> float:
        return float(self.ends[-1] - self.seconds[0])


def find_duplicates(rows: Rows, ends: NDArray[np.float64], *, threshold: float, min_seconds: float) -> Duplicates:
    """Find stretches of at least `min_seconds` that two videos share.

    Rows are centred on the mean of the table and made unit vectors. Rows of one video half a stretch apart are compared
    with all rows of the others: a shared stretch has one of them in it. Where two are alike, rows of the two videos at
    the same distance in time are compared before and after; one row that differs does not end a stretch. Played faster,
    backwards or mirrored, a video is another one to this (unless it is to the encoder's embeddings).

    Args:
        rows: One for each time of a video, ordered by video and time.
        ends: (n,) second at which each row ends; NaN for the only row of a video.
        threshold: Cosine from which two rows are alike.
        min_seconds: Of a stretch; of a video that is shorter, 80 % of it.

    Raises:
        UsageError: So many rows are alike that the threshold says nothing.
    """
    vectors = centred(rows.vectors)
    seconds = rows.columns["seconds"].to_numpy(np.float64)
    numbered = list(rows.videos())
    usual = [step_seconds(seconds[numbers]) for _, numbers in numbered]
    # Where nobody knows how long the only row of a video is, any other row may be as long as it.
    shortest = min((step for step in usual if step > 0), default=1.0)
    unknown = np.isnan(ends)
    ends = np.where(unknown, seconds + shortest, ends)
    names = [name for name, _ in numbered]
    videos = [
        _Video(numbers, vectors[numbers], seconds[numbers], ends[numbers], step or shortest)
        for (_, numbers), step in zip(numbered, usual, strict=True)
    ]
    endless = [name for name, video in zip(names, videos, strict=True) if unknown[video.numbers[-1]]]
    steps = np.array([video.step for video in videos])
    offsets = dict[tuple[int, int], set[int]]()
    of_row = rows.video_numbers
    num_hits = 0
    for i, j in _alike(vectors, of_row, _anchors(videos, min_seconds), threshold):
        num_hits += len(i)
        if num_hits > MOST_HITS:
            raise UsageError(
                f"more than {MOST_HITS:,} pairs of rows of different videos have a cosine of {threshold} or more: that "
                "says nothing. Raise --threshold."
            )
        shifts = np.round((seconds[j] - seconds[i]) / steps[of_row[i]]).astype(np.int64)
        for a, b, shift in np.unique(np.stack([of_row[i], of_row[j], shifts]), axis=1).T.tolist():
            offsets.setdefault((a, b), set()).add(shift)
    found = []
    for (a, b), shifts_of_pair in offsets.items():
        stretches = [
            stretch
            for shift in sorted(shifts_of_pair)
            for stretch in _stretches(videos[a], videos[b], shift, threshold=threshold, min_seconds=min_seconds)
        ]
        found += [
            (
                names[a], *stretch.a, names[b], *stretch.b, stretch.cosine,
                (stretch.a[1] - stretch.a[0]) / videos[a].duration, (stretch.b[1] - stretch.b[0]) / videos[b].duration,
            )
            for stretch in _apart(stretches)
        ]  # fmt: skip
    table = pd.DataFrame(found, columns=list(COLUMNS))
    order = (table["end_a_seconds"] - table["start_a_seconds"]).sort_values(ascending=False, kind="stable").index
    for side in ("a", "b"):
        table.loc[table[f"video_{side}"].isin(endless), f"end_{side}_seconds"] = np.nan
    return Duplicates(table.loc[order].reset_index(drop=True), len(names), _by_chance(vectors, of_row, threshold))


def _least_seconds(durations: list[float], min_seconds: float) -> float:
    """How long a stretch of these videos must be."""
    return min(min_seconds, SHORT_SHARE * min(durations))


def _anchors(videos: list[_Video], min_seconds: float) -> NDArray[np.int64]:
    """Rows so dense that every stretch that is long enough has one of them in it."""
    anchors = []
    for video in videos:
        rows_of_stretch = int(_least_seconds([video.duration], min_seconds) / video.step)
        anchors.append(video.numbers[:: max(1, rows_of_stretch // 2)])
    return np.concatenate(anchors)


def _alike(
    vectors: NDArray[np.float32], of_row: NDArray[np.int64], anchors: NDArray[np.int64], threshold: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs (anchor, row of a later video) with a cosine of at least `threshold`, a bounded number at a time."""
    everything = torch.from_numpy(vectors)
    video = torch.from_numpy(of_row)
    step = max(1, SIMILARITIES_AT_ONCE // len(vectors))
    starts = range(0, len(anchors), step)
    for start in progress(starts, total=len(starts), description="comparing", unit="block"):
        some = torch.from_numpy(anchors[start : start + step])
        alike = (everything[some] @ everything.T >= threshold) & (video > video[some][:, None])
        found = alike.nonzero()
        yield some[found[:, 0]].numpy(), found[:, 1].numpy()


def _stretches(a: _Video, b: _Video, shift: int, *, threshold: float, min_seconds: float) -> list[_Stretch]:
    """Stretches in which b shows what a does, so many steps of a later."""
    wanted = a.seconds + shift * a.step
    beside = _nearest(b.seconds, wanted)
    cosines = (a.vectors * b.vectors[beside]).sum(axis=1)
    both = np.abs(b.seconds[beside] - wanted) <= SLACK * max(a.step, b.step)
    alike = both & (cosines >= threshold)
    alike[1:-1] |= both[1:-1] & alike[:-2] & alike[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], alike, [False]])))
    least = _least_seconds([a.duration, b.duration], min_seconds)
    found = []
    for first, last in zip(edges[::2], edges[1::2] - 1, strict=True):
        of_a = (float(a.seconds[first]), float(a.ends[last]))
        of_b = (float(b.seconds[beside[first]]), float(b.ends[beside[last]]))
        if of_a[1] - of_a[0] >= least - 1e-6:
            found.append(_Stretch(of_a, of_b, float(cosines[first : last + 1].mean())))
    return found


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place in increasing `times` (n,) that is nearest to each of those wanted (m,)."""
    middles = (times[1:] + times[:-1]) / 2
    return np.searchsorted(middles, wanted).astype(np.int64)


def _apart(stretches: list[_Stretch]) -> list[_Stretch]:
    """The longest, and those of which no longer one covers half in both videos: a still picture is like itself at any
    distance in time."""
    kept: list[_Stretch] = []
    for stretch in sorted(stretches, key=lambda found: (found.a[0] - found.a[1], -found.cosine)):
        if not any(_covered(stretch.a, other.a) > 0.5 and _covered(stretch.b, other.b) > 0.5 for other in kept):
            kept.append(stretch)
    return sorted(kept)


def _covered(stretch: tuple[float, float], by: tuple[float, float]) -> float:
    """The share of a stretch of time that another covers; negative where they are apart."""
    return (min(stretch[1], by[1]) - max(stretch[0], by[0])) / (stretch[1] - stretch[0])


def _by_chance(vectors: NDArray[np.float32], of_row: NDArray[np.int64], threshold: float) -> float:
    random = np.random.default_rng(0)
    i, j = random.integers(0, len(vectors), (2, RANDOM_PAIRS))
    of_others = of_row[i] != of_row[j]
    if not of_others.any():
        return 0.0
    i, j = i[of_others], j[of_others]
    return float(((vectors[i] * vectors[j]).sum(axis=1) >= threshold).mean())
