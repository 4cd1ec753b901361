"""Futures of several steps, and steering: small tables of the evaluation."""

from dataclasses import dataclass
from typing import Any

from videossl.report.numbers import score

COLUMNS = (
    ("coverage", "Branch coverage ↑"),
    ("precision", "Branch precision ↑"),
    ("calibration", "Calibration error, each context ↓"),
    ("calibration_pooled", "Calibration error, all together ↓"),
)


@dataclass(frozen=True)
class Horizon:
    """Scores of whole futures of one number of steps.

    Attributes:
        title: How many steps, frames and futures.
        columns: Titles.
        rows: (name, CSS class, cells as (value, interval)).
    """

    title: str
    columns: list[str]
    rows: list[tuple[str, str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Steering:
    """How well r of one video steers another.

    Attributes:
        rows: (what was done, value, interval).
        num_contexts: That were steered.
    """

    rows: list[tuple[str, str, str]]
    num_contexts: int


def horizons(found: dict[str, Any]) -> list[Horizon]:
    """The entry `horizons` of metrics.json; empty where one step is all."""
    return [
        Horizon(
            title=(
                f"{entry['steps']} steps ({entry['frames']} frames): {entry['num_possible']:.3g} of "
                f"{entry['num_branches']} futures can happen on average; {entry['num_samples']} samples, "
                f"{entry['num_contexts']} contexts"
            ),
            columns=[title for _, title in COLUMNS],
            rows=[
                (str(row["name"]), str(row["kind"]), [_cell(row["metrics"].get(key)) for key, _ in COLUMNS])
                for row in entry["rows"]
            ],
        )
        for entry in found.get("horizons") or []
    ]


def steering(found: dict[str, Any]) -> Steering | None:
    """The entry `steering` of metrics.json."""
    entry = found.get("steering")
    if not entry:
        return None
    parts = (
        ("rate", "r of another video"),
        ("own", "r of the same video (oracle)"),
        ("unsteered", "r drawn from the prior (control)"),
    )
    rows = [(title, *_cell(entry[key])) for key, title in parts]
    free = entry.get("free")
    if free:
        where = f"where nothing bounces, in {free['num_contexts']} contexts"
        rows += [(f"{title}, {where}", *_cell(free[key])) for key, title in (parts[0], parts[2])]
    return Steering(
        [*rows, ("landing anywhere alike (chance)", score(entry["chance"]), "")], int(entry["num_contexts"])
    )


def _cell(interval: dict[str, float] | None) -> tuple[str, str]:
    if interval is None:
        return "–", ""
    if interval["low"] == interval["high"]:
        return score(interval["value"]), ""
    return score(interval["value"]), f"{score(interval['low'])} to {score(interval['high'])}"
