"""Probe the rows of a table: every target by every method that can read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from videossl.probing import (
    Answer,
    Bootstrap,
    Parts,
    attentive_probe,
    chance_accuracy,
    few_shot_probe,
    linear_probe,
    neighbours_probe,
    scores,
)
from videossl.progress import progress
from videossl.tables.samples import Sampler, Samples
from videossl.tables.targets import Target

Method = Literal["linear", "knn", "attentive", "few_shot"]
FEWEST_VIDEOS = 2  # of each part
LEAST_KNOWN = 0.5  # of the rows in the test: of a class that the other parts have
ONE_VECTOR: dict[str, Callable[[Tensor, Tensor, Parts], Answer]] = {"linear": linear_probe, "knn": neighbours_probe}


@dataclass(frozen=True)
class ProbeSettings:
    """How a table is probed.

    Attributes:
        methods: Which probes.
        shots: Labels of a class for the few-shot probe.
        draws: How often they are drawn.
        seed: Of every choice.
        device: Where attentive probes are trained.
    """

    methods: Sequence[Method] = ("linear", "knn", "few_shot", "attentive")
    shots: Sequence[int] = (1, 5, 10)
    draws: int = 10
    seed: int = 0
    device: str = "cpu"


@dataclass
class Probed:
    """Scores as they go into JSON, and what was left out, a sentence each."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def probe_targets(sampler: Sampler, targets: Sequence[Target], settings: ProbeSettings) -> Probed:
    """Probe every target by every method that can read it.

    Args:
        sampler: Of the rows.
        targets: Of the same rows.
        settings: Which methods, and how.
    """
    found = Probed()
    for target in progress(targets, total=len(targets), description="probing", unit="target"):
        points = sampler.points(target)
        reason = _too_few(points) or _all_alike(target, points) or _of_strangers(target, points)
        if reason:
            found.notes.append(f"{target.name}: {reason}")
            continue
        for method in settings.methods:
            if method == "few_shot":
                _few_shot(target, points, settings, found)
            elif method == "attentive":
                _attentive(target, sampler.groups(target), settings, found)
            else:
                answer = ONE_VECTOR[method](points.features, points.targets, points.parts)
                found.entries.append(_entry(target, method, points, answer, settings.seed))
    quantities = [target.name for target in targets if not target.is_class]
    if "few_shot" in settings.methods and quantities:
        are = "is a quantity" if len(quantities) == 1 else "are quantities"
        found.notes.append(f"few labels of a class: {', '.join(quantities)} {are}")
    return found


def _attentive(target: Target, groups: Samples | None, settings: ProbeSettings, found: Probed) -> None:
    if groups is None:
        found.notes.append(f"{target.name} by an attentive probe: there is one row for each of its values, not several")
        return
    answer = attentive_probe(
        groups.features, groups.group, groups.targets, groups.parts, seed=settings.seed, device=settings.device
    )
    found.entries.append(_entry(target, "attentive", groups, answer, settings.seed))


def _few_shot(target: Target, points: Samples, settings: ProbeSettings, found: Probed) -> None:
    if not target.is_class:
        return
    bootstrap = Bootstrap(points.bootstrap_videos, seed=settings.seed)
    for shots in settings.shots:
        drawn = few_shot_probe(
            points.features,
            points.targets,
            points.videos,
            points.parts,
            shots=shots,
            draws=settings.draws,
            seed=settings.seed,
        )
        if drawn is None:
            found.notes.append(
                f"{target.name} from {shots} labels of a class: fewer than two classes have so many videos"
            )
            continue
        right = (drawn.predicted == points.targets[points.parts.test]).double()  # (draws, n_test)
        found.entries.append(
            {
                "target": target.name,
                "method": "few_shot",
                "shots": shots,
                "score": "accuracy",
                **bootstrap.mean(right.mean(dim=0)).json(),
                "balanced_accuracy": None,
                "chance": chance_accuracy(points.targets, points.parts.test, points.parts.before_test),
                "deviation_of_draws": float(right.mean(dim=1).std(correction=0)),
                "chosen": {"draws": settings.draws},
                "note": _left_out(target, drawn.left_out),
                **_counts(target, points, bootstrap),
            }
        )


def _entry(target: Target, method: Method, samples: Samples, answer: Answer, seed: int) -> dict[str, Any]:
    bootstrap = Bootstrap(samples.bootstrap_videos, seed=seed)
    scored = scores(answer.predicted, samples.targets, samples.parts.test, samples.parts.before_test, bootstrap)
    return {
        "target": target.name,
        "method": method,
        "score": scored.metric,
        **scored.score.json(),
        "balanced_accuracy": None if scored.balanced is None else scored.balanced.json(),
        "chance": scored.chance,
        "chosen": answer.chosen,
        "note": answer.note,
        **_counts(target, samples, bootstrap),
    }


def _counts(target: Target, samples: Samples, bootstrap: Bootstrap) -> dict[str, Any]:
    parts = samples.parts
    return {
        "num_classes": len(target.classes) if target.is_class else None,
        "num_fit": len(parts.fit),
        "num_choose": len(parts.choose),
        "num_test": len(parts.test),
        "num_test_videos": len(torch.unique(samples.bootstrap_videos)),
        "interval_over": "videos" if bootstrap.by_video else "rows",
    }


def _left_out(target: Target, classes: tuple[int, ...]) -> str:
    names = ", ".join(target.classes[number] for number in classes)
    return f"too few videos to draw from, so never right: {names}" if names else ""


def _too_few(points: Samples) -> str:
    for name, rows in (
        ("fitting", points.parts.fit),
        ("choosing", points.parts.choose),
        ("the test", points.parts.test),
    ):
        num_videos = len(torch.unique(points.videos[rows]))
        if num_videos < FEWEST_VIDEOS:
            return f"it is known of {num_videos} videos for {name}, and needs {FEWEST_VIDEOS} at least"
    return ""


def _all_alike(target: Target, points: Samples) -> str:
    """Why nothing can be read from one value: whoever says it is always right, whatever the features."""
    for name, rows in (("for fitting", points.parts.fit), ("in the test", points.parts.test)):
        values = points.targets[rows].reshape(len(rows), -1)
        same = (values == values[0]).all(dim=0)
        if not same.any():
            continue
        if target.is_class:
            return f"all its rows {name} are of one class ({target.classes[int(values[0, 0])]})"
        place = int(same.int().argmax())
        what = "it" if len(same) == 1 else f"number {place + 1} of {len(same)}"
        return f"{what} is {float(values[0, place]):g} in all rows {name}"
    return ""


def _of_strangers(target: Target, points: Samples) -> str:
    """Why classes that are names of single videos are not probed; empty if they are not."""
    if not target.is_class:
        return ""
    parts = points.parts
    known = torch.isin(points.targets[parts.test], points.targets[parts.before_test])
    if known.double().mean() >= LEAST_KNOWN:
        return ""
    num_classes, num_videos = (len(torch.unique(values)) for values in (points.targets, points.videos))
    remedy = ""
    if all(name.lstrip("-").isdigit() for name in target.classes):
        remedy = "; if it is a quantity, write it as 1.0, 2.0"
    return (
        f"it has {num_classes} classes in {num_videos} videos, and {int((~known).sum())} of {len(known)} rows in the "
        f"test are of classes that are nowhere else{remedy}"
    )
