"""The kicks that tell one future from another: which there are, and which there are not.

A kick is a vector (x, y) in px/frame for each of O digits; a table of M kicks is (M, O, 2).
"""

import math
from typing import Literal

import numpy as np

from videossl.errors import UsageError
from videossl.worlds.truth import Floats

Kicked = Literal["one", "each"]


def ring(count: int) -> Floats:
    """(count, 2) unit vectors at equal angles 2 pi k / count, the first to the right, then clockwise on the screen."""
    return polar(2 * math.pi * np.arange(count) / count, np.ones(count))


def polar(angle: Floats, length: Floats) -> Floats:
    """Vectors (..., 2) from angles in radians and lengths."""
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)


def kick_table(num_branches: int, num_digits: int, kicked: Kicked) -> Floats:
    """The M kicks of length 1: (M, O, 2).

    Args:
        num_branches: M.
        num_digits: O.
        kicked: "one": branch o * D + d kicks digit o in direction d of D = M / O, the others go on as they went.
            "each": all digits are kicked, every combination of D directions is a branch, M = D ** O; the last digit's
            direction changes fastest.

    Raises:
        UsageError: M does not fit O.
    """
    if kicked == "one":
        directions, rest = divmod(num_branches, num_digits)
        if rest:
            raise UsageError(
                f"one of {num_digits} digits is kicked, so num_branches must be a multiple of {num_digits}, "
                f"got {num_branches}. Set num_branches={num_digits * max(1, directions)}."
            )
        table = np.zeros((num_branches, num_digits, 2))
        for digit in range(num_digits):
            table[digit * directions : (digit + 1) * directions, digit] = ring(directions)
        return table
    directions = round(num_branches ** (1 / num_digits))
    if directions**num_digits != num_branches:
        raise UsageError(
            f"each of {num_digits} digits is kicked in one of D directions, so num_branches must be D ** {num_digits}, "
            f"got {num_branches}. Set num_branches={directions**num_digits}, or kicked=one."
        )
    chosen = np.stack(np.unravel_index(np.arange(num_branches), (directions,) * num_digits), axis=1)  # (M, O)
    return ring(directions)[chosen]


def infeasible(kicks: Floats) -> Floats:
    """Kicks that are none of `kicks` (M, O, 2): none at all, each halved, each doubled; (1 + 2 M, O, 2)."""
    return np.concatenate([np.zeros_like(kicks[:1]), kicks / 2, kicks * 2])


def gaussian(uniforms: Floats, standard_deviation: float) -> Floats:
    """Normal vectors (..., 2), independent in x and y, from uniforms (..., 2) in [0, 1) (Box and Muller)."""
    return polar(2 * math.pi * uniforms[..., 0], standard_deviation * np.sqrt(-2 * np.log1p(-uniforms[..., 1])))
