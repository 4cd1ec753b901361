"""Random mazes on a square lattice of places, and walks through them.

Shapes: n mazes, L places a side, N = L * L places, numbered row by row; d steps. A direction is 0 right, 1 down,
2 left, 3 up, so that direction + 1 is a turn to the right (y points down).
"""

import numpy as np
from numpy.typing import NDArray

from videossl.worlds.draws import LAYOUT_DRAWS, uniforms_of
from videossl.worlds.truth import Floats, Ints

Bools = NDArray[np.bool_]
STRAIGHT, RIGHT, BACK, LEFT = 0, 1, 2, 3  # turns, to be added to a direction
FORWARD_TURNS = (STRAIGHT, RIGHT, LEFT)
STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # (4, 2) x, y


def lattice_edges(side: int) -> Ints:
    """The neighbours of a lattice: (E, 3) place, direction (right or down), place there."""
    places = np.arange(side * side).reshape(side, side)
    right = np.stack([places[:, :-1].ravel(), np.zeros(side * (side - 1), int), places[:, 1:].ravel()], axis=1)
    down = np.stack([places[:-1].ravel(), np.ones(side * (side - 1), int), places[1:].ravel()], axis=1)
    return np.concatenate([right, down])


def random_mazes(seeds: list[int], rows: list[int], *, side: int, max_ways: int, wall_share: float) -> Bools:
    """Which ways are open in the mazes of the videos (seed, row): (n, N, 4).

    From the open lattice, in a random order, ways are closed at places that have more than `max_ways`; then, in that
    order again, each other one with probability `wall_share`. No place is left with fewer than 2 ways: there are no
    dead ends. A maze can fall into parts.

    Args:
        seeds: n seeds.
        rows: n rows.
        side: L, at least 3.
        max_ways: Ways that meet at a place, at most; 3 or 4.
        wall_share: In [0, 1].
    """
    ways = _one_attempt(seeds, rows, side=side, max_ways=max_ways, wall_share=wall_share, attempt=0)
    attempt = 0
    # Rarely all neighbours of a crossing are down to 2 ways, so that none of its own could be closed.
    while len(bad := np.flatnonzero((ways.sum(axis=2) > max_ways).any(axis=1))):
        attempt += 1
        of_bad = [seeds[row] for row in bad], [rows[row] for row in bad]
        ways[bad] = _one_attempt(*of_bad, side=side, max_ways=max_ways, wall_share=wall_share, attempt=attempt)
    return ways


def _one_attempt(
    seeds: list[int], rows: list[int], *, side: int, max_ways: int, wall_share: float, attempt: int
) -> Bools:
    edges = lattice_edges(side)
    uniforms = uniforms_of(seeds, rows, 2 * len(edges), purpose=LAYOUT_DRAWS, attempt=attempt)
    order = np.argsort(uniforms[:, : len(edges)], axis=1, kind="stable")  # (n, E)
    closes = uniforms[:, len(edges) :] < wall_share
    count, maze = len(seeds), np.arange(len(seeds))
    ways = np.zeros((count, side * side, 4), bool)
    ways[:, edges[:, 0], edges[:, 1]] = True
    ways[:, edges[:, 2], edges[:, 1] + BACK] = True
    degree = ways.sum(axis=2)
    for only_crossings in (True, False):
        for rank in range(len(edges)):
            here, direction, there = edges[order[:, rank]].T
            spare = (degree[maze, here] > 2) & (degree[maze, there] > 2) & ways[maze, here, direction]
            crowded = np.maximum(degree[maze, here], degree[maze, there]) > max_ways
            shut = spare & (crowded if only_crossings else closes[maze, order[:, rank]])
            ways[maze[shut], here[shut], direction[shut]] = False
            ways[maze[shut], there[shut], direction[shut] + BACK] = False
            degree[maze[shut], here[shut]] -= 1
            degree[maze[shut], there[shut]] -= 1
    return ways


def exits(ways: Bools, places: Ints, heading: Ints) -> Bools:
    """Which of the ways straight on, right and left are open to walkers: (n, 3). Back is none."""
    turned = (heading[:, None] + np.array(FORWARD_TURNS)) % 4
    return ways[np.arange(len(ways))[:, None], places[:, None], turned]


def exit_probabilities(open_exits: Bools, turn_weights: Floats) -> Floats:
    """Probability of each choice, (n, 3): choice c is the c-th of the open exits, 0 where there are fewer."""
    weights = np.where(open_exits, turn_weights, 0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    # A stable sort brings the open ones to the front in the order straight, right, left.
    first = np.argsort(~open_exits, axis=1, kind="stable")
    return np.take_along_axis(weights, first, axis=1)


def step(ways: Bools, places: Ints, heading: Ints, choice: Ints) -> Ints:
    """The directions (n,) in which walkers go.

    Args:
        ways: (n, N, 4).
        places: (n,) where they stand.
        heading: (n,) in which direction they came.
        choice: (n,) the choice-th of their open exits. Where there are fewer it is what cannot be: through a wall of
            the maze's inside, or back where there is none.
    """
    open_exits = exits(ways, places, heading)
    ranked = np.argsort(~open_exits, axis=1, kind="stable")
    turn = np.array(FORWARD_TURNS)[np.take_along_axis(ranked, choice[:, None], axis=1)[:, 0]]
    possible = choice < open_exits.sum(axis=1)
    return np.where(possible, (heading + turn) % 4, through_wall(ways, places, heading))


def through_wall(ways: Bools, places: Ints, heading: Ints) -> Ints:
    """The first direction (n,) of straight on, right, left that a wall inside of the maze closes; back if none does."""
    side = round(ways.shape[1] ** 0.5)
    turned = (heading[:, None] + np.array([*FORWARD_TURNS, BACK])) % 4  # (n, 4)
    there = np.stack([places % side, places // side], axis=-1)[:, None] + STEPS[turned]  # (n, 4, 2)
    walled = ((there >= 0) & (there < side)).all(axis=2) & ~ways[np.arange(len(ways))[:, None], places[:, None], turned]
    walled[:, -1] = True
    return turned[np.arange(len(ways)), walled.argmax(axis=1)]


def moved(places: Ints, direction: Ints, side: int) -> Ints:
    """The neighbour (n,) in a direction (n,)."""
    x, y = STEPS[direction].T
    return places + x + side * y


def walk(ways: Bools, places: Ints, heading: Ints, choices: Ints) -> Ints:
    """The places (n, d + 1) of walkers that follow choices (n, d), as `step` understands them.

    Args:
        ways: (n, N, 4).
        places: (n,) where they start, the first column of the result.
        heading: (n,) in which direction they came there.
        choices: (n, d).
    """
    side = round(ways.shape[1] ** 0.5)
    trace = [places]
    for choice in choices.T:
        heading = step(ways, places, heading, choice)
        places = moved(places, heading, side)
        trace.append(places)
    return np.stack(trace, axis=1)


def walk_at_random(ways: Bools, places: Ints, heading: Ints, uniforms: Floats, turn_weights: Floats) -> Ints:
    """Choices (n, d) drawn with the shares of `turn_weights` (3,) by uniforms (n, d), from places and headings (n,)."""
    side = round(ways.shape[1] ** 0.5)
    chosen = []
    for uniform in uniforms.T:
        open_exits = exits(ways, places, heading)
        limits = exit_probabilities(open_exits, turn_weights).cumsum(axis=1)
        # Shares add up to 1 only up to rounding: no uniform may choose an exit beyond the last open one.
        choice = np.minimum((uniform[:, None] >= limits).sum(axis=1), open_exits.sum(axis=1) - 1)
        heading = step(ways, places, heading, choice)
        places = moved(places, heading, side)
        chosen.append(choice)
    return np.stack(chosen, axis=1)


def walk_probability(ways: Bools, places: Ints, heading: Ints, choices: Ints, turn_weights: Floats) -> Floats:
    """Probability (n,) of choices (n, d) from places (n,) and headings (n,); 0 if a choice is missing on the way."""
    side = round(ways.shape[1] ** 0.5)
    probability = np.ones(len(places))
    for choice in choices.T:
        of_choice = exit_probabilities(exits(ways, places, heading), turn_weights)
        probability = probability * of_choice[np.arange(len(places)), choice]
        heading = step(ways, places, heading, choice)
        places = moved(places, heading, side)
    return probability


def walk_backwards(ways: Bools, places: Ints, heading: Ints, uniforms: Floats) -> Ints:
    """Where walkers came from, step by step: (n, d + 1), places (n,) first.

    No step turns back; all others are as likely.

    Args:
        ways: (n, N, 4).
        places: (n,).
        heading: (n,) of the step that led there.
        uniforms: (n, d); those of column k choose by which way the walker had come where it stood before step k.
    """
    side = round(ways.shape[1] ** 0.5)
    trace = [places]
    for uniform in uniforms.T:
        places = moved(places, (heading + BACK) % 4, side)
        trace.append(places)
        came_by = ways[np.arange(len(ways)), places].copy()  # (n, 4): ways out; one walked in by the opposite heading
        came_by[np.arange(len(ways)), heading] = False
        heading = (pick(came_by, uniform) + BACK) % 4
    return np.stack(trace, axis=1)


def pick(allowed: Bools, uniform: Floats) -> Ints:
    """One of the allowed columns of each row, all as likely: (n, A) and (n,) in [0, 1) to (n,)."""
    wanted = (uniform * allowed.sum(axis=1)).astype(np.int64)
    return (allowed.cumsum(axis=1) > wanted[:, None]).argmax(axis=1)
