"""What a world knows about held-out clips: all branches, decoys, and targets for probes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.data.clips import ClipPlan, ClipPlanner
from videossl.errors import UsageError
from videossl.evaluation.held_out import ProbeClips
from videossl.evaluation.picture_squares import centre_squares
from videossl.evaluation.trajectories import Trajectories
from videossl.worlds import Truth, World, clip_targets

PROBE_SEED = 1_000_003
PROBE_CLIPS_AT_ONCE = 256


@dataclass(frozen=True)
class WorldFutures:
    """All futures of n contexts of a world.

    Attributes:
        branches: (n, M, T, C, H, W) uint8.
        probabilities: (n, M) float64.
        taken: (n,) int64, the branch that was observed; -1 where futures are continuous.
        decoys: (n, J, T, C, H, W) uint8.
        trajectories: True motion in the same frames, also of the futures that were observed.
    """

    branches: Tensor
    probabilities: Tensor
    taken: Tensor
    decoys: Tensor
    trajectories: Trajectories


def branching_plan(world: World, planner: ClipPlanner, seconds: NDArray[np.float64]) -> ClipPlan:
    """Context and future on the two sides of the branching: the future starts as soon after it as can be.

    Args:
        world: Its `branch_frame` says where.
        planner: Of two views in order of time.
        seconds: (num_frames,) times of the frames of a video of this world.

    Returns:
        The plan of frames, (2, T).

    Raises:
        UsageError: The views fit nowhere so.
    """
    for start in planner.starts(seconds):
        plan = planner.plan_at(seconds, start)
        if plan.frames[0].max() < world.branch_frame <= plan.frames[1].min():
            return plan
    raise UsageError(
        f"expected views that fit on both sides of frame {world.branch_frame}, where this world branches, got "
        f"{planner.num_frames} frames a view at stride {planner.frame_stride} in videos of {len(seconds)} frames. "
        "Set data.clips to fewer frames, or make the world with a later branch_frame and more num_frames."
    )


def world_futures(world: World, truth: Truth, future_frames: NDArray[np.int64], *, frame_size: int) -> WorldFutures:
    """Render every branch and decoy of the contexts that `truth` describes.

    Args:
        world: That the truth came from.
        truth: Of n videos.
        future_frames: (T,) frame numbers of the future in the whole video.
        frame_size: Side of the frames.
    """
    frames = np.asarray(future_frames)
    places = torch.from_numpy(frames - world.branch_frame)
    # Branches that part after the last frame cannot be told apart in it: the world merges them.
    horizon_frames = int(places.max()) + 1
    branches, decoys = world.branches(truth, horizon_frames), world.decoys(truth, horizon_frames)
    return WorldFutures(
        branches=centre_squares(branches.clips[:, :, places], frame_size),
        probabilities=branches.probabilities,
        taken=branches.taken,
        decoys=centre_squares(decoys.clips[:, :, places], frame_size),
        trajectories=Trajectories(
            futures=torch.from_numpy(truth.positions[:, frames]).float(),
            branches=branches.positions[:, :, places].float(),
        ),
    )


def probe_clips(
    world: World, truth: Truth, plan: ClipPlan, *, frame_size: int, num_clips: int, seed: int
) -> ProbeClips:
    """Fresh videos of the world, in none of the files, with what is true of them: more than are held out.

    Args:
        world: That the videos came from.
        truth: Of the world's files; the fresh draw has another seed than any of them.
        plan: Frames of context and future, (2, T).
        frame_size: Side of the frames.
        num_clips: How many.
        seed: Of the draw.
    """
    taken = set(truth.seed.tolist())
    fresh_seed = next(
        number for number in range(PROBE_SEED + seed, PROBE_SEED + seed + len(taken) + 1) if number not in taken
    )
    fresh = world.truth(num_clips, fresh_seed)
    contexts: list[Tensor] = []
    futures: list[Tensor] = []
    for start in range(0, num_clips, PROBE_CLIPS_AT_ONCE):
        clips = world.render(fresh[start : start + PROBE_CLIPS_AT_ONCE])
        for parts, frames in ((contexts, plan.frames[0]), (futures, plan.frames[1])):
            parts.append(centre_squares(clips[:, torch.from_numpy(np.asarray(frames))], frame_size))
    return ProbeClips(
        contexts=torch.cat(contexts),
        futures=torch.cat(futures),
        videos=torch.arange(num_clips),
        targets={
            name: torch.from_numpy(values if values.ndim == 1 else values.astype(np.float32))
            for name, values in clip_targets(fresh, int(plan.frames[0].max())).items()
        },
        trajectories=torch.from_numpy(fresh.positions[:, np.asarray(plan.frames[1])]).float(),
        moves_freely=moves_freely(world, fresh, plan.frames[1]),
    )


def moves_freely(world: World, truth: Truth, future_frames: NDArray[np.int64]) -> Tensor | None:
    """`World.moves_freely` to the last of these frames of the whole video, as a tensor."""
    free = world.moves_freely(truth, int(np.max(future_frames)) - world.branch_frame + 1)
    return None if free is None else torch.from_numpy(free)
