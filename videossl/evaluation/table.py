"""The table of an evaluation for a terminal of 100 columns."""

from typing import Any

from videossl.evaluation.probes import OF_PAIR

WIDTH = 100
COLUMNS = (
    ("coverage", "coverage"),
    ("precision", "precision"),
    ("calibration", "calib.err"),
    ("energy_px", "energy px"),
    ("energy_ratio", "energy"),
    ("best_of_k_ratio", "best of K"),
    ("hit_at_1", "hit@1"),
    ("nll", "NLL"),
)
GROUPS = (("model", "model"), ("control", "controls: what it must beat"), ("oracle", "oracles: they know the answer"))
NAME_WIDTH = 30
CELL_WIDTH = 10
PAIRED = {  # name, and decimals: distances in a space are small
    "coverage": ("coverage", 2),
    "energy_px": ("energy px", 2),
    "energy_score": ("energy score in this model's space", 3),
    "hit_at_1": ("hit@1", 2),
}
WHOSE = {"run": "this model's space", "twin": "the twin's", "random": "the untrained model's"}


def table(metrics: dict[str, Any]) -> str:
    """The rows of `metrics.json` as text: value and half of its 95 % interval, controls and oracles set apart.

    Args:
        metrics: What `evaluate` returned or `metrics.json` holds.

    Returns:
        Lines of at most 100 characters.
    """
    known = {key for row in metrics["rows"] for key in row["metrics"]}
    if "energy_px" in known:
        known -= {"energy_ratio"}  # the same by distances in each row's own space: it flatters one without what varies
    shown = [column for column in COLUMNS if column[0] in known]
    help_of = metrics["metric_help"]
    where = f"world {metrics['world']}" if metrics["world"] else "real video"
    lines = [
        f"{metrics['num_contexts']} held-out contexts, {metrics['num_samples']} samples each, {where}; "
        f"noise tuned on {metrics['num_tuning_contexts']} others",
        "",
        _line("", [title for _, title in shown]),
        _line("", [f"({help_of[key]['better']})" for key, _ in shown]),
    ]
    for kind, title in GROUPS:
        rows = [row for row in metrics["rows"] if row["kind"] == kind]
        if rows:
            lines.append(f"-- {title} ".ljust(NAME_WIDTH + CELL_WIDTH * len(shown), "-"))
            lines += [_line(row["name"], [_cell(row["metrics"].get(key)) for key, _ in shown]) for row in rows]
    lines.append("-" * (NAME_WIDTH + CELL_WIDTH * len(shown)))
    chances = [help_of[key]["chance"] for key, _ in shown]
    lines.append(_line("chance", ["" if chance is None else _number(chance) for chance in chances]))
    lines += [
        "",
        *_paired(metrics),
        *_horizons(metrics),
        *_latent(metrics),
        *_probes(metrics),
        *_advice(metrics, shown),
    ]
    lines += [f"Warning: {warning}" for warning in metrics["health"]["warnings"]]
    lines += [f"Left out: {reason}." for reason in metrics["skipped"]]
    return "\n".join(wrapped for line in lines for wrapped in _wrap(line))


def _paired(metrics: dict[str, Any]) -> list[str]:
    """The model against the best of its controls, a line for each decisive metric."""
    rows = {row["key"]: row for row in metrics["rows"]}
    own: dict[str, Any] = next((row["metrics"] for row in metrics["rows"] if row["kind"] == "model"), {})
    lines = []
    for key, (title, decimals) in PAIRED.items():
        sign = -1 if metrics["metric_help"].get(key, {}).get("better") == "lower" else 1
        found = [one for one in metrics.get("comparisons") or [] if one["metric"] == key]
        if not found:
            continue
        hardest = min(found, key=lambda one: sign * one["difference"])
        rival = rows[hardest["against"]]
        value, other = (_number(each[key]["value"], decimals) for each in (own, rival["metrics"]))
        gain = sign * hardest["difference"]
        low, high = sorted((sign * hardest["low"], sign * hardest["high"]))
        words, doubt = "better", "" if hardest["better"] else ", not beyond doubt"
        if gain <= 0:
            words, doubt, (low, high) = "no better: worse", "", (-high, -low)
        gap, low_text, high_text = (_number(number, decimals) for number in (abs(gain), low, high))
        lines.append(
            f"{title}: {value} against {other} of the best control ({rival['name']}): "
            f"{words} by {gap} [{low_text}, {high_text}]{doubt}"
        )
    return [*lines, ""] if lines else []


def _horizons(metrics: dict[str, Any]) -> list[str]:
    """Futures of several steps, a small table for each number of steps."""
    lines = []
    columns = (("coverage", "coverage"), ("precision", "precision"), ("calibration", "calib.err"))
    for horizon in metrics.get("horizons") or []:
        title = (
            f"whole futures of {horizon['steps']} steps, {horizon['frames']} frames: "
            f"{_number(horizon['num_possible'], 1)} of {horizon['num_branches']} can happen, on average"
        )
        lines += [title, _line("", [*(name for _, name in columns), "pooled"])]
        for row in horizon["rows"]:
            cells = [_cell(row["metrics"].get(key)) for key in (*(key for key, _ in columns), "calibration_pooled")]
            lines.append(_line(row["name"], cells))
        lines.append("")
    return lines


def _latent(metrics: dict[str, Any]) -> list[str]:
    """What r carries."""
    health, steering = metrics["health"], metrics["steering"]
    if health["kl_nats"] is None:
        return []
    parts = [f"r carries {health['kl_nats']:.2f} nats"]
    if health["posterior_branch_accuracy"] is not None:
        parts.append(f"told a future, {_number(health['posterior_branch_accuracy'])} of the samples land on that one")
    if steering is not None:
        rate, own, blind = (_cell(steering[name]) for name in ("rate", "own", "unsteered"))
        free = steering.get("free")
        where = ""
        if free is not None:
            rate_free, blind_free = (_cell(free[name]) for name in ("rate", "unsteered"))
            where = f"; where nothing bounces in {rate_free} (of nobody {blind_free})"
        parts.append(f"r of another video takes its branch in {rate} (r of its own {own}, of nobody {blind}){where}")
    lines = ["; ".join(parts) + "."]
    own = next(row["metrics"].get("nll_own") for row in metrics["rows"] if row["kind"] == "model")
    if own is not None:
        lines.append(f"NLL by the model's own log_prob, with nothing fitted to these videos: {_cell(own)}.")
    return lines


def _probes(metrics: dict[str, Any]) -> list[str]:
    """What a weighted sum reads from r and from the representations, a line each."""
    lines = []
    for features, name in (
        ("representation", "the context"),
        (OF_PAIR, "context and future together"),
        ("latent sample", "r"),
        ("innovation", "what r adds"),
    ):
        found = [
            f"{entry['target']} {_number(entry['value'])}{' right' if entry['score'] == 'accuracy' else ''}"
            for entry in metrics["probes"]
            if entry["features"] == features and not (features == "representation" and "kick" in entry["target"])
        ]
        if found:
            lines.append(f"Read from {name} by a weighted sum (R^2 where nothing else is said): {', '.join(found)}.")
    return lines


def _readings(metrics: dict[str, Any]) -> list[str]:
    errors = [
        f"{found['error_px']:.2f} px in {WHOSE.get(space, space)}"
        for space, found in sorted(metrics.get("readouts", {}).items(), key=lambda one: list(WHOSE).index(one[0]))
    ]
    return [
        "Energy is in pixels: each sample is read as a motion by a small network trained on real clips of other "
        f"videos; the reading itself errs by {', '.join(errors)}, so the truth is out of reach."
    ]


def _advice(metrics: dict[str, Any], shown: list[tuple[str, str]]) -> list[str]:
    keys = [key for key, _ in shown]
    which = "energy and hit@1"
    if "coverage" in keys:
        which = f"coverage{' and precision together' if 'precision' in keys else ''}, and in energy"
    is_px = "energy_px" in keys
    against = "the noise rows and the twin" if any(row["key"] == "twin" for row in metrics["rows"]) else "the noise row"
    return [
        f"Compare the first row with {against} in {which}: a model that knows the possible futures beats them all.",
        *(_readings(metrics) if is_px else []),
        f"{'Best of K is' if is_px else 'Energy and best of K are'} divided by what futures of other videos give "
        "(1.00 = knows nothing); ± is half a 95 % interval.",
    ]


def _line(name: str, cells: list[str]) -> str:
    return (name[:NAME_WIDTH].ljust(NAME_WIDTH) + "".join(cell.rjust(CELL_WIDTH) for cell in cells)).rstrip()


def _cell(interval: dict[str, float] | None) -> str:
    if interval is None:
        return "-"
    half = (interval["high"] - interval["low"]) / 2
    decimals = 2 if abs(interval["value"]) < 10 else 1 if abs(interval["value"]) < 100 else 0  # neighbours do not touch
    return _number(interval["value"], decimals) + ("" if half == 0 else f"±{half:.{decimals}f}".replace("0.", ".", 1))


def _number(value: float, decimals: int = 2) -> str:
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _wrap(line: str) -> list[str]:
    """Break at spaces so that no line is longer than the terminal."""
    parts = []
    while len(line) > WIDTH:
        end = line.rfind(" ", 0, WIDTH + 1)
        end = end if end > 0 else WIDTH
        parts.append(line[:end])
        line = "  " + line[end:].lstrip()
    return [*parts, line]
