"""Where in the held-out videos contexts, futures and decoys lie: frame numbers only, no pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videossl.data.clips import ClipPlanner
from videossl.data.index import Video

Frames = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """One context of one video.

    Attributes:
        video: That it lies in.
        context: (T,) frame numbers.
        future: (T,) frame numbers.
        decoys: Frame numbers of clips at other times, (T,) each.
    """

    video: Video
    context: Frames
    future: Frames
    decoys: tuple[Frames, ...] = ()

    @property
    def seconds(self) -> float:
        """When the context starts."""
        return float(self.video.seconds[self.context[0]])


def even_places(video: Video, planner: ClipPlanner, *, num_places: int, num_decoys: int, seed: int) -> list[Place]:
    """Contexts spread evenly over a video, none overlapping another with its future.

    Decoys are futures at other starts; they share no frame with the context's own future.

    Args:
        video: Long enough for one plan at least.
        planner: Of two views in order of time.
        num_places: At most so many.
        num_decoys: At most so many for each.
        seed: Of the choice of decoys.
    """
    apart = _plans(video, planner, jump=lambda plan: int(plan.max() + 1 - plan.min()))
    often = _plans(video, planner, jump=lambda plan: int(plan[1].max() + 1 - plan[1].min()))
    chosen = np.unique(np.linspace(0, len(apart) - 1, num=min(num_places, len(apart))).round().astype(int))
    futures = _not_overlapping([plan[1] for plan in often])
    generator = np.random.default_rng([seed, video.video])
    places = []
    for number in chosen:
        context, future = apart[number]
        others = [other for other in futures if not np.isin(other, future).any()]
        order = generator.permutation(len(others))[:num_decoys]
        places.append(Place(video, context, future, tuple(others[place] for place in np.sort(order))))
    return places


def _plans(video: Video, planner: ClipPlanner, *, jump: Callable[[Frames], int]) -> list[Frames]:
    """Context and future (2, T) from the first frame on, each `jump` frames after the one before."""
    starts, start, plans = planner.starts(video.seconds), 0, []
    while start in starts:
        plans.append(planner.plan_at(video.seconds, start).frames)
        start += jump(plans[-1])
    return plans


def _not_overlapping(clips: list[Frames]) -> list[Frames]:
    """Of clips in order of time: the first, and each later one that begins after the last one kept has ended."""
    kept = clips[:1]
    for clip in clips[1:]:
        if clip.min() > kept[-1].max():
            kept.append(clip)
    return kept
