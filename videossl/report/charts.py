"""Pictures of the evaluation: best-of-K curve, branch frequencies, rank histogram, map of embeddings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from videossl.report import svg
from videossl.report.sources import Arrays
from videossl.wording import counted

MOST_CLASSES = svg.NUM_CATEGORIES
MOST_POINTS = 4000


@dataclass(frozen=True)
class Chart:
    """A picture, a sentence on how to read it, and its legend: (name, CSS class of the colour)."""

    picture: Markup
    reads: str
    legend: list[tuple[str, str]]


def best_of_k(found: dict[str, Any]) -> Chart | None:
    """Error of the best of the first k samples over that of climatology, for k = 1 ... K."""
    curves = found.get("best_of_k_curve") or {}
    if not curves:
        return None
    made = svg.axes(height=2.5)
    legend = []
    kinds = {row["key"]: (row["kind"], row["name"]) for row in found["rows"]}
    colours = iter(svg.CATEGORIES[1:] * 3)
    for key, points in curves.items():
        kind, name = kinds.get(key, ("control", key))
        colour = svg.MODEL if kind == "model" else next(colours)
        k, error = np.array(points, float).T
        made.plot(
            k, error, color=colour, linewidth=2.6 if kind == "model" else 1.4, zorder=3 if kind == "model" else 2,
            linestyle=(0, (1, 1.5)) if kind == "oracle" else "-", marker="o" if len(k) == 1 else "",
        )  # fmt: skip
        dots = " (oracle, dotted)" if kind == "oracle" else ""
        legend.append((f"{name}{dots}", svg.VARIABLES[colour]))
    made.set_xscale("log", base=2)
    made.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    made.set_xlabel("k, samples that may be tried")
    made.set_ylabel("error / climatology")
    made.set_ylim(bottom=0)
    reads = (
        "Distance from what can happen to the nearest of k samples, over the same for k futures of other videos: "
        "below 1 is better than those. A model that knows the possible futures falls with k. One answer, copied k "
        "times, climbs, because the others gain by every try."
    )
    return Chart(svg.inline(made, name="bestofk", says=reads), reads, legend)


def branch_frequencies(found: dict[str, Any]) -> Chart | None:
    """How often each branch comes true, and how often the samples take it."""
    frequencies = found.get("branch_frequencies")
    if not frequencies:
        return None
    made = svg.axes(height=2.5)
    true, sampled = (np.array(frequencies[name], float) for name in ("true", "sampled"))
    branches = np.arange(len(true))
    made.bar(branches - 0.2, true, width=0.38, color=svg.MUTED)
    made.bar(branches + 0.2, sampled, width=0.38, color=svg.MODEL)
    made.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=20))
    made.grid(False, axis="x")
    made.set_xlabel("branch (possible future)")
    made.set_ylabel("frequency")
    distance = frequencies.get("total_variation", 0.5 * float(np.abs(true - sampled).sum()))
    reads = (
        "How often each kind of future comes true, beside how often the samples take it, over all contexts. "
        f"Total variation between the two: {distance:.2f} (0: the same; 1: nothing in common)."
    )
    return Chart(
        svg.inline(made, name="branches", says=reads), reads, [("true", "muted"), ("sampled by this model", "model")]
    )


def rank_histogram(found: dict[str, Any]) -> Chart | None:
    """Where what happened lies among the samples, nearest first."""
    ranks = (found.get("rank_histograms") or {}).get("samples")
    if not ranks:
        return None
    made = svg.axes(height=2.5)
    made.bar(np.arange(len(ranks)), np.array(ranks, float), width=0.9, color=svg.MODEL)
    made.axhline(1 / len(ranks), color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    made.xaxis.set_major_locator(MaxNLocator(integer=True))
    made.set_xlabel("rank of what happened among the samples")
    made.set_ylabel("frequency")
    reads = (
        "If what happens is like one more sample, all ranks are equally frequent (dashed line). A heap on the right: "
        "the model is too sure and is surprised. A heap on the left: its samples are too far apart."
    )
    return Chart(svg.inline(made, name="ranks", says=reads), reads, [])


def embedding_map(gallery: Arrays, names: dict[int, str]) -> Chart:
    """The first two principal components of the representations of held-out contexts.

    Args:
        gallery: Arrays of gallery.npz.
        names: label -> class name, where known.
    """
    points, labels = gallery["map"].astype(float), gallery["map_label"].astype(int)
    if points.ndim != 2 or points.shape[1] != 2 or len(labels) != len(points):
        raise ValueError(f"expected a map (n, 2) with n labels, got {points.shape} and {labels.shape}")
    what = str(gallery["map_label_name"]) or "label"
    num_points = len(points)
    every = -(-num_points // MOST_POINTS)
    points, labels = points[::every], labels[::every]
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    shown = known[np.argsort(-counts, kind="stable")][:MOST_CLASSES]
    if what == "video" and len(known) > MOST_CLASSES:
        shown = shown[:0]  # a colour for ten videos of hundreds would say nothing
    shown = np.sort(shown)
    made = svg.axes(width=5.2, height=4.0)
    rest = ~np.isin(labels, shown)
    style: dict[str, Any] = {"s": 11, "linewidths": 0, "alpha": 0.8}
    made.scatter(*points[rest].T, color=svg.REST, **style)
    for place, label in enumerate(shown):
        made.scatter(*points[labels == label].T, color=svg.CATEGORIES[place], **style)
    made.set_xlabel("first principal component")
    made.set_ylabel("second principal component")
    made.set_xticklabels([])
    made.set_yticklabels([])
    legend = [(names.get(int(label), str(label)), f"c{place}") for place, label in enumerate(shown)]
    others = np.setdiff1d(known, shown)
    if len(others):
        noun = ("video", "videos") if what == "video" else ("other class", "other classes")
        legend.append((f"{'' if len(shown) else 'all '}{counted(len(others), *noun)}", "rest"))
    if (labels < 0).any():
        legend.append(("no label", "rest"))
    reads = (
        f"Each point is one held-out clip: its representation, flattened to the two directions in which clips differ "
        f"most (PCA). Coloured by {what}. Near points look alike to the model; two of many dimensions cannot show all."
    )
    if every > 1:
        reads += f" One of every {every} of the {num_points:,} points is drawn."
    return Chart(svg.inline(made, name="map", says=reads), reads, legend)
