"""Balls on a square table without friction, moved by pymunk."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from videossl.errors import UsageError
from videossl.worlds.truth import Floats

if TYPE_CHECKING:
    import pymunk

STEPS_PER_FRAME = 12  # of the physics; at 6 px/frame a ball goes half a pixel a step
WALL_THICKNESS = 20.0  # px, beyond the edges of the table
COLLISION_SLOP = 0.01  # px by which balls may overlap; pymunk's own tenth of a pixel can be seen


class Kick(NamedTuple):
    """Something that changes the velocity of one ball, once."""

    vector: Floats  # (2,) px/frame, added to the velocity
    bumper: tuple[float, float, float] | None  # x, y, radius in px: the first ball whose centre comes into it
    ball: int = -1  # without a bumper: this ball ...
    frame: int = -1  # ... in this frame


class Run(NamedTuple):
    """What happened on the table."""

    positions: Floats  # (T, O, 2) px
    velocities: Floats  # (T, O, 2) px/frame
    ball: int  # that was kicked, -1: none
    frames: float  # from the start to the kick, -1: none


class Table:
    """A square table with walls; everything bounces without loss.

    Args:
        side: Of the table, px.
        radius: Of a ball, px.

    Raises:
        UsageError: pymunk is not installed.
    """

    def __init__(self, *, side: float, radius: float) -> None:
        try:
            import pymunk
        except ImportError as error:
            raise UsageError(
                "billiards needs pymunk, which is not installed: pip install 'videossl[worlds]'"
            ) from error
        self.side, self.radius, self._pymunk = side, radius, pymunk

    def run(self, positions: Floats, velocities: Floats, kick: Kick, num_frames: int) -> Run:
        """Let the balls go: the same arguments give the same numbers, up to however many frames.

        Args:
            positions: (O, 2) px, centres in frame 0.
            velocities: (O, 2) px/frame in frame 0.
            kick: What can happen to one of them.
            num_frames: T, frame 0 among them.
        """
        # A table is never used again: the library remembers contacts, so a second run would differ in the last digits.
        space, balls = self._laid_out(positions, velocities)
        traced, kicked, when = [_state(balls)], -1, -1.0
        for frame in range(num_frames - 1):
            if kick.bumper is None and frame == kick.frame:
                kicked, when = kick.ball, float(frame)
                _push(balls[kicked], kick.vector)
            for number in range(1, STEPS_PER_FRAME + 1):
                space.step(1 / STEPS_PER_FRAME)
                if kicked < 0 and kick.bumper is not None:
                    kicked = _within(balls, *kick.bumper)
                    if kicked >= 0:
                        when = frame + number / STEPS_PER_FRAME
                        _push(balls[kicked], kick.vector)
            traced.append(_state(balls))
        trace = np.array(traced)  # (T, O, 4)
        return Run(trace[..., :2], trace[..., 2:], kicked, when)

    def _laid_out(self, positions: Floats, velocities: Floats) -> "tuple[pymunk.Space, list[pymunk.Body]]":
        space = self._pymunk.Space()
        space.collision_slop = COLLISION_SLOP
        low, high = -WALL_THICKNESS, self.side + WALL_THICKNESS
        corners = [(low, low), (high, low), (high, high), (low, high)]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            wall = self._pymunk.Segment(space.static_body, start, end, WALL_THICKNESS)
            wall.elasticity, wall.friction = 1.0, 0.0
            space.add(wall)
        balls = []
        for position, velocity in zip(positions.tolist(), velocities.tolist(), strict=True):
            ball = self._pymunk.Body(1.0, float("inf"))  # no spin: the numbers on the balls stay upright
            ball.position, ball.velocity = tuple(position), tuple(velocity)
            shape = self._pymunk.Circle(ball, self.radius)
            shape.elasticity, shape.friction = 1.0, 0.0
            space.add(ball, shape)
            balls.append(ball)
        return space, balls


def _state(balls: "list[pymunk.Body]") -> list[tuple[float, float, float, float]]:
    return [(*ball.position, *ball.velocity) for ball in balls]


def _push(ball: "pymunk.Body", vector: Floats) -> None:
    x, y = ball.velocity
    ball.velocity = x + float(vector[0]), y + float(vector[1])


def _within(balls: "list[pymunk.Body]", x: float, y: float, radius: float) -> int:
    """The first ball whose centre is in the circle, -1: none."""
    for number, ball in enumerate(balls):
        ball_x, ball_y = ball.position
        if (ball_x - x) ** 2 + (ball_y - y) ** 2 <= radius * radius:
            return number
    return -1
