"""One metric of all predictors: cells of the table, and places on the axis of its card."""

import math
from dataclasses import dataclass
from typing import Any

from videossl.report.numbers import score

TIE = 1e-9
Values = dict[str, dict[str, dict[str, float]]]  # row -> metric -> value, low, high


@dataclass(frozen=True)
class Cell:
    """Value and 95 % interval of one row in one metric; places are per cent of the metric's track."""

    value: float
    low: float
    high: float
    text: str
    interval: str
    is_best: bool
    at: float
    start: float
    length: float


@dataclass(frozen=True)
class Row:
    """One predictor."""

    name: str
    key: str
    kind: str
    note: str
    space: str


@dataclass(frozen=True)
class Metric:
    """One metric of all rows.

    Attributes:
        key: Name in metrics.json.
        title: Name for people.
        better: "higher", "lower" or "nearer 1".
        reads: One sentence on how to read it.
        chance: As text, empty if not known.
        chance_value: The number; NaN if not known.
        chance_at: Place of chance on the track in per cent, None if not known.
        cells: Key of a row -> its cell; rows for which the metric is not defined are absent.
        ends: What the left and the right end of the track stand for.
    """

    key: str
    title: str
    better: str
    reads: str
    chance: str
    chance_value: float
    chance_at: float | None
    cells: dict[str, Cell]
    ends: tuple[str, str]


def metric_of(
    key: str, known: dict[str, Any], rows: list[Row], values: Values, *, is_comparable: bool = True
) -> Metric:
    """Lay out one metric.

    Args:
        key: Name in metrics.json.
        known: Its entry in `metric_help`; may be empty.
        rows: All predictors.
        values: Of all rows.
        is_comparable: Whether rows of different spaces can be compared, so that one is the best.
    """
    better = str(known.get("better", ""))
    intervals = {row.key: values[row.key][key] for row in rows if key in values[row.key]}
    chance = known.get("chance")
    edges = [entry[name] for entry in intervals.values() for name in ("value", "low", "high")]
    left, right = _track([*edges, *([] if chance is None else [chance])])
    rivals = [entry["value"] for row in rows if row.kind != "oracle" and (entry := intervals.get(row.key))]
    best = min((badness(value, better) for value in rivals), default=math.inf)
    cells = {}
    for row in rows:
        entry = intervals.get(row.key)
        if entry is None:
            continue
        value, low, high = (float(entry[name]) for name in ("value", "low", "high"))
        start, end = (100 * (edge - left) / (right - left) for edge in (low, high))
        cells[row.key] = Cell(
            value=value,
            low=low,
            high=high,
            text=score(value),
            interval=f"{score(low)}–{score(high)}",
            is_best=bool(better) and is_comparable and row.kind != "oracle" and badness(value, better) <= best + TIE,
            at=100 * (value - left) / (right - left),
            start=start,
            length=end - start,
        )
    return Metric(
        key=key,
        title=str(known.get("title", key)),
        better=better,
        reads=str(known.get("reads", "No explanation was written by the evaluation.")),
        chance="" if chance is None else score(float(chance)),
        chance_value=math.nan if chance is None else float(chance),
        chance_at=None if chance is None else 100 * (float(chance) - left) / (right - left),
        cells=cells,
        ends=(f"{left:g}", f"{right:g}"),
    )


def _track(values: list[float]) -> tuple[float, float]:
    """Ends of the axis on which values are drawn: from 0 to 1 where they fit, else to the next half above."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return min(0.0, math.floor(low * 2) / 2), max(1.0, math.ceil(high * 2) / 2)


def badness(value: float, better: str) -> float:
    """Smaller is better."""
    if better == "higher":
        return -value
    if better.startswith("nearer"):
        return abs(math.log(max(value, 1e-12)))
    return value
