"""The table of metrics, and whether the model beats its controls."""

import re
from dataclasses import dataclass
from typing import Any

from videossl.report.metric import TIE, Cell, Metric, Row, Values, badness, metric_of
from videossl.report.numbers import State, listed, score

RAW = ("energy_score", "best_of_k")  # in units of one embedding space: not to be compared down a column
ENERGY, ENERGY_OF_MOTION = "energy_ratio", "energy_px"
PAIRED_AS = {ENERGY: "energy_score"}  # a quotient of means has no value for a context: its numerator is compared
Paired = dict[tuple[str, str], dict[str, Any]]  # metric, key of a control -> entry of `comparisons`
GROUPS = (
    ("model", "This model"),
    ("control", "Controls: what it must beat"),
    ("oracle", "Oracles: what it cannot be expected to beat"),
)


@dataclass(frozen=True)
class Comparison:
    """The model against the best of its controls in one metric."""

    title: str
    state: State
    text: str


@dataclass(frozen=True)
class Scores:
    """Everything about scores.

    Attributes:
        groups: (title, rows) of the model, the controls and the oracles.
        metrics: Columns of the table, comparable between rows.
        raw: Those by distances in each row's own space, that must not be compared between spaces.
        comparisons: The model against its controls.
        state: Of all comparisons together.
        verdict: The same in a sentence.
        summary: How many contexts, how many samples, which videos.
        skipped: What could not be computed and why.
    """

    groups: list[tuple[str, list[Row]]]
    metrics: list[Metric]
    raw: list[Metric]
    comparisons: list[Comparison]
    state: State
    verdict: str
    summary: str
    skipped: list[str]


def scores(found: dict[str, Any]) -> Scores:
    """Make the tables.

    Args:
        found: metrics.json.
    """
    rows = [
        Row(str(row["name"]), str(row["key"]), str(row["kind"]), str(row.get("note", "")), str(row.get("space", "")))
        for row in found["rows"]
    ]
    values: Values = {str(row["key"]): row.get("metrics") or {} for row in found["rows"]}
    help_of = found.get("metric_help") or {}
    keys = [*help_of, *(key for row in values.values() for key in row)]
    keys = [key for key in dict.fromkeys(keys) if any(key in row for row in values.values())]
    # Divided distances still flatter a space that throws away what varies; true motion, where known, does not.
    raw = {*RAW, *([ENERGY] if ENERGY_OF_MOTION in keys else [])}
    metrics = {key: metric_of(key, help_of.get(key) or {}, rows, values, is_comparable=key not in raw) for key in keys}
    titles = dict(GROUPS) | {row.kind: row.kind for row in rows if row.kind not in dict(GROUPS)}
    groups = [(title, [row for row in rows if row.kind == kind]) for kind, title in titles.items()]
    is_deterministic = (found.get("health") or {}).get("latent_dim") == 0
    paired: Paired = {(str(one["metric"]), str(one["against"])): one for one in found.get("comparisons") or []}
    comparisons = _comparisons(metrics, rows, paired, is_deterministic=is_deterministic)
    state, verdict = _verdict(comparisons)
    if state != "none" and not is_deterministic and not any(row.key == "twin" for row in rows):
        verdict += " (No deterministic twin was there to compare with.)"
    return Scores(
        groups=[(title, members) for title, members in groups if members],
        metrics=[metric for key, metric in metrics.items() if key not in raw],
        raw=[metric for key, metric in metrics.items() if key in raw],
        comparisons=comparisons,
        state=state,
        verdict=verdict,
        summary=_summary(found),
        skipped=[str(reason) for reason in found.get("skipped") or []],
    )


def _summary(found: dict[str, Any]) -> str:
    world = found.get("world")
    where = (
        f"They come from the generated world “{world}”, where every possible future of a context is known"
        if world
        else "They are real videos: of all that could have happened, only what did happen is known"
    )
    drawn = f", with r drawn from a {found['prior']}" if found.get("prior") else ""
    return (
        f"{found.get('num_contexts', '?')} contexts, all from held-out videos, never trained on. For each, "
        f"{found.get('num_samples', '?')} futures are predicted{drawn}. {where}. Noise controls are tuned on "
        f"{found.get('num_tuning_contexts', '?')} other held-out contexts. Seed {found.get('seed', '?')}."
    )


def _comparisons(
    metrics: dict[str, Metric], rows: list[Row], paired: Paired, *, is_deterministic: bool
) -> list[Comparison]:
    model = next((row for row in rows if row.kind == "model"), None)
    controls = [row for row in rows if row.kind == "control" and not (is_deterministic and row.key == "mean")]
    energy = ENERGY_OF_MOTION if ENERGY_OF_MOTION in metrics else ENERGY
    decisive = ("coverage", energy) if "coverage" in metrics else (energy, "hit_at_1")
    found = []
    for metric in (metrics[key] for key in decisive if key in metrics):
        rivals = [row for row in controls if row.key in metric.cells]
        if model is None or model.key not in metric.cells or not rivals:
            continue
        own = metric.cells[model.key]
        rival = min(rivals, key=lambda row: badness(metric.cells[row.key].value, metric.better))
        other = metric.cells[rival.key]
        pair = paired.get((PAIRED_AS.get(metric.key, metric.key), rival.key))
        state, words = _apart(own, other, metric.better) if pair is None else _apart_in_pairs(pair, metric)
        text = f"{own.text} against {other.text} of the best control ({rival.name}): {words}."
        if metric.chance:
            is_above = badness(own.value, metric.better) < badness(metric.chance_value, metric.better) - TIE
            text += f" Blind guessing {'reaches' if is_above else 'does as well or better:'} {metric.chance}."
            state = state if is_above else "bad"
        found.append(Comparison(metric.title, state, text))
    precision = metrics.get("precision")
    if precision is not None and model is not None and model.key in precision.cells:
        text = f"{precision.cells[model.key].text}, blind guessing {precision.chance or 'not known'}. "
        text += "No verdict: one safe answer can be precise, but it covers little. Read both together."
        found.append(Comparison(precision.title, "none", text))
    return found


def _apart(own: Cell, other: Cell, better: str) -> tuple[State, str]:
    """Told by two intervals, where the evaluation did not compare context by context."""
    if badness(other.value, better) - badness(own.value, better) <= TIE:
        return "bad", "not better"
    if own.low > other.high or own.high < other.low:
        return "good", "clearly better"
    return "watch", "better, but the intervals overlap"


def _apart_in_pairs(pair: dict[str, Any], metric: Metric) -> tuple[State, str]:
    """Told by the difference on the same contexts and its interval."""
    sign = 1 if metric.better == "higher" else -1
    gain = sign * float(pair["difference"])
    low, high = sorted(sign * float(pair[end]) for end in ("low", "high"))
    unit = " in units of this model's space" if metric.key in PAIRED_AS else ""
    text = f"by {score(abs(gain))}{unit}, context by context (95 % interval of the gain: {score(low)} to {score(high)})"
    if gain <= TIE:
        return "bad", f"not better: worse {text}" if gain < -TIE else "not better"
    return ("good", f"clearly better {text}") if pair["better"] else ("watch", f"better {text}, which may be chance")


def _verdict(comparisons: list[Comparison]) -> tuple[State, str]:
    judged = [comparison for comparison in comparisons if comparison.state != "none"]
    if not judged:
        return "none", "The model cannot be compared with controls: the evaluation holds none."
    names = [_short(comparison) for comparison in judged]
    lost = [_short(comparison) for comparison in judged if comparison.state == "bad"]
    close = [_short(comparison) for comparison in judged if comparison.state == "watch"]
    if len(lost) == len(names):
        return "bad", f"The model does not beat its best control in {listed(lost, last='or in')}."
    if lost:
        return "watch", f"The model beats its controls in part; it does not in {listed(lost)}."
    if close:
        return "watch", f"The model is better than every control, but in {listed(close)} not beyond doubt."
    return "good", f"The model clearly beats every control in {listed(names)}."


def _short(comparison: Comparison) -> str:
    return re.split(" / |, ", comparison.title)[0].lower()
