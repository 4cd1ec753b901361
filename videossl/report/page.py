"""Puts the page of a run together."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from videossl import __version__
from videossl.errors import UsageError
from videossl.files import replacing
from videossl.report import charts, curves, facts, gallery, health, horizons, plane, scores, seen, surprise, videos
from videossl.report.numbers import State
from videossl.report.parts import Part, attempt
from videossl.report.probes import probes
from videossl.report.sources import RunFiles, Series
from videossl.run_directory import RunDirectory
from videossl.wording import counted

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Glance:
    """One of the answers at the head of the page, with a link to the long one."""

    question: str
    state: State
    answer: str
    text: str
    anchor: str


def write_report(run: Path) -> Path:
    """Write `report.html` into a run directory: one file, no scripts, nothing loaded from elsewhere.

    Only files of the run directory are read. What is missing or broken is said in its place on the page.

    Args:
        run: The run directory.

    Returns:
        The page.

    Raises:
        UsageError: No such directory, or not one of a run.
    """
    directory = RunDirectory(run)
    if not directory.path.is_dir() or not directory.config.is_file():
        directory.read_config()  # says which of the two, and the remedy
        raise UsageError(f"{run} is not a run directory.")
    page = render(RunFiles.of(directory))
    with replacing(directory.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return directory.report


def render(files: RunFiles) -> str:
    """The page as text.

    Args:
        files: What lies in the run directory.
    """
    config = files.config.value or {}
    training = files.training.value or {}
    evaluated = files.metrics.value or {}
    what_metrics, what_gallery = "evaluation/metrics.json", "evaluation/gallery.npz"
    found = files.index.then(lambda index: videos.videos(index, files.unreadable.value or []), what="index.parquet")
    stale = _stale(files)
    measured = None if stale else evaluated.get("health")
    state = attempt(
        lambda: health.health(training, measured, config, has_weights=files.has_weights),
        "The health of this run cannot be told",
    )
    scored = files.metrics.then(scores.scores, what=what_metrics)
    parts = {
        "facts": files.config.then(facts.facts, what="config.yaml"),
        "videos": found,
        "curves": files.training.then(lambda columns: curves.curves(columns, config), what="metrics.csv"),
        "health": state,
        "scores": scored,
        "best_of_k": files.metrics.then(charts.best_of_k, what=what_metrics),
        "frequencies": files.metrics.then(charts.branch_frequencies, what=what_metrics),
        "ranks": files.metrics.then(charts.rank_histogram, what=what_metrics),
        "probes": files.metrics.then(probes, what=what_metrics),
        "map": files.gallery.then(lambda arrays: charts.embedding_map(arrays, _class_names(files)), what=what_gallery),
        "gallery": files.gallery.then(
            lambda arrays: gallery.gallery(
                arrays, num_samples=evaluated.get("num_samples"), is_world=bool(evaluated.get("world"))
            ),
            what=what_gallery,
        ),
        "horizons": files.metrics.then(horizons.horizons, what=what_metrics),
        "steering": files.metrics.then(horizons.steering, what=what_metrics),
        "seen": files.gallery.then(seen.seen, what=what_gallery),
        "plane": files.gallery.then(plane.plane, what=what_gallery),
        "films": files.metrics.then(lambda found: surprise.films(found, files.gallery.value or {}), what=what_metrics),
    }
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=files.path.resolve().name,
        run=str(files.path),
        version=__version__,
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        glances=_glances(files, found, state, scored, stale=stale),
        has_latent=facts.has_latent(config),
        data_path=str(facts.section(config, "data").get("videos", "")),
        config_text=yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else "",
        machine=files.environment.then(_machine, what="environment.json"),
        unreadable_list=files.unreadable,
        num_replaced=_num_replaced(training),
        stale=stale,
        shown_at_once=videos.SHOWN_AT_ONCE,
        **parts,
    )


def _num_replaced(training: dict[str, Series]) -> int:
    """Samples in whose place another video was trained on, as logged last."""
    logged = [value for _, value in training.get("train/replaced_samples", []) if math.isfinite(value)]
    return int(logged[-1]) if logged else 0


def _glances(
    files: RunFiles,
    found: Part[videos.Videos],
    state: Part[health.Health],
    scored: Part[scores.Scores],
    *,
    stale: str,
) -> list[Glance]:
    is_ill = state.value is not None and state.value.state == "bad"
    return [
        _glance_at_data(found),
        _glance_at_training(files),
        _glance_at_health(state),
        _glance_at_scores(scored, is_ill=is_ill, stale=stale),
    ]


def _unknown(question: str, part: Part[Any], anchor: str) -> Glance:
    reason = "What should say so is broken; see below." if part.is_broken else part.reason
    return Glance(question, "none", "Not known", reason, anchor)


def _glance_at_health(state: Part[health.Health]) -> Glance:
    question = "Is it healthy?"
    if state.value is None:
        return _unknown(question, state, "health")
    answer = {"good": "Yes", "watch": "Mostly", "bad": "No", "none": "Not known"}[state.value.state]
    return Glance(question, state.value.state, answer, state.value.verdict, "health")


def _stale(files: RunFiles) -> str:
    """What to say where the scores are not of the weights that the run has now; empty where they are."""
    if files.scores_are_current is not False:
        return ""
    return (
        "What was measured (scores, r, probes, pictures) is of other weights than the run has now: it was trained on, "
        f"or its prior was fitted again. Run: videossl evaluate --run {files.path}"
    )


def _glance_at_scores(scored: Part[scores.Scores], *, is_ill: bool, stale: str) -> Glance:
    question = "Does it beat its controls?"
    if scored.value is None:
        return _unknown(question, scored, "scores")
    if stale:
        return Glance(question, "watch", "Not known any more", stale, "scores")
    if is_ill:
        text = f"This run is not healthy, so its scores mean little. {scored.value.verdict}"
        return Glance(question, "none", "Not to be trusted", text, "scores")
    answer = {"good": "Yes", "watch": "In part", "bad": "No", "none": "Not known"}[scored.value.state]
    return Glance(question, scored.value.state, answer, scored.value.verdict, "scores")


def _glance_at_data(found: Part[videos.Videos]) -> Glance:
    question = "What was it trained on?"
    if found.value is None:
        return _unknown(question, found, "data")
    counts = found.value
    text = f"{counted(counts.num_heldout, 'other video')} kept apart for the evaluation."
    state: State = "good"
    if counts.failures:
        state = "watch"
        text += f" {counted(len(counts.failures), 'video')} could not be read."
    return Glance(question, state, counted(counts.num_train, "video"), text, "data")


def _glance_at_training(files: RunFiles) -> Glance:
    question = "How long?"
    config, training = files.config.value or {}, files.training.value or {}
    if not training:
        return _unknown(question, files.training, "curves")
    steps = attempt(lambda: health.steps_of(training, config), "").value or "Unknown"
    has_ended = health.has_ended(training, config, has_weights=files.has_weights)
    if has_ended is False:
        return Glance(question, "watch", steps, "Training did not finish; see the health below.", "curves")
    return Glance(question, "good", steps, "Training finished and wrote its weights.", "curves")


def _class_names(files: RunFiles) -> dict[int, str]:
    """Names of the labels of the map, where the labels are the classes of the videos."""
    arrays = files.gallery.value or {}
    what = str(arrays["map_label_name"]) if "map_label_name" in arrays else ""
    if files.index.value is None or (files.metrics.value or {}).get("world") or what == "video":
        return {}
    return videos.label_names(files.index.value)


def _machine(environment: dict[str, Any]) -> list[tuple[str, str]]:
    packages = environment.get("packages") or {}
    rows = [
        ("Started", environment.get("started")),
        ("Command", environment.get("command")),
        ("Device", environment.get("gpu") or f"CPU, {counted(int(environment.get('threads') or 1), 'thread')}"),
        ("System", f"{environment.get('platform', '')}, Python {environment.get('python', '')}"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]
    return [(title, str(value)) for title, value in rows if value]
