"""The floor of mazes as pictures."""

import numpy as np
from numpy.typing import NDArray

from videossl.worlds.maze_plan import STEPS, Bools, lattice_edges

FLOOR_GREY = 64  # walls are black; a digit's strokes are up to 255


def draw_floors(ways: Bools, *, canvas: int, corridor: int) -> NDArray[np.uint8]:
    """Corridors, grey on black.

    Args:
        ways: (n, N, 4) open ways of n mazes with N = L * L places.
        canvas: Side of a picture in pixels, a multiple of L.
        corridor: Width of a corridor in pixels, less than canvas / L.

    Returns:
        (n, canvas, canvas) grey values.
    """
    side = round(ways.shape[1] ** 0.5)
    edges = lattice_edges(side)
    pitch = canvas // side
    low = pitch // 2 - corridor // 2
    shapes = np.zeros((len(edges), canvas, canvas), np.float32)
    for shape, (here, direction, _) in zip(shapes, edges, strict=True):
        x, y = pitch * (here % side) + low, pitch * (here // side) + low
        right, down = STEPS[direction]
        shape[y : y + corridor + down * pitch, x : x + corridor + right * pitch] = 1
    is_open = ways[:, edges[:, 0], edges[:, 1]].astype(np.float32)  # (n, E)
    floor = np.tensordot(is_open, shapes, axes=1) > 0
    return floor.astype(np.uint8) * np.uint8(FLOOR_GREY)
