"""Sampled futures as pixels: strips that move, and the possible futures of one context fanned out."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from videossl.report.moving import Moving, moving
from videossl.report.sources import Arrays

COLOURS = {"true": (33, 150, 83), "decoy": (205, 60, 60), "other": (150, 150, 160)}
BLUE = (29, 95, 209)
KINDS = ("true", "decoy", "other")
OPEN_AT_ONCE = 4
NUM_FANS = 2
MOST_BRANCHES = 16
ROW = 62  # px: height of a row of the fan as it is shown
FAN_WIDTH = 150
MOST_BYTES = 2_500_000


@dataclass(frozen=True)
class SeenScene:
    """One context: its video, all panels in one animation, and the words over the panels."""

    name: str
    strip: Moving
    heads: list[str]


@dataclass(frozen=True)
class FanRow:
    """One possible future.

    Attributes:
        true: It, moving.
        drawn: A sample that landed on it, drawn by the decoder; None where none did.
        chance: How often it comes true, in per cent.
        share: How often samples land on it, in per cent.
        chance_text: The same in words.
        share_text: The same in words.
    """

    true: Moving
    drawn: Moving | None
    chance: float
    share: float
    chance_text: str
    share_text: str


@dataclass(frozen=True)
class Fan:
    """All possible futures of one context.

    Attributes:
        name: Of its video.
        context: Moving.
        rows: The most likely first.
        lines: From the context to each row: grey as wide as it is likely, blue as wide as it is sampled.
        height: Of all rows as shown, px.
        nowhere: How many samples land on what cannot happen.
        left_out: How many futures are not shown.
    """

    name: str
    context: Moving
    rows: list[FanRow]
    lines: Markup
    height: int
    nowhere: str
    left_out: int


@dataclass(frozen=True)
class Seen:
    """Everything that the decoder drew, and how well it draws."""

    scenes: list[SeenScene]
    fans: list[Fan]
    explained: float
    open_at_once: int


def seen(arrays: Arrays) -> Seen | None:
    """Animations from gallery.npz; None where no decoder was trained."""
    if "decoded_samples" not in arrays:
        return None
    scenes: list[SeenScene] = []
    num_bytes = 0
    for row in range(len(arrays["decoded_samples"])):
        scene = _scene(arrays, row)
        num_bytes += len(scene.strip.uri)
        if scenes and num_bytes > MOST_BYTES:
            break
        scenes.append(scene)
    fans = [_fan(arrays, row) for row in range(min(NUM_FANS, len(scenes)))] if "decoded_branches" in arrays else []
    return Seen(scenes, fans, float(arrays["decoder_explained"]), OPEN_AT_ONCE)


def _scene(arrays: Arrays, row: int) -> SeenScene:
    samples = arrays["decoded_samples"][row]
    kinds = [KINDS[int(kind)] for kind in arrays["nearest_kind"][row][: len(samples)]]
    side = samples.shape[2]
    drawn = [arrays["observed"][row], arrays["decoded_observed"][row], *samples]
    nearest = [None, None, *arrays["nearest"][row][: len(samples)]]
    colours = [BLUE, BLUE, *(COLOURS[kind] for kind in kinds)]
    strip = moving([drawn, nearest], colours, side=side, lead=arrays["context"][row])
    heads = ["what happened", "the same, drawn", *(f"sample {number}" for number in range(1, len(samples) + 1))]
    return SeenScene(str(arrays["names"][row]), strip, heads)


def _fan(arrays: Arrays, row: int) -> Fan:
    chances, shares = (arrays[name][row].astype(float) for name in ("branch_chances", "branch_shares"))
    possible = np.flatnonzero(chances > 0)
    order = possible[np.argsort(-chances[possible], kind="stable")][:MOST_BRANCHES]
    side = arrays["decoded_branches"].shape[3]
    rows = []
    for branch in order:
        drawn = None
        if shares[branch] > 0:
            drawn = moving([[arrays["decoded_branches"][row][branch]]], [COLOURS["true"]], side=side)
        rows.append(
            FanRow(
                true=moving([[arrays["branches"][row][branch]]], [BLUE], side=side),
                drawn=drawn,
                chance=100 * chances[branch],
                share=100 * shares[branch],
                chance_text=f"{chances[branch]:.0%}",
                share_text=f"{shares[branch]:.0%}",
            )
        )
    return Fan(
        name=str(arrays["names"][row]),
        context=moving([[arrays["context"][row]]], [(128, 128, 128)], side=side),
        rows=rows,
        lines=_lines(rows),
        height=ROW * len(rows),
        nowhere=f"{max(0.0, 1 - shares[possible].sum()):.0%}",
        left_out=len(possible) - len(order),
    )


def _lines(rows: list[FanRow]) -> Markup:
    """Curves from the middle of the left edge to the middle of each row."""
    height = ROW * len(rows)
    paths = []
    for place, row in enumerate(rows):
        end = ROW * (place + 0.5)
        way = f"M0,{height / 2:g} C{FAN_WIDTH * 0.55:g},{height / 2:g} {FAN_WIDTH * 0.45:g},{end:g} {FAN_WIDTH},{end:g}"
        for share, colour, opacity in ((row.chance, "rest", 0.55), (row.share, "model", 0.85)):
            if share > 0:
                width = max(0.8, 0.45 * share)
                paths.append(
                    f'<path d="{way}" fill="none" stroke="var(--{colour})" stroke-width="{width:.2f}" '
                    f'stroke-opacity="{opacity}"/>'
                )
    return Markup(
        f'<svg viewBox="0 0 {FAN_WIDTH} {height}" width="{FAN_WIDTH}" height="{height}" role="img" '
        f'aria-label="Lines from the context to its futures; their widths are the figures in the rows">{"".join(paths)}'
        "</svg>"
    )
