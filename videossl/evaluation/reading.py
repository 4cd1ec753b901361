"""Cut the clips of an evaluation out of held-out videos, and only those."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from videossl.data.clips import ClipPlanner
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.index import Video, VideoIndex
from videossl.data.isolated_reader import Readers
from videossl.data.stored import is_stored
from videossl.errors import UsageError
from videossl.evaluation.films import MOST_FILMS, Film, paced_frames, shift_of
from videossl.evaluation.held_out import MINIMUM_CONTEXTS, HeldOut, ProbeClips, check_enough, check_seed
from videossl.evaluation.places import Frames, Place, even_places
from videossl.evaluation.world_clips import branching_plan, moves_freely, probe_clips, world_futures
from videossl.evaluation.world_paths import step_frames, world_paths
from videossl.path_ends import rows_by_path_end
from videossl.progress import progress
from videossl.types import Failure
from videossl.worlds import Truth, World

GIB = 2**30


def read_held_out(
    index: VideoIndex,
    planner: ClipPlanner,
    reader: type[VideoReader],
    *,
    frame_size: int,
    world: tuple[World, Truth] | None = None,
    num_contexts: int = 256,
    num_decoys: int = 8,
    num_probe_clips: int = 4096,
    max_gib: float = 4.0,
    seed: int = 0,
    isolate: bool = True,
    deadline_seconds: float | None = 10.0,
) -> HeldOut:
    """Read the contexts and futures of an evaluation from the held-out videos of an index.

    In a world each context ends just before the branching, and all branches and decoys are rendered. In real video
    contexts are spread evenly over each video, and clips at its other times are the decoys. Probes read the classes
    of the videos; in a world they read its truth, from fresh videos of the same world that are in no file.

    Args:
        index: All videos of the run; of these the held-out ones are read, no others.
        planner: The run's own; two views in order of time are asked of it, with the least gap.
        reader: Class that decodes.
        frame_size: Side of the frames that the model was trained on.
        world: The world and the truth of the videos' files (`worlds.load_world`); None for real video.
        num_contexts: At most so many; more held-out videos than that are left out, chosen by the seed, and counted.
        num_decoys: Decoys of each context in real video, at most.
        num_probe_clips: Fresh videos of the world for the probes and for learning to read motion.
        max_gib: Memory for the clips of contexts in GiB; fewer contexts are read where they do not fit, and counted.
        seed: Of every choice.
        isolate: Decode in a process beside this one: a decoder that crashes or hangs costs one video.
        deadline_seconds: A video that gives no frames for so long is given up; None: none is. Needs `isolate`.

    Raises:
        UsageError: A negative seed, too few held-out videos, videos that are not of the world, or clips that do not
            fit into it.
    """
    check_seed(seed)
    videos = list(index.split("heldout"))
    if not videos:
        raise UsageError(
            f"an evaluation needs held-out videos, got none of {len(index)}. Train with data.heldout_share above 0."
        )
    planner = planner.in_order(2)
    notes: list[str] = []
    videos = _long_enough(videos, planner, notes)
    clips_each = 2 + (num_decoys if world is None else world[0].num_branches * 4)
    affordable = int(max_gib * GIB / (clips_each * planner.num_frames * 3 * frame_size**2))
    limit = min(num_contexts, affordable)
    why = "num_contexts" if limit == num_contexts else f"max_gib={max_gib:g}"
    if limit < MINIMUM_CONTEXTS:
        raise UsageError(f"an evaluation needs at least {MINIMUM_CONTEXTS} contexts, got {limit} by {why}. Raise it.")
    if world is None:
        places = _real_places(videos, planner, limit, num_decoys, seed=seed)
    else:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(videos))[:limit])
        places = [_world_place(videos[number], planner, world[0]) for number in chosen]
    num_used = len({place.video.video for place in places})
    if num_used < len(videos):
        notes.append(f"{len(videos) - num_used} of {len(videos)} held-out videos, to keep within {why}")
    check_enough(len(places), num_used)
    filmed = _filmed(places, planner, seed=seed) if world is None else {}
    with Readers(reader, isolate=isolate, deadline_seconds=deadline_seconds) as readers:
        clips, films, failures = _read(places, filmed, readers, frame_size)
    check_enough(len(clips), len({clip.place.video.video for clip in clips}), failures)
    held_out = HeldOut(
        contexts=torch.stack([clip.context for clip in clips]),
        futures=torch.stack([clip.future for clip in clips]),
        names=tuple(clip.place.video.name for clip in clips),
        videos=torch.tensor([clip.place.video.video for clip in clips]),
        seconds=torch.tensor([clip.place.seconds for clip in clips], dtype=torch.float64),
        films=tuple(
            Film(
                video.name,
                frames,
                video.seconds[filmed[video.video]],
                planner.num_frames,
                shift_of(video.seconds, planner),
            )
            for video, frames in films
        ),
        failures=tuple(failures),
        notes=tuple(notes),
    )
    if world is None:
        return _with_real_extras(held_out, clips, num_decoys)
    return _with_world_extras(held_out, clips, *world, planner, frame_size, num_probe_clips, seed)


class _Clips(NamedTuple):
    """The pictures of one place, (T, C, H, W) each and decoys (J, T, C, H, W)."""

    place: Place
    context: Tensor
    future: Tensor
    decoys: Tensor


def _long_enough(videos: Sequence[Video], planner: ClipPlanner, notes: list[str]) -> list[Video]:
    fitting = [video for video in videos if len(planner.starts(video.seconds))]
    if not fitting:
        planner.plan_at(videos[0].seconds, 0)  # says what is needed and what to do
    short = [video.name for video in videos if not len(planner.starts(video.seconds))]
    if short:
        notes.append(
            f"{len(short)} held-out video(s) shorter than a context and its future "
            f"({planner.frames_needed} frames): {', '.join(short)}"
        )
    return fitting


def _real_places(videos: list[Video], planner: ClipPlanner, limit: int, num_decoys: int, *, seed: int) -> list[Place]:
    each = max(1, limit // len(videos))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(videos))[:limit])
    return [
        place
        for number in chosen
        for place in even_places(videos[number], planner, num_places=each, num_decoys=num_decoys, seed=seed)
    ]


def _world_place(video: Video, planner: ClipPlanner, world: World) -> Place:
    if video.num_frames != world.num_frames:
        raise UsageError(
            f"expected videos of {world.num_frames} frames, as this world makes them, got {video.num_frames} in "
            f"{video.name}. Train on the folder that `videossl world` wrote."
        )
    context, future = branching_plan(world, planner, video.seconds).frames
    return Place(video, context, future)


def _filmed(places: list[Place], planner: ClipPlanner, *, seed: int) -> dict[int, Frames]:
    """Of a few of the videos, the frames of a longer stretch: number of the video -> frame numbers."""
    videos = list({place.video.video: place.video for place in places}.values())
    filmed = {}
    for number in np.sort(np.random.default_rng(seed).permutation(len(videos))[:MOST_FILMS]):
        video = videos[number]
        numbers = paced_frames(video.seconds, planner)
        if len(numbers) > shift_of(video.seconds, planner) + planner.num_frames:  # one moment is no course of time
            filmed[video.video] = numbers
    return filmed


def _read(
    places: list[Place], filmed: dict[int, Frames], readers: Readers, frame_size: int
) -> tuple[list[_Clips], list[tuple[Video, Tensor]], list[Failure]]:
    """Decode each video once; the places of one that cannot be read are left out.

    Returns:
        The clips of the places; the frames (T, C, H, W) that were asked of whole stretches; what could not be read.
    """
    by_video: dict[int, list[Place]] = {}
    for place in places:
        by_video.setdefault(place.video.video, []).append(place)
    clips: list[_Clips] = []
    films: list[tuple[Video, Tensor]] = []
    failures = []
    for group in progress(by_video.values(), total=len(by_video), description="reading held-out", unit="video"):
        video = group[0].video
        stretch = filmed.get(video.video, np.zeros(0, np.int64))
        asked_of_all = [stretch, *(np.concatenate([p.context, p.future, *p.decoys]) for p in group)]
        numbers = np.unique(np.concatenate(asked_of_all))
        try:
            with readers.open(video.media) as opened:
                pictures = opened.read(numbers.tolist(), size=frame_size)
        except VideoError as error:
            failures.append(Failure(video.name, error.cause))
            continue
        frames = rearrange(torch.from_numpy(pictures), "n h w c -> n c h w")
        for place in group:
            context, future = (
                frames[np.searchsorted(numbers, asked)].contiguous() for asked in (place.context, place.future)
            )
            decoys = [frames[np.searchsorted(numbers, asked)] for asked in place.decoys]
            clips.append(_Clips(place, context, future, torch.stack(decoys) if decoys else future[None][:0]))
        if len(stretch):
            films.append((video, frames[np.searchsorted(numbers, stretch)].contiguous()))
    return clips, films, failures


def _with_real_extras(held_out: HeldOut, clips: list[_Clips], num_decoys: int) -> HeldOut:
    """Decoys of the same video, and its class."""
    fewest = min(len(clip.decoys) for clip in clips)
    notes = list(held_out.notes)
    if fewest < num_decoys:
        notes.append(
            f"{num_decoys - fewest} of {num_decoys} decoys from other times of the same video: the shortest "
            f"videos have room for {fewest}"
        )
    labels = torch.tensor([clip.place.video.label_id for clip in clips])
    probe = None
    if len(torch.unique(labels)) > 1 and bool((labels >= 0).all()):
        probe = ProbeClips(held_out.contexts, held_out.futures, held_out.videos, {"class": labels})
    return replace(
        held_out,
        decoys=torch.stack([clip.decoys[:fewest] for clip in clips]) if fewest else None,
        labels=labels,
        label_name="class",
        probe=probe,
        notes=tuple(notes),
    )


def _with_world_extras(
    held_out: HeldOut,
    clips: list[_Clips],
    world: World,
    truth: Truth,
    planner: ClipPlanner,
    frame_size: int,
    num_probe_clips: int,
    seed: int,
) -> HeldOut:
    """Branches, decoys and truth."""
    rows = _truth_rows([clip.place.video for clip in clips], truth)
    plan = branching_plan(world, planner, clips[0].place.video.seconds)
    futures = world_futures(world, truth[rows], plan.frames[1], frame_size=frame_size)
    frames = step_frames(plan, world)
    paths = world_paths(world, truth[rows], held_out.contexts, held_out.videos, frames, frame_size=frame_size)
    single = truth.classes.shape[1] == 1
    return replace(
        held_out,
        branches=futures.branches,
        branch_probabilities=futures.probabilities,
        taken=futures.taken,
        decoys=futures.decoys,
        trajectories=futures.trajectories,
        paths=paths,
        labels=torch.from_numpy(truth.classes[rows, 0]) if single else None,
        label_name="class of the object" if single else "",
        world=type(world).__name__,
        branches_alike=world.branches_alike,
        moves_freely=moves_freely(world, truth[rows], plan.frames[1]),
        probe=probe_clips(world, truth, plan, frame_size=frame_size, num_clips=num_probe_clips, seed=seed),
    )


def _file(video: Video) -> Path:
    """The file that was rendered, of a video in a store too: there the name still says it."""
    return Path(video.name) if is_stored(video.media) else video.path


def _truth_rows(videos: list[Video], truth: Truth) -> list[int]:
    """The row of the truth for each video, found by the end of its path."""
    rows = []
    for video, row in zip(
        videos, rows_by_path_end(truth.video.tolist(), [_file(video) for video in videos]), strict=True
    ):
        if row is None:
            raise UsageError(
                f"expected every held-out video in the truth of the world, got {video.name}, which is not there. "
                "Train on the folder that `videossl world` wrote, and nothing else."
            )
        rows.append(row)
    return rows
