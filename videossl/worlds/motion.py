"""Straight motion within a square canvas, with or without bouncing off its edges. Frames, pixels, px/frame."""

from typing import NamedTuple

import numpy as np

from videossl.worlds.truth import Floats, Ints


class Path2D(NamedTuple):
    """Where objects are and how fast they go."""

    positions: Floats  # (n, T, O, 2) px, centres
    velocities: Floats  # (n, T, O, 2) px/frame


def straight(position: Floats, velocity: Floats, steps: Ints) -> Path2D:
    """Uniform motion: the state `steps` frames after `position` (n, O, 2), at `velocity` (n, O, 2)."""
    positions = position[:, None] + velocity[:, None] * steps[:, None, None]
    return Path2D(positions, np.repeat(velocity[:, None], len(steps), axis=1))


def bouncing(position: Floats, velocity: Floats, steps: Ints, *, low: float, high: float) -> Path2D:
    """As `straight`, mirrored at `low` and `high`: centres stay between them, and a bounce turns a velocity round."""
    positions, velocities = straight(position, velocity, steps)
    # Bouncing between two walls is straight motion in a hall of mirrors of twice the length.
    room = high - low
    unfolded = np.mod(positions - low, 2 * room)
    turned = unfolded > room
    return Path2D(room - np.abs(unfolded - room) + low, np.where(turned, -velocities, velocities))


def reach(velocity: Floats, kick: Floats, *, branch_frame: int, num_frames: int) -> tuple[Floats, Floats]:
    """How far below and above its start a digit gets without bouncing, at the frames of the video.

    Args:
        velocity: (..., 2) px/frame before the kick.
        kick: (..., 2) px/frame, added between frame branch_frame - 1 and branch_frame; broadcast against `velocity`.
        branch_frame: First frame that is moved differently.
        num_frames: Frames of the video.

    Returns:
        Least (<= 0) and greatest (>= 0) displacement, (..., 2) px.
    """
    at_kick = velocity * (branch_frame - 1)
    at_end = at_kick + (velocity + kick) * (num_frames - branch_frame)
    # On each of its two legs motion is uniform, so the extremes are at the ends of the legs.
    return np.minimum(np.minimum(0, at_kick), at_end), np.maximum(np.maximum(0, at_kick), at_end)
