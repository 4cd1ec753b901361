"""Render futures of several steps of a world."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.data.clips import ClipPlan
from videossl.evaluation.paths import PathClips
from videossl.evaluation.picture_squares import centre_squares
from videossl.worlds import Truth, World

MOST_STEPS = 4
MOST_BRANCHES = 64  # more cannot be counted with a few hundred draws
MOST_CONTEXTS = 128


def step_frames(plan: ClipPlan, world: World) -> list[NDArray[np.int64]]:
    """Frame numbers (T,) of the first, second ... clip after the context, as far as videos of the world reach."""
    context, future = plan.frames
    shift = int(future[0] - context[0])
    steps = [future + number * shift for number in range(MOST_STEPS)]
    return [frames for frames in steps if frames.max() < world.num_frames]


def world_paths(
    world: World,
    truth: Truth,
    contexts: Tensor,
    videos: Tensor,
    frames: Sequence[NDArray[np.int64]],
    *,
    frame_size: int,
) -> PathClips | None:
    """Render all futures of several steps of the contexts that `truth` describes.

    Args:
        world: That the truth came from.
        truth: Of n videos; the first 128 are used.
        contexts: (n, T, C, H, W) uint8, their contexts.
        videos: (n,) int64.
        frames: Frame numbers (T,) of each step in the whole video (`step_frames`).
        frame_size: Side of the frames.

    Returns:
        Of as many steps as have branches that can be counted; None for fewer than two.
    """
    truth = truth[:MOST_CONTEXTS]
    if (truth.branch < 0).any():
        return None
    branches, probabilities, last = [], [], []
    for of_step in frames:
        places = torch.from_numpy(of_step - world.branch_frame)
        horizon = int(places.max()) + 1
        found = world.branches(truth, horizon)
        if found.clips.shape[1] > MOST_BRANCHES:
            break
        branches.append(centre_squares(found.clips[:, :, places], frame_size))
        probabilities.append(found.probabilities)
        last.append(horizon)
    if len(branches) < 2:
        return None
    decoys = world.decoys(truth, last[-1]).clips
    shown = [decoys[:, :, torch.from_numpy(of_step - world.branch_frame)] for of_step in frames[: len(last)]]
    return PathClips(
        contexts=contexts[:MOST_CONTEXTS],
        videos=videos[:MOST_CONTEXTS],
        branches=tuple(branches),
        probabilities=tuple(probabilities),
        decoys=torch.stack([centre_squares(each, frame_size) for each in shown], dim=2),
        last_frames=tuple(last),
    )
