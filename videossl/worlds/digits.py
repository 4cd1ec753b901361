"""Handwritten digits that move over a canvas; at a known moment a kick changes where they go."""

import math
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.errors import UsageError
from videossl.worlds.base import Branches, Decoys, World, check_draw
from videossl.worlds.digit_images import idx_digits, scikit_learn_digits
from videossl.worlds.draws import BRANCH_DRAWS, own_uniforms
from videossl.worlds.kicks import Kicked, gaussian, infeasible, kick_table, polar, ring
from videossl.worlds.motion import Path2D, bouncing, reach, straight
from videossl.worlds.sprites import draw_sprites
from videossl.worlds.truth import Bools, Floats, Truth

UNIFORMS_PER_DIGIT = 7  # picture, x, y, direction, speed, and two for a Gaussian kick
GAUSSIAN_DECOY_STDS = 4.0  # a kick as long as this is 3,000 times less dense than none
GAUSSIAN_ROOM_STDS = 2.0


class Digits(World):
    """Digits in straight motion, kicked once.

    Each digit starts at a random place with a random velocity. Between frame branch_frame - 1 and branch_frame a kick
    is added to the velocity. With M branches the kicks are M fixed vectors of length kick_speed, and which one it is
    does not depend on the context, so the true distribution of futures is known for every context.

    Decoys, J = 1 + 2 M: no kick, every kick halved, every kick doubled. With Gaussian kicks, where short kicks are
    the likeliest, J = M: kicks of 4 standard deviations in M directions.

    Args:
        num_digits: O, digits in a video.
        canvas: Side of a frame in pixels. Even, if the world shall be written as video files.
        digit_size: Side of a digit in pixels.
        num_frames: T.
        branch_frame: First frame that moves differently, in [1, T).
        num_branches: M. With Gaussian kicks: how many draws `branches` shows.
        probabilities: M numbers above 0 that sum to 1; equal ones by default.
        kick: "branches" (one of M fixed kicks) or "gaussian" (any kick, normally distributed, one for each digit).
        kick_speed: Length of a kick in px/frame; for "gaussian" the standard deviation of its x and of its y.
        kicked: Which of several digits is kicked in a branch. "one": one of them, in one of M / O directions
            2 pi k / (M / O). "each": all of them, each in a direction of its own out of D, so that M = D ** O.
        speed: Least and greatest speed at the start in px/frame; uniform between, in a uniformly drawn direction.
        directions: Least and greatest direction at the start in degrees, 0 to the right, 90 down; uniform between.
        starts: Least and greatest x and y of the centres in frame 0, in px; uniform between. By default the canvas, or
            what `bounce` leaves of it. Given, digits may leave the canvas where they do not bounce, and are cut off.
        bounce: True: digits bounce off the edges; this can bring two futures of one context close together (with
            the defaults 0.4 % of branches have another one within half a pixel, 2 % within a pixel). False: they
            start where no branch and no decoy leads over an edge (with Gaussian kicks: none within 2 standard
            deviations; what crosses an edge is cut off).
        idx_images: MNIST IDX file of pictures, .gz too; scikit-learn's digits by default.
        idx_labels: IDX file of the classes of `idx_images`.

    Raises:
        UsageError: The arguments do not fit each other, or an IDX file cannot be read.
    """

    path_arguments: ClassVar[tuple[str, ...]] = ("idx_images", "idx_labels")

    def __init__(
        self,
        *,
        num_digits: int = 1,
        canvas: int = 48,
        digit_size: int = 16,
        num_frames: int = 8,
        branch_frame: int = 4,
        num_branches: int = 8,
        probabilities: list[float] | None = None,
        kick: Literal["branches", "gaussian"] = "branches",
        kick_speed: float = 1.5,
        kicked: Kicked = "one",
        speed: tuple[float, float] = (0.5, 2.0),
        directions: tuple[float, float] = (0.0, 360.0),
        starts: tuple[float, float] | None = None,
        bounce: bool = True,
        idx_images: Path | None = None,
        idx_labels: Path | None = None,
    ) -> None:
        self.num_digits, self.canvas, self.digit_size = num_digits, canvas, digit_size
        self.num_frames, self.branch_frame, self.num_branches = num_frames, branch_frame, num_branches
        self.kick, self.kick_speed, self.kicked = kick, kick_speed, kicked
        self.speed, self.bounce = (float(speed[0]), float(speed[1])), bounce
        self.directions = (float(directions[0]), float(directions[1]))
        self.starts = None if starts is None else (float(starts[0]), float(starts[1]))
        self.idx_images, self.idx_labels = idx_images, idx_labels
        self._check_arguments()
        self.kicks = self._kicks()  # (M, O, 2) px/frame
        self._given_probabilities = probabilities
        self.probabilities = self._checked_probabilities(probabilities)  # (M,)
        margin = digit_size / 2
        self._move = partial(bouncing, low=margin, high=canvas - margin) if bounce else straight
        self._check_room()
        if idx_images is not None and idx_labels is not None:
            self._images = idx_digits(Path(idx_images), Path(idx_labels), digit_size)
        else:
            self._images = scikit_learn_digits(digit_size)

    def init_args(self) -> dict[str, object]:  # noqa: D102
        return {
            "num_digits": self.num_digits,
            "canvas": self.canvas,
            "digit_size": self.digit_size,
            "num_frames": self.num_frames,
            "branch_frame": self.branch_frame,
            "num_branches": self.num_branches,
            "probabilities": None if self._given_probabilities is None else list(self._given_probabilities),
            "kick": self.kick,
            "kick_speed": self.kick_speed,
            "kicked": self.kicked,
            "speed": list(self.speed),
            "directions": list(self.directions),
            "starts": None if self.starts is None else list(self.starts),
            "bounce": self.bounce,
            "idx_images": None if self.idx_images is None else str(self.idx_images),
            "idx_labels": None if self.idx_labels is None else str(self.idx_labels),
        }

    def truth(self, num_videos: int, seed: int) -> Truth:
        """Draw what happens in `num_videos` videos, without drawing pixels."""
        check_draw(num_videos, seed)
        # One matrix of uniforms, a row a video: the first rows do not depend on how many follow.
        width = 1 + UNIFORMS_PER_DIGIT * self.num_digits
        uniforms = np.random.default_rng(seed).random((num_videos, width))
        of_digit = rearrange(uniforms[:, 1:], "n (o u) -> n o u", u=UNIFORMS_PER_DIGIT)
        exemplars = (of_digit[..., 0] * len(self._images.classes)).astype(np.int64)
        first_turn, last_turn = self.directions[0] / 360, self.directions[1] / 360
        velocity = polar(
            angle=2 * math.pi * (first_turn + (last_turn - first_turn) * of_digit[..., 3]),
            length=self.speed[0] + np.ptp(self.speed) * of_digit[..., 4],
        )
        low, high = self._start_range(velocity)
        start = low + (high - low) * of_digit[..., 1:3]
        if self.kick == "branches":
            branch = np.searchsorted(np.cumsum(self.probabilities)[:-1], uniforms[:, 0], side="right")
            kick = self.kicks[branch]
        else:
            branch = np.full(num_videos, -1)
            kick = gaussian(of_digit[..., 5:7], self.kick_speed)
        context = self._move(start, velocity, np.arange(self.branch_frame))
        future = self._future(context.positions[:, -1], context.velocities[:, -1], kick)
        return Truth(
            video=np.full(num_videos, "", dtype=np.str_),
            seed=np.full(num_videos, seed, np.int64),
            row=np.arange(num_videos, dtype=np.int64),
            branch=branch.astype(np.int64),
            classes=self._images.classes[exemplars],
            exemplars=exemplars,
            positions=np.concatenate([context.positions, future.positions], axis=1),
            velocities=np.concatenate([context.velocities, future.velocities], axis=1),
            kick=kick,
        )

    def render(self, truth: Truth) -> Tensor:
        """The videos that a truth of this world describes: (n, T, 3, H, W) uint8, RGB."""
        self._check_truth(truth)
        return self._draw(truth, truth.positions)

    def branches(self, truth: Truth, horizon_frames: int | None = None) -> Branches:
        """All futures of each context; they part in their first frame, so that a shorter horizon merges none.

        With Gaussian kicks: M draws of the true distribution, equally weighted, the same at every call.
        """
        if self.kick == "branches":
            kicks = repeat(self.kicks, "m o xy -> n m o xy", n=len(truth))
        else:
            count = self.num_branches * self.num_digits * 2
            uniforms = own_uniforms(truth, count, purpose=BRANCH_DRAWS)
            kicks = gaussian(rearrange(uniforms, "n (m o xy) -> n m o xy", m=self.num_branches, xy=2), self.kick_speed)
        probabilities = repeat(torch.from_numpy(self.probabilities), "m -> n m", n=len(truth)).clone()
        clips, positions = self._futures(truth, kicks, self.future_frames(horizon_frames))
        return Branches(clips, probabilities, positions, torch.from_numpy(truth.branch.copy()))

    def decoys(self, truth: Truth, horizon_frames: int | None = None) -> Decoys:
        """Futures that the same contexts cannot have: see the class for which."""
        kicks = repeat(self._decoy_kicks(), "j o xy -> n j o xy", n=len(truth))
        return Decoys(*self._futures(truth, kicks, self.future_frames(horizon_frames)))

    def moves_freely(self, truth: Truth, horizon_frames: int | None = None) -> Bools | None:
        """In which videos nothing bounces whatever the kick, (n,) bool; None of Gaussian kicks, which can be any."""
        self._check_truth(truth)
        num_steps = self.future_frames(horizon_frames)
        if not self.bounce:
            return np.ones(len(truth), np.bool_)
        if self.kick == "gaussian":
            return None
        last = self.branch_frame - 1
        # A bounce turns the velocity round; after the kick motion is straight, so that its end is its extreme.
        is_steady = (truth.velocities[:, : last + 1] == truth.velocities[:, :1]).all(axis=(1, 2, 3))
        way = (truth.velocities[:, last, None] + self.kicks) * num_steps  # (n, M, O, 2)
        ends, margin = truth.positions[:, last, None] + way, self.digit_size / 2
        stays = ((ends >= margin) & (ends <= self.canvas - margin)).all(axis=(1, 2, 3))
        return is_steady & stays

    def _kicks(self) -> Floats:
        """(M, O, 2) px/frame: the branches; with Gaussian kicks all digits in one of M directions, for the decoys."""
        if self.kick == "gaussian":
            return repeat(ring(self.num_branches), "m xy -> m o xy", o=self.num_digits) * self.kick_speed
        return kick_table(self.num_branches, self.num_digits, self.kicked) * self.kick_speed

    def _decoy_kicks(self) -> Floats:
        """(J, O, 2) px/frame."""
        return self.kicks * GAUSSIAN_DECOY_STDS if self.kick == "gaussian" else infeasible(self.kicks)

    def _futures(self, truth: Truth, kicks: Floats, num_frames: int) -> tuple[Tensor, Tensor]:
        """Kicks (n, m, O, 2) to the F = num_frames frames that they lead to.

        Returns:
            Clips (n, m, F, 3, H, W) uint8, and centres (n, m, F, O, 2) float64 in px.
        """
        self._check_truth(truth)
        num_kicks = kicks.shape[1]
        last = self.branch_frame - 1
        repeated = truth[np.repeat(np.arange(len(truth)), num_kicks)]
        positions = self._future(
            repeated.positions[:, last], repeated.velocities[:, last], rearrange(kicks, "n m o xy -> (n m) o xy")
        ).positions[:, :num_frames]
        clips = rearrange(self._draw(repeated, positions), "(n m) t c h w -> n m t c h w", m=num_kicks)
        return clips, rearrange(torch.from_numpy(positions), "(n m) t o xy -> n m t o xy", m=num_kicks)

    def _future(self, position: Floats, velocity: Floats, kick: Floats) -> Path2D:
        """What follows the last frame of the context; arguments (n, O, 2)."""
        return self._move(position, velocity + kick, np.arange(1, self.num_frames - self.branch_frame + 1))

    def _start_range(self, velocity: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest centre (n, O, 2) at which digits with these velocities may start."""
        if self.starts is not None:
            return np.full_like(velocity, self.starts[0]), np.full_like(velocity, self.starts[1])
        low = np.full_like(velocity, self.digit_size / 2)
        high = self.canvas - low
        if self.bounce:
            return low, high
        below, above = zip(*(self._reach(velocity, bound) for bound in self._kick_bounds()), strict=True)
        return low - np.minimum(*below), high - np.maximum(*above)

    def _reach(self, velocity: Floats, kick: Floats) -> tuple[Floats, Floats]:
        return reach(velocity, kick, branch_frame=self.branch_frame, num_frames=self.num_frames)

    def _kick_bounds(self) -> tuple[Floats, Floats]:
        """Least and greatest kick (O, 2) for which a digit that does not bounce has room."""
        if self.kick == "gaussian":
            bound = np.full((self.num_digits, 2), GAUSSIAN_ROOM_STDS * self.kick_speed)
            return -bound, bound
        kicks = np.concatenate([self.kicks, self._decoy_kicks()])
        return kicks.min(axis=0), kicks.max(axis=0)

    def _draw(self, truth: Truth, positions: Floats) -> Tensor:
        """Centres (n, t, O, 2) to clips (n, t, 3, H, W)."""
        num_frames = positions.shape[1]
        sprites = np.repeat(self._images.pictures[truth.exemplars], num_frames, axis=0)  # (n t, O, s, s)
        corners = rearrange(positions, "n t o xy -> (n t) o xy") - self.digit_size / 2
        return rearrange(draw_sprites(sprites, corners, self.canvas), "(n t) c h w -> n t c h w", t=num_frames)

    def _checked_probabilities(self, probabilities: list[float] | None) -> Floats:
        """(M,), summing to 1."""
        if probabilities is None:
            return np.full(self.num_branches, 1 / self.num_branches)
        if self.kick == "gaussian" and len(set(probabilities)) > 1:
            raise UsageError("a Gaussian kick has no branches to weigh: leave probabilities out, or set kick=branches.")
        values = np.asarray(probabilities, np.float64)
        if values.shape != (self.num_branches,) or not (values > 0).all() or abs(values.sum() - 1) > 1e-6:
            raise UsageError(
                f"probabilities needs {self.num_branches} numbers above 0 that sum to 1, got {list(probabilities)} "
                f"(sum {values.sum():.6g}). Give one for each of num_branches={self.num_branches}."
            )
        return values / values.sum()

    def _check_arguments(self) -> None:
        least, greatest = self.speed
        margin = self.digit_size / 2
        for fits, wanted, got in (
            (self.num_digits >= 1, "num_digits to be at least 1", self.num_digits),
            (self.digit_size >= 4, "digit_size to be at least 4 px", self.digit_size),
            (self.canvas > self.digit_size, f"canvas to be larger than digit_size={self.digit_size}", self.canvas),
            (self.num_frames >= 2, "num_frames to be at least 2", self.num_frames),
            (1 <= self.branch_frame < self.num_frames, f"branch_frame in [1, {self.num_frames})", self.branch_frame),
            (self.num_branches >= 1, "num_branches to be at least 1", self.num_branches),
            (self.kick in ("branches", "gaussian"), "kick to be branches or gaussian", self.kick),
            (self.kicked in ("one", "each"), "kicked to be one or each", self.kicked),
            (0 < self.kick_speed < math.inf, "kick_speed above 0 px/frame", self.kick_speed),
            (0 <= least <= greatest < math.inf, "speed to be (least, greatest), 0 or more px/frame", self.speed),
            (
                0 <= self.directions[0] <= self.directions[1] <= 360,
                "directions to be (least, greatest) in [0, 360] degrees",
                self.directions,
            ),
            (
                self.starts is None or margin <= self.starts[0] <= self.starts[1] <= self.canvas - margin,
                f"starts to be (least, greatest) in [{margin:g}, {self.canvas - margin:g}] px",
                self.starts,
            ),
            ((self.idx_images is None) == (self.idx_labels is None), "idx_images and idx_labels together", "only one"),
        ):
            if not fits:
                raise UsageError(f"the world of digits needs {wanted}, got {got}.")

    def _check_room(self) -> None:
        if self.bounce or self.starts is not None:
            return
        # The way a digit needs is convex in its velocity, so the fastest ones need the most.
        fastest = np.array([-1.0, 1.0])[:, None, None] * self.speed[1] * np.ones((1, self.num_digits, 2))
        low, high = self._start_range(fastest)
        room = self.canvas - self.digit_size
        needed = room - (high - low).min()
        if needed > room:
            raise UsageError(
                f"without bouncing, digits need {math.ceil(needed)} px of free way, canvas - digit_size gives {room}. "
                "Set bounce=true, a larger canvas, a lower speed or kick_speed, or fewer frames."
            )

    def _check_truth(self, truth: Truth) -> None:
        self.check_truth(truth, num_objects=self.num_digits, num_pictures=len(self._images.classes))
