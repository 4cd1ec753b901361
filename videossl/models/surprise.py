"""Where in a video the model did not see coming what came."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.models.checks import VIDEO, check_counts, check_frames

if TYPE_CHECKING:
    from videossl.models.world_model import WorldModel


class Surprise(NamedTuple):
    """Surprise over the time of one video.

    Attributes:
        frames: (n,) int64, the frame at which each future clip begins.
        nats: (n,) float64, minus the log density of the future clip's embedding given the clip before it, relative to
            the uniform distribution: 0 is what a model that knows nothing would feel, below 0 was foreseen.
    """

    frames: Tensor
    nats: Tensor


def embedded_pairs(
    model: "WorldModel", video: Tensor, *, clip_frames: int, shift: int, every: int, batch_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Every context of a video whose future lies within it, embedded; each clip is encoded once.

    Args:
        model: Its `embed` is asked.
        video: (T, 3, H, W) uint8.
        clip_frames: Frames of a clip.
        shift: Frames from the start of a context to the start of its future.
        every: Frames from one context to the next.
        batch_size: Clips that are encoded at once.

    Returns:
        First frames of the contexts (n,) int64, increasing; states of contexts and of futures, (n, D) each.

    Raises:
        UsageError: Another type or shape, numbers below 1, or a video that is too short.
    """
    check_frames(video, shape=VIDEO)
    check_counts(clip_frames=clip_frames, shift=shift, every=every, batch_size=batch_size)
    if len(video) < shift + clip_frames:
        raise UsageError(
            f"a context and its future need {shift + clip_frames} frames, got a video of {len(video)}. Give a longer "
            "video, or a smaller shift."
        )
    starts = torch.arange(0, len(video) - shift - clip_frames + 1, every)
    clips, places = torch.unique(torch.cat([starts, starts + shift]), return_inverse=True)
    states = torch.cat(
        [
            model.embed(torch.stack([video[start : start + clip_frames] for start in part.tolist()])).embedding
            for part in clips.split(batch_size)
        ]
    )
    contexts, futures = states[places].chunk(2)
    return starts, contexts, futures
