"""Random numbers that belong to one video of a world for ever, however many others are drawn beside it."""

import numpy as np

from videossl.worlds.truth import Floats, Truth

# What draws are for, so that they know nothing of each other. `truth` of the digits draws without such a number.
BRANCH_DRAWS, LAYOUT_DRAWS, MOTION_DRAWS = 1, 2, 3


def own_uniforms(truth: Truth, count: int, *, purpose: int, attempt: int = 0) -> Floats:
    """Uniform numbers in [0, 1) of each video of a truth: those named in `uniforms_of`, (n, count)."""
    return uniforms_of(truth.seed.tolist(), truth.row.tolist(), count, purpose=purpose, attempt=attempt)


def uniforms_of(seeds: list[int], rows: list[int], count: int, *, purpose: int, attempt: int = 0) -> Floats:
    """Uniform numbers in [0, 1) of the videos (seed, row), which fix them alone: (n, count).

    Args:
        seeds: n seeds of draws.
        rows: n places in those draws.
        count: Numbers for each video; the first ones do not depend on how many follow.
        purpose: One of the constants of this module.
        attempt: For drawing anew what was no good.
    """
    again = [attempt] if attempt else []
    names = zip(seeds, rows, strict=True)
    draws = [np.random.default_rng([seed, row, purpose, *again]).random(count) for seed, row in names]
    return np.stack(draws) if draws else np.zeros((0, count))
