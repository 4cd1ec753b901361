"""Surprise over the time of real videos: a curve for each, its cuts, and the moments that surprised most."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from videossl.report import svg
from videossl.report.numbers import number
from videossl.report.sources import Arrays
from videossl.report.strips import Strip, strip
from videossl.wording import counted


@dataclass(frozen=True)
class FilmShown:
    """One video.

    Attributes:
        name: Its name.
        picture: Surprise and pixel change over time.
        sums_up: In words.
        moments: (when, last frame seen and first frame that came) of the highest peaks.
    """

    name: str
    picture: Markup
    sums_up: str
    moments: list[tuple[str, Strip]]


def films(found: dict[str, Any], arrays: Arrays) -> list[FilmShown]:
    """Entries `surprise` of metrics.json, with their pictures; empty where there are none."""
    return [_film(entry, arrays, row) for row, entry in enumerate(found.get("surprise") or [])]


def _film(entry: dict[str, Any], arrays: Arrays, row: int) -> FilmShown:
    seconds, nats, change = (np.array(entry[name], float) for name in ("seconds", "nats", "change"))
    made = svg.axes(width=7.4, height=2.2)
    for cut in entry["cuts"]:
        made.axvline(cut, color=svg.CATEGORIES[1], linewidth=1.2, linestyle=(0, (3, 2)))
    low, high = float(nats.min()), float(nats.max())
    scaled = low + (high - low) * change / max(float(change.max()), 1e-9)
    made.fill_between(seconds, low, scaled, color=svg.REST, alpha=0.35, linewidth=0)
    made.plot(seconds, nats, color=svg.MODEL, linewidth=1.4)
    for place, peak in enumerate(entry["peaks"], start=1):
        height = float(nats[np.abs(seconds - peak).argmin()])
        made.annotate(str(place), (peak, height), color=svg.MODEL, ha="center", va="bottom", fontsize=9)
    made.set_xlabel("seconds")
    made.set_ylabel("surprise, nats")
    made.set_ylim(low - 0.03 * (high - low), high + 0.15 * (high - low) + 1e-6)
    num_cuts = len(entry["cuts"])
    if num_cuts:
        highest = counted(num_cuts, "highest peak")
        sums_up = f"{entry['cuts_found']} of {counted(num_cuts, 'cut')} lie at the {highest} of surprise."
    else:
        sums_up = "This video has no cut: what the peaks show is for you to judge."
    says = f"Surprise over {number(float(seconds[-1]))} seconds of {entry['video']}. {sums_up}"
    name = f"film{row}"
    moments = []
    if "surprise_before" in arrays:
        for place, peak in enumerate(entry["peaks"]):
            pair = np.stack([arrays["surprise_before"][row, place], arrays["surprise_after"][row, place]])
            moments.append((f"{place + 1}: at {peak:.1f} s", strip(pair)))
    return FilmShown(str(entry["video"]), svg.inline(made, name=name, says=says), sums_up, moments)
