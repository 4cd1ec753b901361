"""How training went: one small picture for each thing that was logged."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from videossl.report import svg
from videossl.report.facts import arguments, class_name, section
from videossl.report.numbers import number
from videossl.report.sources import Series, finite

MOST_POINTS = 300


@dataclass(frozen=True)
class Panel:
    """What one picture shows.

    Attributes:
        title: Above it.
        columns: (column of metrics.csv, what its line is called); those that are not there are passed over.
        reads: One sentence on how to read it.
        is_per_pair: The columns are `name/0`, `name/1`, ... of the first name given.
        is_log: Whether the axis of values is logarithmic.
        from_zero: Whether the axis of values starts at zero.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    reads: str
    is_per_pair: bool = False
    is_log: bool = False
    from_zero: bool = False


PANELS = (
    Panel(
        "Loss",
        (("train/loss", "training"), ("heldout/loss", "held out")),
        "Lower is better. Held out: the same loss on videos that are never trained on; if it rises while the other "
        "falls, the model learns its videos by heart.",
    ),
    Panel(
        "Information in r (KL)",
        (("train/kl_nats", "training"), ("heldout/kl_nats", "held out")),
        "Nats that r carries about the future beyond what the context tells. At 0 the latent is dead.",
        from_zero=True,
    ),
    Panel(
        "Price of information (beta)",
        (("train/beta", "training"),),
        "What a nat costs in the loss. With a budget, it moves by itself to keep the KL there.",
        is_log=True,
    ),
    Panel(
        "Active units of r",
        (("train/active_units", "training"),),
        "How many numbers of r carry anything.",
        from_zero=True,
    ),
    Panel(
        "Spread of embeddings",
        (("train/embedding_std", "training"),),
        "1: they fill the whole sphere. 0: all videos get the same embedding (collapse).",
        from_zero=True,
    ),
    Panel(
        "Effective rank",
        (("train/effective_rank", "training"),),
        "How many directions the embeddings of a batch use. Near 1 is collapse.",
        from_zero=True,
    ),
    Panel(
        "Share of the gradient of each pair of views",
        (("train/gradient_share_per_pair", ""),),
        "Even lines are good: one pair that takes all starves the others.",
        is_per_pair=True,
        from_zero=True,
    ),
    Panel(
        "Information in r of each pair of views",
        (("train/kl_nats_per_pair", ""),),
        "A pair at 0 has a dead latent, even if the mean looks well.",
        is_per_pair=True,
        from_zero=True,
    ),
    Panel("Learning rate", (("lr", "learning rate"),), "As planned: it rises, then falls to zero.", from_zero=True),
    Panel(
        "Speed",
        (("train/clips_per_second", "clips a second"),),
        "Clips that are trained on in a second.",
        from_zero=True,
    ),
    Panel(
        "Waiting for data",
        (("train/data_wait_share", "share of the time"),),
        "Share of the time in which training waited for videos to be decoded. Above one half, add loader workers.",
        from_zero=True,
    ),
)


@dataclass(frozen=True)
class Curve:
    """A finished picture: title, SVG, how to read it, and where it ended."""

    title: str
    picture: Markup
    reads: str
    last: str


@dataclass(frozen=True)
class Curves:
    """All pictures, and the columns of metrics.csv that none of them shows."""

    pictures: list[Curve]
    not_shown: list[str]


def curves(training: dict[str, Series], config: dict[str, Any]) -> Curves:
    """Draw what was logged.

    Args:
        training: Columns of metrics.csv.
        config: Reference lines come from it; may be empty.
    """
    training = _with_one_learning_rate(training)
    references = _references(config)
    pictures = []
    is_one_pair = not any(name.endswith("_per_pair/1") for name in training)
    shown = {name for name in training if is_one_pair and name.endswith("_per_pair/0")}
    for panel in PANELS:
        lines = _lines(panel, training)
        if panel.is_per_pair and len(lines) < 2:  # one pair: the mean says it all
            continue
        if lines:
            shown |= {name for name, _ in lines}
            pictures.append(_draw(panel, lines, training, references.get(panel.title)))
    return Curves(pictures, sorted(set(training) - shown))


def _with_one_learning_rate(training: dict[str, Series]) -> dict[str, Series]:
    """Lightning names it after optimizer and parameter group; all groups here have the same."""
    names = sorted(name for name in training if name.startswith("lr"))
    if not names or "lr" in training:
        return training
    rest = {name: series for name, series in training.items() if name not in names}
    return {**rest, "lr": training[names[0]]}


def _lines(panel: Panel, training: dict[str, Series]) -> list[tuple[str, str]]:
    if not panel.is_per_pair:
        return [(name, label) for name, label in panel.columns if name in training]
    prefix = f"{panel.columns[0][0]}/"
    names = sorted((name for name in training if name.startswith(prefix)), key=lambda name: int(name[len(prefix) :]))
    return [(name, f"pair {name[len(prefix) :]}") for name in names]


@dataclass(frozen=True)
class _Reference:
    """A line to compare with, its name, and the side on which no curve lies under the name."""

    value: float
    name: str
    side: Literal["left", "right"]


def _references(config: dict[str, Any]) -> dict[str, _Reference]:
    """Title of a panel -> what to compare it with."""
    found = {}
    nats = arguments(section(config, "beta")).get("nats")
    if isinstance(nats, int | float):
        found["Information in r (KL)"] = _Reference(float(nats), f"budget: {nats:g} nats", "left")
    objective = section(config, "objective")
    known = arguments(objective)
    batch_size, devices = (section(config, "training").get(name) for name in ("batch_size", "devices"))
    is_mean_of_info_nces = (
        class_name(objective) == "MVInfoNCE"
        and known.get("energy", "per_pair") == "per_pair"
        and not known.get("same_view_negatives", False)
    )
    if is_mean_of_info_nces and isinstance(batch_size, int) and devices in (None, "auto", 1):
        chance = math.log(batch_size)
        found["Loss"] = _Reference(chance, f"chance: ln {batch_size} = {chance:.2f}", "right")
    return found


def _draw(
    panel: Panel, lines: list[tuple[str, str]], training: dict[str, Series], reference: _Reference | None
) -> Curve:
    made = svg.axes()
    colours = (svg.MODEL, svg.CATEGORIES[1]) if not panel.is_per_pair else svg.CATEGORIES
    ends, broken = [], []
    for place, (name, label) in enumerate(lines):
        series = finite(training[name])
        _line(made, series, colours[place % len(colours)], label, has_markers=name.startswith("heldout/"))
        if series and not panel.is_per_pair:
            ends.append(f"{label} {number(series[-1][1])}" if len(lines) > 1 else number(series[-1][1]))
        bad = [step for step, value in training[name] if not math.isfinite(value)]
        if bad:
            broken.append(f"{label}: not a number from step {bad[0]:,}")
            made.axvline(bad[0], color=svg.BAD, linewidth=1.5)
    if reference is not None:
        made.axhline(reference.value, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        made.annotate(
            reference.name, (0.01 if reference.side == "left" else 1, reference.value),
            xycoords=("axes fraction", "data"), ha=reference.side, va="bottom",
            fontsize=svg.FONT_SIZE, color=svg.MUTED, textcoords="offset points", xytext=(0, 1),
        )  # fmt: skip
    values = [value for name, _ in lines for _, value in finite(training[name])]
    if panel.is_log and values and min(values) > 0:
        made.set_yscale("log")
        made.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        made.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        made.yaxis.set_minor_formatter(NullFormatter())
    elif panel.from_zero:
        made.set_ylim(bottom=0, top=None if any(values) else 1)
    if 1 < len(lines) <= len(svg.CATEGORIES):
        made.legend(
            frameon=False, fontsize=svg.FONT_SIZE, labelcolor=svg.MUTED, handlelength=1.2, ncols=1 + len(lines) // 4
        )
    made.set_xlabel("step")
    last = f"At the end: {', '.join(ends)}." if ends else ""
    last = " ".join([last, *(f"{text}." for text in broken)]).strip()
    picture = svg.inline(made, name=f"curve{PANELS.index(panel)}", says=f"{panel.title} over training steps. {last}")
    return Curve(panel.title, picture, panel.reads, last)


def _line(made: Axes, series: Series, colour: str, label: str, *, has_markers: bool) -> None:
    """A line; where there are more points than pixels, the mean of neighbours in the shade of their extremes."""
    steps, values = (np.array(axis, float) for axis in zip(*series, strict=True)) if series else (np.array([]),) * 2
    num_bins = min(len(steps), MOST_POINTS)
    if len(steps) > MOST_POINTS:
        parts = np.array_split(np.arange(len(steps)), num_bins)
        made.fill_between(
            [steps[part].mean() for part in parts],
            [values[part].min() for part in parts],
            [values[part].max() for part in parts],
            color=colour, alpha=0.18, linewidth=0,
        )  # fmt: skip
        steps, values = (np.array([axis[part].mean() for part in parts]) for axis in (steps, values))
    marker = "o" if has_markers or len(steps) == 1 else ""
    made.plot(steps, values, color=colour, linewidth=1.6, label=label, marker=marker, markersize=3)
