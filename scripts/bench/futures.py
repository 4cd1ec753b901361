"""What samples of a world model are worth, method by method: trains, scores, and writes the tables of docs/results.md.

    python scripts/bench/futures.py                                  # all of it: days on one core, resumable row by row
    python scripts/bench/futures.py --worlds one-8-bounce --rows codes gaussian twin --seeds 0 1 2
    python scripts/bench/futures.py --rows codes --max_steps 50 --work try --page none    # try it
    python scripts/bench/futures.py --device cuda --jobs 15                               # rows side by side on one GPU
    python scripts/bench/futures.py --page_only                      # tables of what has been run

A row is configs/pretrain/futures.yaml with what is said in ROWS changed, on one world, with one seed: 1,000 steps, 10
minutes on one core of two that are both busy; in `sweeps` 300 steps, 2 to 6 minutes. The rows `quickstart...` are the
configs of that name: 1,000 steps, 3 to 5 minutes, or 3,000 steps; `best...` are futures_best.yaml: 9 to 12 minutes. A
run that is there is not trained again, a score that is there is not taken again. Every figure is of held-out videos
(`videossl evaluate`, 256 contexts, K = 32 where nothing else is said). In the page the mean over seeds stands before
their least and greatest.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from videossl.evaluation import headlines

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs" / "pretrain"
NUM_VIDEOS, NUM_CONTEXTS, NUM_SAMPLES = 20_000, 256, 32

ABLATED = ("one-8-bounce", "sweeps", "one-8")  # worlds in which single settings are changed
# Where there are more videos for what is fitted afterwards.
LARGER = ("one-8-bounce-large", "two-16-large", "one-8-large")
COMPARED = (*ABLATED, "one-8-unequal", "two-16", "adassl-paper", "maze-steps-4")  # in which methods are

Changes = dict[str, str | None]  # dotted config keys -> values; None takes away what another says of the key

# Losses beside the objective, as futures.yaml and futures_best.yaml have them.
MOTION = "{class_path: videossl.training.MotionPrediction, init_args: {weight: 1.5}}"
NEXT = "{class_path: videossl.training.NextFrames, init_args: {weight: 4.0, num_frames: 4}}"
TRANSLATED = "{class_path: videossl.training.TranslatedView, init_args: {weight: 0.25}}"

NO_LATENT: Changes = {
    "model.latent": "null",
    "beta": "null",
    "beta.nats": None,
    "training.refit_transition.nats": "null",
}
NO_REFIT: Changes = {
    "training.refit_transition": "null",
    "training.refit_transition.nats": None,
    "training.refit_transition.max_steps": None,
}
NO_SHARED: Changes = {
    "training.refit_transition.shared": "null",
    "training.refit_transition.shared.num_components": None,
    "training.refit_transition.shared.nats": None,
}
CODES: Changes = {
    "model.latent": "videossl.models.CodebookLatent",
    "model.latent.num_codes": "16",
    "beta.nats": "2.2",
    "training.refit_transition.max_steps": "300",  # each code is tried in every step
    "training.refit_transition.batch_size": "256",
    "training.refit_transition.nats": "null",
}
BYOL: Changes = {"objective": "videossl.objectives.Distillation", "objective.graph": "forward"}
SIGREG: Changes = {
    "objective": "videossl.objectives.Prediction",
    "objective.regulariser": "videossl.objectives.SIGReg",
    "objective.graph": "forward",
}

MV_DHEL: Changes = {"objective": "videossl.objectives.MVDHEL"}
SPARSE: Changes = {
    "model.latent": "videossl.models.SparseGate",
    "model.latent.prior": "videossl.models.GatePrior",
    "beta.nats": "3.0",
    "training.refit_transition.nats": "null",
    "model.editor": "videossl.models.LowRankEditor",
}

# Views that follow each other, each predicted from all that came before it.
ROLLOUT: Changes = {"training.rollout": "true", **NO_REFIT}


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        about: What it is, in the table.
        changes: Of the config.
        config: Name of the config that they change.
        num_samples: K, futures that are sampled of each context.
        trained_as: Another row: nothing is trained, its runs are scored once more.
        worlds: Where it says something; others leave it out.
    """

    about: str
    changes: Changes = field(default_factory=dict)
    config: str = "futures"
    num_samples: int = NUM_SAMPLES
    trained_as: str | None = None
    worlds: tuple[str, ...] = COMPARED


ROWS = {
    "quickstart": Row("Gaussian r, mixture prior refitted", config="quickstart", worlds=("quickstart",)),
    "quickstart-refit": Row(
        "the same, transition refitted, too",
        {"training.refit_transition.max_steps": "1000", "training.refit_transition.nats": "4.0"},
        config="quickstart",
        worlds=("quickstart",),
    ),
    "quickstart-long": Row(
        "the same, 3,000 steps", {"training.max_steps": "3000"}, config="quickstart", worlds=("quickstart",)
    ),
    "quickstart-no-refit": Row(
        "Gaussian r, Gaussian prior", {"training.refit": "null"}, config="quickstart", worlds=("quickstart",)
    ),
    "quickstart-twin": Row("no latent: MLP predictor", config="quickstart_twin", worlds=("quickstart",)),
    "gaussian": Row("Gaussian r, transition and mixture prior refitted"),
    "best": Row("`futures_best.yaml`", config="futures_best", worlds=LARGER),
    **{
        f"best-{count}": Row(f"`futures_best.yaml`, K = {count}", num_samples=count, trained_as="best", worlds=LARGER)
        for count in (16, 24, 64)
    },
    "best-no-shared": Row("without the shared stage", NO_SHARED, config="futures_best", worlds=LARGER),
    "best-no-next": Row(
        "without the shared stage and `NextFrames`",
        {**NO_SHARED, "auxiliaries": f"[{MOTION}, {TRANSLATED}]"},
        config="futures_best",
        worlds=LARGER[:1],
    ),
    "best-prior-after": Row(
        "no prior trained along: r of 5.5 nats of a standard normal, then a mixture fitted to it",
        {
            "auxiliaries": f"[{MOTION}, {NEXT}, {TRANSLATED}]",
            "training.refit_transition.max_steps": "2500",
            "training.refit_transition.max_videos": "80000",
            "training.refit.max_videos": "80000",
        },
        worlds=LARGER[:1],
    ),
    "gaussian-no-prior-refit": Row(
        "Gaussian r, transition refitted, standard normal prior", {"training.refit": "null"}
    ),
    "gaussian-no-transition-refit": Row("Gaussian r, mixture prior refitted", NO_REFIT),
    "learned-prior": Row(
        "Gaussian r, Gaussian prior trained along, refitted as a mixture",
        {"model.latent.prior": "videossl.models.GaussianPrior"},
    ),
    "mixture-prior": Row(
        "Gaussian r, mixture prior trained along", {"model.latent.prior": "videossl.models.MixturePrior"}
    ),
    "flow-prior": Row("Gaussian r, flow prior trained along", {"model.latent.prior": "videossl.models.FlowPrior"}),
    "flow-refit": Row(
        "Gaussian r, transition and flow prior refitted", {"training.refit.prior": "videossl.models.FlowPrior"}
    ),
    "flow-matching-refit": Row(
        "Gaussian r, transition and flow-matching prior refitted",
        {"training.refit.prior": "videossl.models.FlowMatchingPrior"},
    ),
    "fixed-beta": Row(
        "Gaussian r, beta fixed at 0.2",
        {
            "beta": "videossl.objectives.FixedBeta",
            "beta.nats": None,
            "beta.beta": "0.2",
            "training.refit_transition.nats": "null",
        },
    ),
    "codes": Row("16 codes, exact posterior (`CodebookLatent`)", CODES),
    "sparse": Row("sparse r (AdaSSL-S)", SPARSE),
    "twin": Row("no latent: MLP predictor", NO_LATENT),
    "infonce": Row("no latent, no predictor: InfoNCE", {**NO_LATENT, "model.editor": "null", **NO_REFIT}),
    "byol": Row("BYOL, MLP predictor", {**NO_LATENT, **BYOL}),
    "byol-gaussian": Row("BYOL with a Gaussian r", BYOL),
    "byol-sparse": Row("BYOL with a sparse r", {**SPARSE, **BYOL}),
    "sigreg": Row("prediction + SIGReg, MLP predictor", {**NO_LATENT, **SIGREG}),
    "sigreg-gaussian": Row("prediction + SIGReg with a Gaussian r", SIGREG),
    "sigreg-sparse": Row("prediction + SIGReg with a sparse r", {**SPARSE, **SIGREG}),
    "mv-dhel": Row("MV-DHEL, MLP predictor", {**NO_LATENT, **MV_DHEL}),
    "mv-dhel-gaussian": Row("MV-DHEL with a Gaussian r", MV_DHEL),
    "mv-dhel-sparse": Row("MV-DHEL with a sparse r", {**SPARSE, **MV_DHEL}),
    "linear-stem": Row(
        "linear stem",
        {
            "model.encoder.stem": "videossl.models.LinearStem",
            "model.encoder.stem.strides": None,
            "model.encoder.depth": "3",
        },
        worlds=ABLATED,
    ),
    "patch-12": Row(
        "patches of 12 pixels",
        {"model.encoder.patch_size": "12", "model.encoder.stem.strides": "[4, 3]"},
        worlds=ABLATED,
    ),
    "motion-0.3": Row(
        "`MotionPrediction` of weight 0.3",
        {"auxiliaries": f"[{MOTION.replace('1.5', '0.3')}, {TRANSLATED}]"},
        worlds=ABLATED,
    ),
    "no-motion": Row(
        "without `MotionPrediction`",
        {"auxiliaries": f"[{TRANSLATED}]"},
        worlds=ABLATED,
    ),
    "no-translated": Row(
        "without `TranslatedView`",
        {"auxiliaries": f"[{MOTION}]"},
        worlds=ABLATED,
    ),
    "tau-0.05": Row("temperature 0.05", {"objective.temperature": "0.05"}),
    "budget-1.6": Row("budget 1.6 nats", {"beta.nats": "1.6"}),
    "budget-3.2": Row("budget 3.2 nats", {"beta.nats": "3.2"}),
    "refit-2.4": Row("transition refitted at the budget of the training", {"training.refit_transition.nats": "null"}),
    "batch-256": Row("batches of 256", {"training.batch_size": "256"}),
    "r-2": Row("r of 2 dimensions", {"model.latent.latent_dim": "2"}),
    "r-32": Row("r of 32 dimensions", {"model.latent.latent_dim": "32"}),
    **{
        f"samples-{count}": Row(
            f"Gaussian r, transition and mixture prior refitted, K = {count}", num_samples=count, trained_as="gaussian"
        )
        for count in (8, 16, 64, 128)
    },
    **{
        f"views-{count}": Row(
            f"{count} views, one InfoNCE a pair",
            {**ROLLOUT, "data.clips.num_views": str(count)},
            worlds=("maze-views",),
        )
        for count in (2, 3, 4, 8)
    },
    "views-4-joint": Row(
        "4 views, mean of the logs over one joint energy",
        {**ROLLOUT, "data.clips.num_views": "4", "objective.energy": "joint"},
        worlds=("maze-views",),
    ),
    "views-4-printed": Row(
        "4 views, MV-InfoNCE as printed",
        {
            **ROLLOUT,
            "data.clips.num_views": "4",
            "objective.energy": "joint",
            "objective.alignment": "log_of_sum",
        },
        worlds=("maze-views",),
    ),
    "views-4-mv-dhel": Row(
        "4 views, MV-DHEL",
        {**ROLLOUT, "data.clips.num_views": "4", **MV_DHEL},
        worlds=("maze-views",),
    ),
}

LARGE: Changes = {"data.frame_size": "64", "augment.size": "64"}
COARSE: Changes = {"model.encoder.patch_size": "16", "model.encoder.stem.strides": "[4, 4]"}

SHORTER: Changes = {"training.max_steps": "600"}
FEWER = ("--num_videos", "8000")  # of 64 x 64 pixels, or for rows of fewer steps


@dataclass(frozen=True)
class World:
    """One world, and what of the config depends on it."""

    world: str
    options: tuple[str, ...]
    changes: Changes = field(default_factory=dict)
    videos_of: str | None = None  # another one that has the same videos


WORLDS = {
    "quickstart": World("digits", ("--config", "configs/world/quickstart.yaml", "--num_videos", "6000")),
    "one-8-bounce": World("digits", ("--preset", "one-8-bounce")),
    "sweeps": World(
        "digits",
        (),
        {"training.max_steps": "300", "training.refit_transition.max_steps": "500"},
        videos_of="one-8-bounce",
    ),
    "one-8": World("digits", ("--preset", "one-8")),
    "one-8-unequal": World("digits", ("--preset", "one-8-unequal", *FEWER), SHORTER),
    "two-16": World(
        "digits",
        ("--preset", "two-16", *FEWER),
        {**LARGE, **SHORTER, "beta.nats": "3.1", "training.refit_transition.nats": "5.0"},
    ),
    # More videos, for what is fitted when the encoder has been trained.
    "one-8-bounce-large": World("digits", ("--preset", "one-8-bounce", "--num_videos", "80000")),
    "one-8-large": World("digits", ("--preset", "one-8", "--num_videos", "80000")),
    "two-16-large": World(
        "digits",
        ("--preset", "two-16", "--num_videos", "40000"),
        {
            **LARGE,
            "training.max_steps": "650",
            "beta.nats": "3.1",
            "training.refit_transition.nats": "4.2",
            "training.refit_transition.prior.num_components": "32",
            "training.refit_transition.shared.num_components": "32",
            "training.refit_transition.shared.nats": "4.4",
        },
    ),
    "adassl-paper": World(
        "digits",
        ("--preset", "adassl-paper", *FEWER),
        {**LARGE, **SHORTER, "data.clips.num_frames": "3", "model.encoder.tubelet_frames": "3"},
    ),
    "maze-steps-4": World(
        "maze",
        # One maze for all: told apart by their walls, videos would ask for nothing that moves.
        ("--preset", "steps-4-one-maze", *FEWER),
        {
            **LARGE,
            **COARSE,
            "training.max_steps": "500",
            "beta.nats": "1.6",  # two choices
            "training.refit_transition.nats": "2.4",
            # Embeddings of pictures that are nearly alike collapse to a point where it is too great, as at 3e-3.
            "training.learning_rate": "1.0e-3",
            # A moved maze is another maze.
            "auxiliaries": f"[{MOTION}]",
        },
    ),
}

WORLDS["maze-views"] = World(
    "maze",
    ("--preset", "steps-8-one-maze", *FEWER),
    # Clips of two frames, one step of the walk, so that eight of them fit into a video.
    {**WORLDS["maze-steps-4"].changes, "data.clips.num_frames": "2", "model.encoder.tubelet_frames": "2",
     "beta.nats": "1.0"},
)  # fmt: skip

COLUMNS = {  # name in `headlines` -> head, and another that stands behind it
    "coverage": ("coverage / noise", "coverage_tuned_noise"),
    "coverage_stratified": ("coverage, stratified", None),
    "precision": ("precision / noise", "precision_tuned_noise"),
    "nll": ("NLL", None),
    "calibration_pooled": ("TV all / context", "calibration"),
    "posterior_branch_accuracy": ("told branch / among the possible", "posterior_branch_choice"),
    "kl_nats": ("KL", None),
    "kick_r2_sampled": ("kick R² of r / of the innovation", "kick_r2_innovation"),
    "kick_r2_sampled_free": ("kick R² of r where nothing bounces", None),
    "kick_r2_pair": ("kick R² of both clips", None),
    "velocity_r2": ("velocity R²", None),
    "identity_accuracy": ("identity", None),
    "steering_rate": ("steering", None),
    "steering_rate_free": ("steering where nothing bounces", None),
}


class FailedError(Exception):
    """A verb that did not end well."""


def videossl(*arguments: str, log: Path) -> None:
    """Run a verb; what it prints goes to a file."""
    command = [sys.executable, "-m", "videossl.cli", *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        said = log.read_text().strip().splitlines() or ["it printed nothing"]
        raise FailedError(f"videossl {' '.join(arguments)} failed: {said[-1]} (log: {log})")


def is_made(name: str, work: Path) -> bool:
    """Whether the videos of a world are there, decoded."""
    return (work / "stores" / (WORLDS[name].videos_of or name) / "world.yaml").is_file()


def make_world(name: str, work: Path) -> Path:
    """Videos of a world, decoded once for all rows, if they are not there."""
    name = WORLDS[name].videos_of or name
    world, folder, store = WORLDS[name], work / "worlds" / name, work / "stores" / name
    if not (folder / "world.yaml").is_file():
        print(f"rendering the videos of {name}", flush=True)
        options = ["--num_videos", str(NUM_VIDEOS), *world.options, "--out", str(folder), "--overwrite", "true"]
        videossl("world", world.world, *options, log=work / f"{name}.log")
    if not (store / "world.yaml").is_file():
        print(f"decoding the videos of {name}", flush=True)
        size = world.changes.get("data.frame_size") or "48"
        options = ["--videos", str(folder), "--out", str(store), "--frame_size", size, "--num_workers", "1"]
        videossl("cache", *options, log=work / f"{name}.cache.log")
    return store


def run_row(name: str, row: str, seed: int, work: Path, max_steps: int | None, device: str) -> None:
    """Train and score one row, as far as that is not done."""
    run, other = work / name / f"{row}-{seed}", ROWS[row].trained_as
    if other is not None and not (run / "weights.safetensors").is_file():
        trained = work / name / f"{other}-{seed}"
        if not (trained / "weights.safetensors").is_file():
            raise FailedError(f"{name} {row} seed {seed} scores {trained}, which is not there")
        partial = run.with_name(f"{run.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(trained, partial, ignore=shutil.ignore_patterns("checkpoints", "evaluation", "tensorboard"))
        partial.rename(run)
    if not (run / "weights.safetensors").is_file():
        changes = {**WORLDS[name].changes, **ROWS[row].changes}
        options = [f"--{key}={value}" for key, value in changes.items() if value is not None]
        if max_steps is not None:
            options.append(f"--training.max_steps={max_steps}")
        if device != "cpu":  # in float32, as on the CPU
            options += ["--training.accelerator=gpu", "--training.precision=32-true"]
        print(f"training {name} {row} seed {seed}", flush=True)
        config = CONFIGS / f"{ROWS[row].config}.yaml"
        videossl(
            "pretrain", "--config", str(config), f"--data.videos={make_world(name, work)}", f"--out={run}",
            f"--seed={seed}", "--overwrite=true", *options, log=work / name / f"{row}-{seed}.train.log",
        )  # fmt: skip
    if not (run / "evaluation" / "metrics.json").is_file():
        print(f"scoring {name} {row} seed {seed}", flush=True)
        videossl(
            "evaluate", f"--run={run}", f"--num_contexts={NUM_CONTEXTS}", f"--num_samples={ROWS[row].num_samples}",
            "--decoder_steps=0", f"--device={device}", log=work / name / f"{row}-{seed}.score.log",
        )  # fmt: skip


def scored(name: str, row: str, work: Path) -> list[Path]:
    """The scores of every seed that there are."""
    files = sorted((work / name).glob(f"{row}-[0-9]*/evaluation/metrics.json"))
    return [file for file in files if re.fullmatch(rf"{re.escape(row)}-\d+", file.parents[1].name)]


def scores(name: str, row: str, work: Path) -> list[dict[str, float]]:
    """Of every seed that has been scored."""
    return [headlines(json.loads(file.read_text())) for file in scored(name, row, work)]


def num_steps(name: str, row: str, work: Path) -> str:
    """Steps of the runs that have been scored."""
    configs = [run.parents[1] / "config.yaml" for run in scored(name, row, work)]
    steps = sorted({yaml.safe_load(config.read_text())["training"]["max_steps"] for config in configs})
    return ", ".join(f"{count:,}" for count in steps)


def cell(values: list[float]) -> str:
    """Mean, and least and greatest where there are several."""
    if not values:
        return ""
    mean = sum(values) / len(values)
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{mean:.2f}{spread}"


def table(name: str, work: Path) -> str:
    """The rows of one world that have been scored, in Markdown; empty if there are none."""
    of_rows = {row: found for row in ROWS if (found := scores(name, row, work))}
    if not of_rows:
        return ""
    every = [found for of_seeds in of_rows.values() for found in of_seeds]
    counts = {key: sum(key in found for found in every) for key in COLUMNS}
    # What no row has says nothing of this world. Figures of free motion came later than most scores: half of the rows
    # with an r must have them.
    columns = {
        key: column
        for key, column in COLUMNS.items()
        if counts[key] > 0 and (not key.endswith("_free") or 2 * counts[key] >= counts["kl_nats"])
    }
    lines = []
    for row, of_seeds in of_rows.items():
        cells = []
        for key, (_, other) in columns.items():
            text = cell([found[key] for found in of_seeds if key in found])
            beside = cell([found[other] for found in of_seeds if other in found]) if other else ""
            cells.append(f"{text} / {beside}" if beside else text)
        lines.append(f"| {ROWS[row].about} | {num_steps(name, row, work)} | {len(of_seeds)} | {' | '.join(cells)} |")
    heads = " | ".join(head for head, _ in columns.values())
    return "\n".join([f"| | steps | seeds | {heads} |", "|---|---|---|" + "---|" * len(columns), *lines])


def write_page(page: Path, work: Path) -> None:
    """Put the tables between their marks in a page; what stands around them stays."""
    text = page.read_text()
    for name in WORLDS:
        made = table(name, work)
        begin, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
        if made and begin in text:
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}\n\n{made}\n\n{end}{rest.split(end, 1)[1]}"
    page.write_text(text)
    print(f"wrote {page}")


Work = TypeVar("Work")


def side_by_side(run: Callable[[Work], object], pieces: Iterable[Work], jobs: int) -> bool:
    """Run all, so many at a time; what fails is said and the others go on. Whether any failed."""

    def fails(piece: Work) -> bool:
        try:
            run(piece)
        except FailedError as error:
            print(error, file=sys.stderr, flush=True)
            return True
        return False

    with ThreadPoolExecutor(jobs) as pool:
        return any(list(pool.map(fails, pieces)))


def main() -> None:
    """Run what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max_steps", type=int, help="fewer steps than the config has, to try it")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "futures", help="where worlds and runs go")
    parser.add_argument("--page", default=str(ROOT / "docs" / "results.md"), help="page to write, or none")
    parser.add_argument("--page_only", action="store_true", help="run nothing")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where rows are trained and scored")
    parser.add_argument("--jobs", type=int, default=1, help="rows that run at a time, each on one core")
    asked = parser.parse_args()
    failed = False
    if not asked.page_only:
        # What several rows share is made first.
        shared = sorted({WORLDS[name].videos_of or name for name in asked.worlds})
        failed |= side_by_side(lambda name: make_world(name, asked.work), shared, asked.jobs)
        rows = [
            (name, row, seed)
            for seed in asked.seeds
            for name in asked.worlds
            for row in asked.rows
            if name in ROWS[row].worlds and is_made(name, asked.work)
        ]
        left_out = sorted({row for row in asked.rows if not set(ROWS[row].worlds) & set(asked.worlds)})
        if left_out:
            print(f"left out, as they say nothing of {', '.join(asked.worlds)}: {', '.join(left_out)}", flush=True)
        trained = dict.fromkeys((name, ROWS[row].trained_as or row, seed) for name, row, seed in rows)
        for pieces in (trained, [each for each in rows if each not in trained]):
            failed |= side_by_side(
                lambda each: run_row(*each, asked.work, asked.max_steps, asked.device), pieces, asked.jobs
            )
    if asked.page != "none":
        write_page(Path(asked.page), asked.work)
    else:
        for name in asked.worlds:
            print(f"\n{name}\n{table(name, asked.work)}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
