"""Balls on a table: what follows is certain, but where a bumper that cannot be seen kicks a ball."""

import math

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.worlds.base import Branches, Decoys, World, check_draw
from videossl.worlds.billiard_table import Kick, Run, Table
from videossl.worlds.digit_images import scikit_learn_digits
from videossl.worlds.draws import MOTION_DRAWS, uniforms_of
from videossl.worlds.kicks import polar, ring
from videossl.worlds.motion import bouncing
from videossl.worlds.sprites import draw_sprites
from videossl.worlds.truth import Floats, Ints, Truth

UNIFORMS_PER_BALL = 5  # picture, x, y, direction, speed
AIM_DEGREES = 60.0  # a ball that is aimed at the bumper meets its rim within so much of head-on
MOST_ATTEMPTS = 1000
LATEST_KICK = 0.5  # frames after branch_frame - 1: a later kick would hardly show in frame branch_frame
BALL_GREY = 90  # the number on a ball is up to 255
NUMBER_SHARE = 0.72  # side of the number to the diameter of the ball


class Billiards(World):
    """Balls with numbers on them, which bounce off the walls and off each other, moved by the physics library pymunk.

    In the middle of the table is a bumper that no picture shows. The first ball whose centre comes into it is kicked,
    once in a video: one of M fixed vectors of length kick_speed is added to its velocity. Videos are chosen so that
    this happens soon after frame branch_frame - 1 (so that frame branch_frame shows it), or not at all; the motion in
    the context tells which.
    So contexts of which a ball is just reaching the bumper have M futures with known probabilities, all others have
    exactly one.

    Branches, 1 + M: no kick, then the M kicks. The probabilities are 1 for no kick where no ball comes to the bumper,
    and 0 for it where one does. A kick that cannot happen is shown as if the ball that is nearest to the bumper got it
    in frame branch_frame - 1.

    Decoys, J = 1 + 2 M: all balls stand still; every kick halved, every kick doubled.

    In the truth branch 0 is no kick, and `kick` is zero for all balls but the kicked one.

    Args:
        num_balls: O.
        canvas: Side of the table and of a frame in pixels.
        radius: Of a ball in pixels.
        num_frames: T.
        branch_frame: First frame that a kick changes, in [1, T).
        probabilities: Of the M kicks: M numbers above 0 that sum to 1; kick m goes in direction 2 pi m / M.
        kick_speed: px/frame.
        speed: Least and greatest speed at the start in px/frame; uniform between.
        bumper_radius: In pixels.
        kicked_share: Share of the videos in which a ball is kicked, in [0, 1].

    Raises:
        UsageError: pymunk is not installed, or the arguments do not fit each other.
    """

    def __init__(
        self,
        *,
        num_balls: int = 2,
        canvas: int = 64,
        radius: float = 7.0,
        num_frames: int = 8,
        branch_frame: int = 4,
        probabilities: list[float] | None = None,
        kick_speed: float = 2.5,
        speed: tuple[float, float] = (1.0, 2.5),
        bumper_radius: float = 4.0,
        kicked_share: float = 0.5,
    ) -> None:
        given = [0.4, 0.3, 0.2, 0.1] if probabilities is None else [float(share) for share in probabilities]
        self.num_balls, self.canvas, self.radius = num_balls, canvas, float(radius)
        self.num_frames, self.branch_frame = num_frames, branch_frame
        self.probabilities = given
        self.kick_speed, self.speed = float(kick_speed), (float(speed[0]), float(speed[1]))
        self.bumper_radius, self.kicked_share = float(bumper_radius), float(kicked_share)
        self._check_arguments()
        self.num_branches = 1 + len(given)
        self.kicks = np.concatenate([np.zeros((1, 2)), ring(len(given)) * self.kick_speed])  # (1 + M, 2) px/frame
        self.bumper = (canvas / 2, canvas / 2, self.bumper_radius)
        self._table = Table(side=canvas, radius=self.radius)
        self._balls, self._classes = _balls(self.radius)

    def init_args(self) -> dict[str, object]:  # noqa: D102
        return {
            "num_balls": self.num_balls,
            "canvas": self.canvas,
            "radius": self.radius,
            "num_frames": self.num_frames,
            "branch_frame": self.branch_frame,
            "probabilities": list(self.probabilities),
            "kick_speed": self.kick_speed,
            "speed": list(self.speed),
            "bumper_radius": self.bumper_radius,
            "kicked_share": self.kicked_share,
        }

    def truth(self, num_videos: int, seed: int) -> Truth:
        """Draw what happens in `num_videos` videos, without drawing pixels."""
        check_draw(num_videos, seed)
        uniforms = uniforms_of([seed] * num_videos, list(range(num_videos)), 2 + self.num_balls, purpose=MOTION_DRAWS)
        exemplars = (uniforms[:, 2:] * len(self._classes)).astype(np.int64)
        limits = np.cumsum(self.probabilities)[:-1] / sum(self.probabilities)
        kicks = 1 + np.searchsorted(limits, uniforms[:, 1], side="right")
        branch = np.where(uniforms[:, 0] < self.kicked_share, kicks, 0)
        runs = [self._drawn_run(seed, row, int(taken)) for row, taken in enumerate(branch)]
        kick = np.zeros((num_videos, self.num_balls, 2))
        for row, run in enumerate(runs):
            if run.ball >= 0:
                kick[row, run.ball] = self.kicks[branch[row]]
        return Truth(
            video=np.full(num_videos, "", dtype=np.str_),
            seed=np.full(num_videos, seed, np.int64),
            row=np.arange(num_videos, dtype=np.int64),
            branch=branch.astype(np.int64),
            classes=self._classes[exemplars],
            exemplars=exemplars,
            positions=np.stack([run.positions for run in runs]),
            velocities=np.stack([run.velocities for run in runs]),
            kick=kick,
        )

    def render(self, truth: Truth) -> Tensor:
        """The videos that a truth of this world describes: (n, T, 3, H, W) uint8, RGB."""
        self._check_truth(truth)
        return self._draw(truth, truth.positions[:, None])[:, 0]

    def branches(self, truth: Truth, horizon_frames: int | None = None) -> Branches:
        """All futures of each context; they part in their first frame, so that a shorter horizon merges none."""
        self._check_truth(truth)
        positions = self._futures(truth, self.kicks, self.future_frames(horizon_frames))
        shares = np.array(self.probabilities) / sum(self.probabilities)
        is_kicked = self._is_kicked(truth)[:, None]
        probabilities = np.where(is_kicked, np.concatenate([[0.0], shares]), np.eye(self.num_branches)[0])
        return Branches(
            self._draw(truth, positions),
            torch.from_numpy(probabilities),
            torch.from_numpy(positions),
            torch.from_numpy(truth.branch.copy()),
        )

    def decoys(self, truth: Truth, horizon_frames: int | None = None) -> Decoys:
        """Futures that the same contexts cannot have: see the class for which."""
        self._check_truth(truth)
        num_frames = self.future_frames(horizon_frames)
        kicks = self.kicks[1:]
        still = np.repeat(truth.positions[:, None, self.branch_frame - 1 : self.branch_frame], num_frames, axis=2)
        moving = self._futures(truth, np.concatenate([kicks / 2, kicks * 2]), num_frames)
        positions = np.concatenate([still, moving], axis=1)
        return Decoys(self._draw(truth, positions), torch.from_numpy(positions))

    def _drawn_run(self, seed: int, row: int, taken: int) -> Run:
        """A video in which a ball comes to the bumper when it should if `taken` is not 0, and none does otherwise."""
        last = self.branch_frame - 1
        kick = Kick(self.kicks[taken], self.bumper)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            count = 3 + UNIFORMS_PER_BALL * self.num_balls
            uniforms = uniforms_of([seed], [row], count, purpose=MOTION_DRAWS, attempt=attempt)[0]
            positions, velocities = self._start(uniforms, aimed=bool(taken))
            if not self._is_free(positions):
                continue
            run = self._table.run(positions, velocities, kick, self.num_frames)
            if (last < run.frames <= last + LATEST_KICK) if taken else run.ball < 0:
                return run
        raise WorkError(
            f"in {MOST_ATTEMPTS} attempts no video of billiards was found in which "
            f"{'a ball reaches the bumper in time' if taken else 'no ball reaches the bumper'}. "
            "Set fewer num_balls, a smaller radius or bumper_radius, or a larger canvas."
        )

    def _start(self, uniforms: Floats, *, aimed: bool) -> tuple[Floats, Floats]:
        """Positions and velocities (O, 2) in frame 0; if aimed, one ball is on its way to the bumper."""
        of_ball = rearrange(uniforms[3:], "(o u) -> o u", u=UNIFORMS_PER_BALL)
        low, high = self.radius, self.canvas - self.radius
        positions = low + (high - low) * of_ball[:, 1:3]
        angles = 2 * math.pi * of_ball[:, 3]
        velocities = polar(angles, self.speed[0] + (self.speed[1] - self.speed[0]) * of_ball[:, 4])
        if aimed:
            ball = int(uniforms[0] * self.num_balls)
            off_centre = math.radians(AIM_DEGREES) * (2 * uniforms[1] - 1)
            rim = polar(angles[ball] + math.pi + off_centre, np.array(self.bumper_radius))
            meets = np.array(self.bumper[:2]) + rim
            # Backwards in time from the rim, so that it arrives there after frame branch_frame - 1.
            back = self.branch_frame - 1 + LATEST_KICK * uniforms[2]
            path = bouncing(meets[None, None], -velocities[None, None, ball], np.array([back]), low=low, high=high)
            positions[ball], velocities[ball] = path.positions[0, 0, 0], -path.velocities[0, 0, 0]
        return positions, velocities

    def _is_free(self, positions: Floats) -> bool:
        """Whether no balls overlap, and none is in the bumper."""
        if np.linalg.norm(positions - np.array(self.bumper[:2]), axis=-1).min() <= self.bumper_radius:
            return False
        apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        return bool((apart[np.triu_indices(self.num_balls, 1)] > 2 * self.radius).all())

    def _futures(self, truth: Truth, kicks: Floats, num_frames: int) -> Floats:
        """Where kicks (m, 2) lead: (n, m, F, O, 2) px. Each is a run from frame 0, for contacts have a memory."""
        last = self.branch_frame - 1
        to_bumper = np.linalg.norm(truth.positions[:, last] - np.array(self.bumper[:2]), axis=-1)
        runs = [
            self._table.run(
                truth.positions[row, 0],
                truth.velocities[row, 0],
                Kick(kick, self.bumper) if is_kicked else Kick(kick, None, int(to_bumper[row].argmin()), last),
                self.branch_frame + num_frames,
            )
            for row, is_kicked in enumerate(self._is_kicked(truth))
            for kick in kicks
        ]
        positions = np.stack([run.positions[self.branch_frame :] for run in runs])
        return rearrange(positions, "(n m) t o xy -> n m t o xy", m=len(kicks))

    def _is_kicked(self, truth: Truth) -> NDArray[np.bool_]:
        """(n,) whether a ball comes to the bumper."""
        return truth.branch > 0

    def _draw(self, truth: Truth, positions: Floats) -> Tensor:
        """Centres (n, m, t, O, 2) to clips (n, m, t, 3, H, W)."""
        _, count, num_frames = positions.shape[:3]
        sprites = np.repeat(self._balls[truth.exemplars], count * num_frames, axis=0)  # (n m t, O, s, s)
        corners = rearrange(positions, "n m t o xy -> (n m t) o xy") - self._balls.shape[1] / 2
        drawn = draw_sprites(sprites, corners, self.canvas)
        return rearrange(drawn, "(n m t) c h w -> n m t c h w", m=count, t=num_frames)

    def _check_truth(self, truth: Truth) -> None:
        self.check_truth(truth, num_objects=self.num_balls, num_pictures=len(self._classes))

    def _check_arguments(self) -> None:
        least, greatest = self.speed
        shares = np.array(self.probabilities)
        room = self.canvas / 2 - self.radius
        for fits, wanted, got in (
            (self.num_balls >= 1, "num_balls to be at least 1", self.num_balls),
            (self.radius >= 4, "radius to be at least 4 px", self.radius),
            (room > self.radius, f"canvas above {4 * self.radius:g} px for balls of this radius", self.canvas),
            (self.num_frames >= 2, "num_frames to be at least 2", self.num_frames),
            (1 <= self.branch_frame < self.num_frames, f"branch_frame in [1, {self.num_frames})", self.branch_frame),
            (
                len(shares) > 0 and bool((shares > 0).all()) and abs(shares.sum() - 1) < 1e-6,
                "probabilities above 0 that sum to 1, one for each kick",
                self.probabilities,
            ),
            (0 < self.kick_speed < math.inf, "kick_speed above 0 px/frame", self.kick_speed),
            (0 < least <= greatest < math.inf, "speed to be (least, greatest), above 0 px/frame", self.speed),
            (0 < self.bumper_radius < room, f"bumper_radius in (0, {room:g}) px", self.bumper_radius),
            (0 <= self.kicked_share <= 1, "kicked_share in [0, 1]", self.kicked_share),
        ):
            if not fits:
                raise UsageError(f"billiards needs {wanted}, got {got}.")


def _balls(radius: float) -> tuple[NDArray[np.float32], Ints]:
    """Discs with digits on them, (N, s, s) grey values, and their classes (N,)."""
    side = 2 * math.ceil(radius)
    number = 2 * round(NUMBER_SHARE * radius)
    digits = scikit_learn_digits(max(4, number))
    centres = np.arange(side) + 0.5 - side / 2
    distance = np.hypot(centres[:, None], centres[None])
    disc = (BALL_GREY * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.float32)  # a soft edge of one pixel
    low = (side - digits.pictures.shape[1]) // 2
    balls = np.repeat(disc[None], len(digits.classes), axis=0)
    inner = balls[:, low : low + digits.pictures.shape[1], low : low + digits.pictures.shape[1]]
    np.maximum(inner, digits.pictures, out=inner)
    return balls, digits.classes
