"""r, flattened to a plane and coloured by the kick that it should carry."""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from videossl.report import svg
from videossl.report.sources import Arrays

SIDE = 2.9  # inches


@dataclass(frozen=True)
class Plane:
    """Three pictures with the same colours: the kicks themselves, sampled r, its innovation."""

    pictures: list[tuple[str, Markup, str]]


def plane(arrays: Arrays) -> Plane | None:
    """From gallery.npz; None where there is no r or no known kick."""
    if "latent_kick" not in arrays:
        return None
    kicks = arrays["latent_kick"].astype(float)
    colours = [_colour(kick, largest=float(np.linalg.norm(kicks, axis=1).max())) for kick in kicks]
    parts = (
        (
            "The true kicks",
            "latent_kick",
            "The key to the colours: what was added to the motion, in px per frame; hue is its direction, and y points "
            "down as in the picture.",
        ),
        (
            "r, sampled",
            "latent_sample",
            "r drawn from the posterior, which has seen the future, flattened to its two main directions (PCA). "
            "Colours apart: r says where the kick went. All mixed: it says nothing, or says it in other directions.",
        ),
        (
            "What r adds to its prior",
            "latent_innovation",
            "The innovation: posterior mean less prior mean, over the prior's spread. What the context could tell is "
            "taken out of it, so colours come apart more clearly than beside it.",
        ),
    )
    pictures = []
    for title, name, reads in parts:
        points = arrays[name].astype(float)
        made = svg.axes(width=SIDE, height=SIDE)
        is_key = name == "latent_kick"
        made.scatter(points[:, 0], points[:, 1], c=colours, s=40 if is_key else 9, linewidths=0, alpha=0.8)
        if is_key:
            made.set_aspect("equal", adjustable="datalim")
            made.margins(0.15)
            made.set_xlabel("x, px/frame")
            made.set_ylabel("y, px/frame")
            made.invert_yaxis()
        else:
            made.set_xlabel("first principal component")
            made.set_ylabel("second principal component")
            made.set_xticklabels([])
            made.set_yticklabels([])
        pictures.append((title, svg.inline(made, name=name.replace("_", ""), says=reads), reads))
    return Plane(pictures)


def _colour(kick: np.ndarray, *, largest: float) -> tuple[float, float, float]:
    """Hue by direction; a short kick is grey."""
    hue = (math.atan2(kick[1], kick[0]) / (2 * math.pi)) % 1.0
    return colorsys.hsv_to_rgb(hue, min(1.0, float(np.linalg.norm(kick)) / max(largest, 1e-9)) * 0.85, 0.82)
