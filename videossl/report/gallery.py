"""Contexts beside the futures that the model samples, each shown by the nearest real clip."""

from dataclasses import dataclass

from videossl.report.numbers import listed
from videossl.report.sources import Arrays
from videossl.report.strips import MOST_FRAMES, Strip, strip
from videossl.wording import counted

TRUE, DECOY, OTHER = 0, 1, 2
OPEN_AT_ONCE = 4
MOST_BRANCHES = 32
MOST_BYTES = 3_500_000  # of pictures: the page shall open at once


@dataclass(frozen=True)
class Shot:
    """A clip with a frame round it: kind is the CSS class of the frame, label the word under it."""

    strip: Strip
    kind: str
    label: str


@dataclass(frozen=True)
class Scene:
    """One context.

    Attributes:
        name: Of its video.
        context: What the model saw.
        observed: What happened then.
        nearest: The nearest real clip to each sampled future.
        branches: All possible futures, with how many samples landed on each; empty where not known.
        sums_up: In words.
    """

    name: str
    context: Strip
    observed: Strip
    nearest: list[Shot]
    branches: list[Shot]
    sums_up: str


@dataclass(frozen=True)
class Gallery:
    """All scenes, the legend (CSS class, word, meaning), and what was left out."""

    scenes: list[Scene]
    legend: list[tuple[str, str, str]]
    open_at_once: int
    notes: list[str]


def gallery(arrays: Arrays, *, num_samples: int | None, is_world: bool) -> Gallery:
    """Turn the arrays of gallery.npz into pictures.

    Args:
        arrays: See `videossl.evaluation.gallery.gallery`.
        num_samples: K of the evaluation, None where not known.
        is_world: Whether the videos come from a world, so that decoys are impossible futures.
    """
    legend = _legend(arrays, is_world=is_world)
    num_scenes = len(arrays["context"])
    scenes: list[Scene] = []
    num_bytes = 0
    for row in range(num_scenes):
        scene = _scene(arrays, row, {kind: word for kind, word, _ in legend}, num_samples)
        num_bytes += _size(scene)
        if scenes and num_bytes > MOST_BYTES:
            break
        scenes.append(scene)
    return Gallery(scenes, legend, OPEN_AT_ONCE, _notes(arrays, num_shown=len(scenes)))


def _legend(arrays: Arrays, *, is_world: bool) -> list[tuple[str, str, str]]:
    if _has_branches(arrays):
        true = ("true", "possible", "one of the futures that this context can have")
    else:
        true = ("true", "happened", "what really happened after this context")
    decoy = (
        ("decoy", "impossible", "a future that this context cannot have (its motion is wrong)")
        if is_world
        else ("decoy", "other time", "the same video at another time")
    )
    return [true, decoy, ("other", "other video", "what followed another context")]


def _has_branches(arrays: Arrays) -> bool:
    return "branches" in arrays and arrays["branches"].ndim == 6 and arrays["branches"].shape[1] > 0


def _scene(arrays: Arrays, row: int, words: dict[str, str], num_samples: int | None) -> Scene:
    kinds = [("true", "decoy", "other")[int(kind)] for kind in arrays["nearest_kind"][row]]
    nearest = [
        Shot(strip(clip), kind, f"{number}: {words[kind]}")
        for number, (clip, kind) in enumerate(zip(arrays["nearest"][row], kinds, strict=True), start=1)
    ]
    branches = []
    sums_up = (
        f"Of the {counted(len(kinds), 'sample')} shown, {kinds.count('true')} came nearest to what happened, "
        f"{kinds.count('decoy')} to a decoy ({words['decoy']}) and {kinds.count('other')} to another video."
    )
    if _has_branches(arrays):
        can_happen = arrays["branch_hits"][row] >= 0  # -1 marks what this context cannot lead to
        hits = arrays["branch_hits"][row][can_happen].astype(int)
        branches = [
            Shot(strip(clip), "true" if hit else "missed", counted(int(hit), "sample"))
            for clip, hit in list(zip(arrays["branches"][row][can_happen], hits, strict=True))[:MOST_BRANCHES]
        ]
        of = f"Of all {num_samples} samples" if num_samples else "Of all samples"
        sums_up = (
            f"{of}, {hits.sum()} landed on a possible future; {int((hits > 0).sum())} of the {len(hits)} possible "
            "futures were found."
        )
    return Scene(
        name=str(arrays["names"][row]),
        context=strip(arrays["context"][row]),
        observed=strip(arrays["observed"][row]),
        nearest=nearest,
        branches=branches,
        sums_up=sums_up,
    )


def _size(scene: Scene) -> int:
    strips = [scene.context, scene.observed, *(shot.strip for shot in [*scene.nearest, *scene.branches])]
    return sum(len(strip_.uri) for strip_ in strips)


def _notes(arrays: Arrays, *, num_shown: int) -> list[str]:
    notes = []
    left_out = len(arrays["context"]) - num_shown
    if left_out:
        notes.append(f"{counted(left_out, 'more context')} left out, to keep the page small")
    num_frames = arrays["context"].shape[1]
    if num_frames > MOST_FRAMES:
        notes.append(f"{MOST_FRAMES} of the {num_frames} frames of each clip are shown, evenly spaced")
    most = int((arrays["branch_hits"] >= 0).sum(axis=1).max(initial=0)) if _has_branches(arrays) else 0
    if most > MOST_BRANCHES:
        notes.append(f"the first {MOST_BRANCHES} of up to {most} possible futures are shown")
    return [f"{listed(notes)}; all are in evaluation/gallery.npz."] if notes else []
