"""A digit that walks through the corridors of a maze and turns at junctions with known, unequal probabilities."""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from videossl.errors import UsageError
from videossl.worlds.base import Branches, Decoys, World, check_draw
from videossl.worlds.digit_images import scikit_learn_digits
from videossl.worlds.draws import MOTION_DRAWS, uniforms_of
from videossl.worlds.maze_picture import draw_floors
from videossl.worlds.maze_plan import (
    BACK,
    STEPS,
    Bools,
    moved,
    pick,
    random_mazes,
    through_wall,
    walk,
    walk_at_random,
    walk_backwards,
    walk_probability,
)
from videossl.worlds.sprites import draw_sprites
from videossl.worlds.truth import Floats, Ints, Truth

MOST_STEPS = 10  # 2 ** 10 futures of every context


class Maze(World):
    """A digit in a maze, a new one in every video or one of a few. It never stops and never turns back.

    Places lie on a lattice; each has 2 or 3 ways (with max_choices 3 up to 4), so there are no dead ends. From one
    place to the next, which is one step, the digit takes frames_per_step frames. At each place it goes on through one
    of the other ways: straight on, to the right or to the left, with the shares of turn_weights among those that are
    open. In frame branch_frame - 1 it stands at a place with a choice (where the maze has one), and from there its
    futures form a tree: one choice in frames branch_frame, branch_frame + frames_per_step, and so on.

    A branch is a row of choices, read as a number with the first choice as its highest digit: choice c is the c-th of
    the open ways in the order straight on, right, left. So M = max_choices ** (steps in the horizon) for every
    context. Where a place has fewer ways, branches with the choices that are missing have probability 0, and are shown
    going through a wall or, where no wall is, turning back.

    Decoys, J = 3 + 2 max_choices: it stands still; turns back and goes on from there; goes through a wall (where no
    wall is, back and forth); and for each first choice, at half the pace and at twice the pace.

    In the truth `kick` is the change of velocity at the first choice, and turns are the changes of `velocities`.

    Args:
        canvas: Side of a frame in pixels, a multiple of places_per_side.
        places_per_side: L, places in a row and in a column, at least 3.
        digit_size: Side of the digit in pixels; corridors are as wide.
        num_frames: T.
        branch_frame: First frame that differs, in [1, T).
        frames_per_step: Frames from one place to the next.
        max_choices: Ways to go on at a place, at most: 2 or 3.
        turn_weights: Of going straight on, right and left, above 0.
        wall_share: In [0, 1]: how many of the ways that could be closed are; at 1 hardly any choice is left.
        num_mazes: Different mazes, the same ones whatever the seed; None: each video has its own. With one of its own
            a clip can be told from clips of other videos by its walls alone, and a contrastive loss then asks for
            nothing that moves.

    Raises:
        UsageError: The arguments do not fit each other.
    """

    branches_alike = False  # a choice is one of the ways that are open, and they differ from place to place

    def __init__(
        self,
        *,
        canvas: int = 64,
        places_per_side: int = 4,
        digit_size: int = 10,
        num_frames: int = 12,
        branch_frame: int = 4,
        frames_per_step: int = 2,
        max_choices: int = 2,
        turn_weights: tuple[float, float, float] = (0.6, 0.3, 0.1),
        wall_share: float = 0.3,
        num_mazes: int | None = None,
    ) -> None:
        self.canvas, self.places_per_side, self.digit_size = canvas, places_per_side, digit_size
        self.num_frames, self.branch_frame, self.frames_per_step = num_frames, branch_frame, frames_per_step
        self.max_choices, self.wall_share, self.num_mazes = max_choices, wall_share, num_mazes
        self.turn_weights = np.array(turn_weights, np.float64)  # (3,) straight on, right, left
        self._check_arguments()
        self.num_branches = max_choices**self.num_steps
        self._images = scikit_learn_digits(digit_size)

    def init_args(self) -> dict[str, object]:  # noqa: D102
        return {
            "canvas": self.canvas,
            "places_per_side": self.places_per_side,
            "digit_size": self.digit_size,
            "num_frames": self.num_frames,
            "branch_frame": self.branch_frame,
            "frames_per_step": self.frames_per_step,
            "max_choices": self.max_choices,
            "turn_weights": self.turn_weights.tolist(),
            "wall_share": self.wall_share,
            "num_mazes": self.num_mazes,
        }

    def truth(self, num_videos: int, seed: int) -> Truth:
        """Draw what happens in `num_videos` videos, without drawing pixels."""
        check_draw(num_videos, seed)
        seeds, rows = [seed] * num_videos, list(range(num_videos))
        ways = self._mazes(seeds, rows)
        behind = self._steps(self.branch_frame - 1)
        uniforms = uniforms_of(seeds, rows, 2 + behind + self.num_steps, purpose=MOTION_DRAWS)
        exemplars = (uniforms[:, :1] * len(self._images.classes)).astype(np.int64)
        place, heading = self._starts(ways, uniforms[:, 1])
        past = walk_backwards(ways, place, heading, uniforms[:, 2 : 2 + behind])
        choices = walk_at_random(ways, place, heading, uniforms[:, 2 + behind :], self.turn_weights)
        future = walk(ways, place, heading, choices)
        before = self._points(past, np.arange(self.branch_frame))[:, ::-1]
        after = self._points(future, np.arange(1, self.num_frames - self.branch_frame + 1))
        positions = np.concatenate([before, after], axis=1)[:, :, None]
        steps = np.diff(positions, axis=1)
        # A context of one frame does not show from where the digit came, but that decides where it can go.
        first = steps[:, :1] if self.branch_frame > 1 else (STEPS[heading] * self._speed)[:, None, None]
        velocities = np.concatenate([first, steps], axis=1)
        return Truth(
            video=np.full(num_videos, "", dtype=np.str_),
            seed=np.full(num_videos, seed, np.int64),
            row=np.arange(num_videos, dtype=np.int64),
            branch=choices @ self.max_choices ** np.arange(self.num_steps)[::-1],
            classes=self._images.classes[exemplars],
            exemplars=exemplars,
            positions=positions,
            velocities=velocities,
            kick=velocities[:, self.branch_frame] - velocities[:, self.branch_frame - 1],
        )

    def render(self, truth: Truth) -> Tensor:
        """The videos that a truth of this world describes: (n, T, 3, H, W) uint8, RGB."""
        self._check_truth(truth)
        return self._draw(truth, self._ways(truth), truth.positions[:, None])[:, 0]

    def branches(self, truth: Truth, horizon_frames: int | None = None) -> Branches:
        """All futures of each context, M = max_choices ** (steps that begin within the horizon)."""
        self._check_truth(truth)
        num_frames = self.future_frames(horizon_frames)
        steps = self._steps(num_frames)
        count = self.max_choices**steps
        ways, (place, heading) = self._ways(truth), self._at_branching(truth)
        choices = np.stack(np.unravel_index(np.arange(count), (self.max_choices,) * steps), axis=1)  # (M, d)
        of_context = np.repeat(np.arange(len(truth)), count)
        walkers = ways[of_context], place[of_context], heading[of_context], np.tile(choices, (len(truth), 1))
        probabilities = walk_probability(*walkers, self.turn_weights)
        points = self._points(walk(*walkers), np.arange(1, num_frames + 1))
        positions = rearrange(points, "(n m) t xy -> n m t 1 xy", m=count)
        return Branches(
            self._draw(truth, ways, positions),
            torch.from_numpy(rearrange(probabilities, "(n m) -> n m", m=count)),
            torch.from_numpy(positions),
            torch.from_numpy(truth.branch // self.max_choices ** (self.num_steps - steps)),
        )

    def decoys(self, truth: Truth, horizon_frames: int | None = None) -> Decoys:
        """Futures that the same contexts cannot have: see the class for which."""
        self._check_truth(truth)
        num_frames = self.future_frames(horizon_frames)
        ways, (place, heading) = self._ways(truth), self._at_branching(truth)
        frames = np.arange(1, num_frames + 1)
        steps = self._steps(2 * num_frames)  # enough at twice the pace
        first = np.zeros((len(truth), steps), np.int64)
        back, walled = (heading + BACK) % 4, through_wall(ways, place, heading)
        forth = np.where(np.arange(steps + 1) % 2, moved(place, back, self.places_per_side)[:, None], place[:, None])
        futures = [
            self._points(np.repeat(place[:, None], steps + 1, axis=1), frames),
            self._points(self._after(ways, place, back, first), frames),
            self._points(
                np.where((walled == back)[:, None], forth, self._after(ways, place, walled, first)),
                frames,
            ),
        ]
        for choice in range(self.max_choices):
            first[:, 0] = choice
            places = walk(ways, place, heading, first)
            futures += [self._points(places, frames / 2), self._points(places, frames * 2)]
        positions = rearrange(np.stack(futures), "j n t xy -> n j t 1 xy")
        return Decoys(self._draw(truth, ways, positions), torch.from_numpy(positions))

    @property
    def num_steps(self) -> int:
        """Steps from the branching to the end of the video."""
        return self._steps(self.num_frames - self.branch_frame)

    @property
    def _pitch(self) -> int:
        """Distance of neighbouring places, px."""
        return self.canvas // self.places_per_side

    @property
    def _speed(self) -> float:
        """px/frame."""
        return self._pitch / self.frames_per_step

    def _steps(self, frames: int) -> int:
        """Steps that begin within so many frames."""
        return -(-frames // self.frames_per_step)

    def _mazes(self, seeds: list[int], rows: list[int]) -> Bools:
        if self.num_mazes is not None:
            seeds, rows = [0] * len(rows), [row % self.num_mazes for row in rows]
        return random_mazes(
            seeds, rows, side=self.places_per_side, max_ways=self.max_choices + 1, wall_share=self.wall_share
        )

    def _ways(self, truth: Truth) -> Bools:
        """(n, N, 4) the mazes, which seed and row fix."""
        return self._mazes(truth.seed.tolist(), truth.row.tolist())

    def _starts(self, ways: Bools, uniform: Floats) -> tuple[Ints, Ints]:
        """Where futures part, and in which direction the digit came there: (n,) each."""
        choice = ways & (ways.sum(axis=2, keepdims=True) > 2)
        allowed = np.where(choice.any(axis=(1, 2), keepdims=True), choice, ways)
        chosen = pick(rearrange(allowed, "n places way -> n (places way)"), uniform)
        return chosen // 4, (chosen + BACK) % 4

    def _at_branching(self, truth: Truth) -> tuple[Ints, Ints]:
        """Place and heading (n,) in frame branch_frame - 1."""
        x, y = np.floor(truth.positions[:, self.branch_frame - 1, 0] / self._pitch).astype(np.int64).T
        ahead = truth.velocities[:, self.branch_frame - 1, 0] @ STEPS.T  # (n, 4)
        return x + self.places_per_side * y, ahead.argmax(axis=1)

    def _after(self, ways: Bools, place: Ints, direction: Ints, choices: Ints) -> Ints:
        """Places (n, d + 1) of walkers that first go in a direction, open or not, and then follow choices (n, d)."""
        there = moved(place, direction, self.places_per_side)
        return np.concatenate([place[:, None], walk(ways, there, direction, choices)[:, :-1]], axis=1)

    def _points(self, places: Ints, frames: Floats | Ints) -> Floats:
        """Places (n, d + 1) to centres (n, len(frames), 2) px, so many frames after the first of the places."""
        at = np.stack([places % self.places_per_side, places // self.places_per_side], axis=-1) + 0.5
        done = frames / self.frames_per_step
        whole = np.floor(done).astype(np.int64)
        share = (done - whole)[:, None]
        following = np.minimum(whole + 1, places.shape[1] - 1)
        return ((1 - share) * at[:, whole] + share * at[:, following]) * self._pitch

    def _draw(self, truth: Truth, ways: Bools, positions: Floats) -> Tensor:
        """Centres (n, m, t, 1, 2) to clips (n, m, t, 3, H, W)."""
        _, count, num_frames = positions.shape[:3]
        sprites = np.repeat(self._images.pictures[truth.exemplars], count * num_frames, axis=0)
        corners = rearrange(positions, "n m t o xy -> (n m t) o xy") - self.digit_size / 2
        floors = torch.from_numpy(draw_floors(ways, canvas=self.canvas, corridor=self.digit_size))
        drawn = draw_sprites(sprites, corners, self.canvas)
        clips = rearrange(drawn, "(n m t) c h w -> n m t c h w", m=count, t=num_frames)
        return torch.maximum(clips, floors[:, None, None, None], out=clips)

    def _check_truth(self, truth: Truth) -> None:
        self.check_truth(truth, num_objects=1, num_pictures=len(self._images.classes))

    def _check_arguments(self) -> None:
        side = self.places_per_side
        widest = self.canvas // max(side, 1) - 4
        for fits, wanted, got in (
            (side >= 3, "places_per_side to be at least 3", side),
            (self.canvas % max(side, 1) == 0, f"canvas to be a multiple of places_per_side={side}", self.canvas),
            (4 <= self.digit_size <= widest, f"digit_size in [4, {widest}] px on this canvas", self.digit_size),
            (self.num_frames >= 2, "num_frames to be at least 2", self.num_frames),
            (1 <= self.branch_frame < self.num_frames, f"branch_frame in [1, {self.num_frames})", self.branch_frame),
            (self.frames_per_step >= 1, "frames_per_step to be at least 1", self.frames_per_step),
            (self.max_choices in (2, 3), "max_choices to be 2 or 3", self.max_choices),
            ((self.turn_weights > 0).all(), "turn_weights above 0", self.turn_weights.tolist()),
            (0 <= self.wall_share <= 1, "wall_share in [0, 1]", self.wall_share),
            (self.num_mazes is None or self.num_mazes >= 1, "num_mazes of at least 1, or null", self.num_mazes),
        ):
            if not fits:
                raise UsageError(f"the maze needs {wanted}, got {got}.")
        if self.num_steps > MOST_STEPS:
            raise UsageError(
                f"the futures of a maze are shown over at most {MOST_STEPS} steps, got {self.num_steps}. "
                "Set fewer num_frames or more frames_per_step."
            )
