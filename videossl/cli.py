"""`videossl <verb>`: one typed function per verb; its signature is the schema of options and configs."""

import difflib
import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml

from videossl import __version__
from videossl.data import Augment, MultiCrop, PyAVReader, VideoReader
from videossl.data.settings import DataSettings
from videossl.data.sources import VideoSet, absolute_videos
from videossl.errors import UsageError, WorkError
from videossl.files import check_output
from videossl.loading import usable
from videossl.models import WorldModel
from videossl.objectives import Beta, MultiViewObjective
from videossl.option_parser import Parser
from videossl.training.settings import TrainingSettings


def index(
    *,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    check: Literal["fast", "full"] = "fast",
    workers: int | None = None,
    heldout_share: float = 0.1,
    seed: int = 0,
) -> int:
    """Look into every video and write a table of what they are and which cannot be read, and why.

    Where OUT is an earlier index, only new and changed files are looked into. Training and extraction take the index
    in place of the videos. Exit code 1 if no video can be read.

    Args:
        videos: Folder tree of videos, one file, a list or table of paths, tar shards, a URL, an index, or several sets.
        out: Parquet file to write: one row a video, with the cause in the column `error` where it cannot be read.
        check: "fast": every packet is read and the first picture is decoded. "full": every picture is decoded, and the
            first that is damaged is reported.
        workers: Processes that look into videos; one per core if it is not given.
        heldout_share: Share of the videos kept for evaluation, in the column `split`. Training makes its own split
            from data.heldout_share and its seed.
        seed: Of the split.
    """
    from videossl.data.index_command import index_videos

    return index_videos(videos, out, check=check, workers=workers, heldout_share=heldout_share, seed=seed)


def pretrain(
    *,
    data: DataSettings,
    model: WorldModel,
    objective: MultiViewObjective,
    augment: Augment | MultiCrop,
    training: TrainingSettings,
    out: Path,
    beta: Beta | None = None,
    seed: int = 0,
    ckpt: str | None = None,
    overwrite: bool = False,
    resolved: dict[str, Any],
) -> None:
    """Train a world model on a folder or list of videos.

    Args:
        data: Which videos, and how views are cut from them.
        model: Encoder, projector, latent and editor.
        objective: Loss over the embeddings of the views.
        augment: Augmentation of the views, on the device: `Augment`, or `MultiCrop` for crops of several sizes.
        training: Steps, batch size, learning rate, devices.
        out: Run directory to write.
        beta: Weight of the latent's penalty: held at an information budget, or fixed. Needed if the model has a latent.
        seed: Of weights, clips, augmentation and latents.
        ckpt: Go on from a checkpoint: a path, or "last" for the newest of the run directory.
        overwrite: Replace a run directory that exists.
        resolved: The resolved config (from the command line, not an option).
    """
    if seed < 0:
        raise UsageError(f"expected a seed of 0 or more, got {seed}.")
    if model.latent is not None and beta is None:
        raise UsageError(
            "the model has a latent, but nothing sets its price. Add to the config: "
            "beta: {class_path: videossl.objectives.InformationBudget, init_args: {nats: 2.4}}"
        )
    checkpoint = None
    if ckpt is not None:
        checkpoint = out / "checkpoints" / "last.ckpt" if ckpt == "last" else Path(ckpt)
    from videossl.training.pretrain import is_main_process
    from videossl.training.pretrain import pretrain as train

    goes_on = checkpoint is not None and out.resolve() in checkpoint.resolve().parents
    if goes_on and overwrite:
        raise UsageError(f"--ckpt goes on with {out} and --overwrite true deletes it. Give one of them.")
    if is_main_process() and not goes_on:
        check_output(
            out, overwrite=overwrite, marks=("config.yaml", "unreadable.csv"), remedy="go on with --ckpt last, "
        )
    done = train(
        model,
        objective,
        beta,
        data,
        augment,
        training,
        out=out,
        seed=seed,
        checkpoint=checkpoint,
        goes_on=goes_on,
        config=resolved,
    )
    if is_main_process():
        for message in done.warnings:
            print(f"warning: {message}")
        if done.num_unreadable:
            print(f"{done.num_unreadable} videos could not be read; they are listed in {done.run / 'unreadable.csv'}")
        print(f"trained {done.steps} steps in {done.seconds:.0f} s: {done.run}")
        print(f"next: videossl evaluate --run {done.run}")


def evaluate(
    *,
    run: Path,
    twin: Path | None = None,
    num_contexts: int = 256,
    num_samples: int = 16,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Score one-to-many prediction on the held-out videos of a run, beside its controls and oracles.

    Writes evaluation/metrics.json and evaluation/gallery.npz into the run directory, and prints a table.

    Args:
        run: Run directory.
        twin: Run directory of the deterministic twin: same data and encoder, trained without a latent.
        num_contexts: Held-out contexts to score, at most.
        num_samples: Futures K sampled per context.
        seed: Of the samples.
        device: Where the models run: "cpu", "cuda", "mps".
    """
    from videossl.evaluation.of_run import evaluate_run

    device = usable(device)
    print(evaluate_run(run, twin=twin, num_contexts=num_contexts, num_samples=num_samples, seed=seed, device=device))


def extract(
    *,
    run: Path,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    level: Literal["frame", "clip", "video"] = "frame",
    batch_size: int = 64,
    device: str = "cpu",
    overwrite: bool = False,
) -> int:
    """Write the embeddings of videos as Parquet files.

    Args:
        run: Run directory of the model.
        videos: Folder tree of videos, one file, a list or table of paths, tar shards, a URL, an index, or several sets.
        out: Folder for the Parquet files.
        level: One row per frame, per clip or per video.
        batch_size: Clips per pass of the encoder.
        device: Where the model runs: "cpu", "cuda", "mps".
        overwrite: Replace the embeddings in a folder that exists.
    """
    from videossl.extraction.run import extract_run

    device = usable(device)
    return extract_run(
        run, videos=videos, out=out, level=level, batch_size=batch_size, device=device, overwrite=overwrite
    )


def cache(
    *,
    videos: str | VideoSet | list[str | VideoSet],
    out: Path,
    frame_size: int,
    target_fps: float | None = None,
    reader: type[VideoReader] = PyAVReader,
    num_workers: int | None = None,
    deadline_seconds: float | None = 60.0,
    overwrite: bool = False,
) -> int:
    """Decode and resize videos once, for training that reads them many times: give OUT in place of the videos then.

    Stopped at any moment, the same command goes on: finished videos are kept, and only new and changed ones are read.
    Exit code 1 if a video cannot be read; unreadable.csv in OUT lists such videos.

    Args:
        videos: Folder tree of videos, one file, a list, or whatever else training takes.
        out: Folder to write.
        frame_size: Side in pixels to which frames are resized; the middle square is kept. Training can ask for less.
        target_fps: Keep so many frames a second, each with its own time; all if it is not given.
        reader: Class that decodes.
        num_workers: Processes that decode; one per core if it is not given.
        deadline_seconds: A video of which 256 frames take longer is given up; null: none is.
        overwrite: Replace a store that exists.
    """
    from videossl.data.store_command import cache_videos

    return cache_videos(
        videos,
        out,
        reader=reader,
        frame_size=frame_size,
        target_fps=target_fps,
        num_workers=num_workers,
        deadline_seconds=deadline_seconds,
        overwrite=overwrite,
    )


def report(*, run: Path) -> None:
    """Make one self-contained page of a run: what was trained on what, its curves, health, scores and pictures.

    Args:
        run: Run directory.
    """
    from videossl.report import write_report

    print(f"page: {write_report(run).resolve()}")


VERBS: dict[str, tuple[Callable[..., int | None], str]] = {
    "index": (index, "look into videos: what they are, and which cannot be read"),
    "pretrain": (pretrain, "train a world model on videos"),
    "evaluate": (evaluate, "score one-to-many prediction on held-out videos"),
    "extract": (extract, "write embeddings of videos as Parquet"),
    "report": (report, "make one HTML page of a run"),
    "cache": (cache, "decode and resize videos once, for training that reads them often"),
}


# What a user can see to, whatever was being read or written when it came up.
NO_ROOM_OR_RIGHT = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})


def bench_parser() -> Parser:
    """The parser of `videossl bench`: one subcommand for each thing that is measured."""
    bench = Parser(
        prog="videossl bench",
        usage="videossl bench data --config FILE --OPTION VALUE ...",
        description="Measure where the time goes.",
    )
    about = "Where the time of a sample goes: open, decode, convert, collate, augment, wait; and what to change."
    data = Parser(usage="videossl bench data --config FILE --OPTION VALUE ...", description=about)
    data.add_argument("--config", action="config", help="Config of a training; options after it override it.")
    data.add_function_arguments(pretrain, as_group=False, skip={"resolved", "ckpt", "overwrite"})
    data.add_argument("--batches", type=int, default=20, help="Batches per measurement.")
    data.add_argument("--device", type=str, default="cpu", help="Where augmentation runs: cpu, cuda, mps.")
    bench.add_subcommands(dest="bench").add_subcommand("data", data, help=about)
    return bench


def _bench(args: list[str]) -> int:
    from videossl.data.meter_command import bench_data

    _, options = bench_parser().build(args)
    chosen = options[options.bench]
    bench_data(
        chosen.data,
        chosen.augment,
        batch_size=chosen.training.batch_size,
        num_workers=chosen.training.num_workers,
        num_batches=chosen.batches,
        seed=chosen.seed,
        device=usable(chosen.device),
    )
    return 0


WORLDS = {
    "digits": "Handwritten digits that are kicked in one of several directions at a known moment.",
    "maze": "A digit in a random maze, which turns at junctions with known probabilities: its futures form a tree.",
    "billiards": "Balls that bounce off each other, one of them kicked by a bumper that cannot be seen (needs pymunk).",
}


def world_parser(preset_of: dict[str, str] | None = None) -> Parser:
    """The parser of `videossl world`: one subcommand for each world.

    Args:
        preset_of: World -> name of the preset whose settings are its defaults.
    """
    from videossl.worlds import PRESETS, Billiards, Digits, Maze, World, preset

    classes: dict[str, type[World]] = {"digits": Digits, "maze": Maze, "billiards": Billiards}
    usage = "videossl world {} [--preset NAME] [--config FILE] --OPTION VALUE ..."
    worlds = Parser(
        prog="videossl world",
        usage=usage.format("WORLD"),
        description="Render a world whose future is known exactly into ordinary video files.",
    )
    subcommands = worlds.add_subcommands(dest="world")
    for name, about in WORLDS.items():
        one = Parser(usage=usage.format(name), description=f"{about} Presets: {', '.join(PRESETS[name])}.")
        one.add_argument("--config", action="config", help="YAML file with options.")
        one.add_argument("--preset", type=str | None, help="Start from named settings; other options override them.")
        one.add_argument("--out", type=Path, required=True, help="Folder to write: videos, truth table, world.yaml.")
        one.add_argument("--num_videos", type=int, default=1000, help="How many videos.")
        one.add_argument("--seed", type=int, default=0, help="Of everything that is drawn.")
        one.add_argument("--overwrite", type=bool, default=False, help="Replace a world that exists.")
        one.add_class_arguments(classes[name], "world", as_group=True)
        if preset_of is not None and name in preset_of:
            settings = preset(name, preset_of[name]).arguments
            one.set_defaults({f"world.{argument}": value for argument, value in settings.items()})
        subcommands.add_subcommand(name, one, help=about)
    return worlds


def _world(args: list[str]) -> int:
    from videossl.worlds import write_world

    _, options = world_parser().build(args)
    chosen = options[options.world]
    if chosen.preset is not None:  # known only now, as a config can name it; its settings stand below all others
        _, options = world_parser({options.world: chosen.preset}).build(args)
        chosen = options[options.world]
    check_output(chosen.out, overwrite=chosen.overwrite, marks=("world.yaml",))
    shutil.rmtree(chosen.out, ignore_errors=True)
    write_world(chosen.world, chosen.out, num_videos=chosen.num_videos, seed=chosen.seed)
    print(f"wrote {chosen.num_videos} videos, truth.parquet and world.yaml: {chosen.out}")
    return 0


SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {"world": _world, "bench": _bench}


def verb_parser(verb: str) -> Parser:
    """The parser of a verb: its function's signature, and --config."""
    function, _ = VERBS[verb]
    parser = Parser(
        prog=f"videossl {verb}",
        usage=f"videossl {verb} [--config FILE] --OPTION VALUE ...",
        description=_about(function),
    )
    parser.add_argument("--config", action="config", help="YAML file with options; options after it override it.")
    parser.add_function_arguments(function, as_group=False, skip={"resolved"})
    return parser


def _run_verb(verb: str, args: list[str]) -> int:
    function, _ = VERBS[verb]
    parser = verb_parser(verb)
    parsed, built = parser.build(args)
    options = built.as_dict()
    if function is pretrain:
        resolved = yaml.safe_load(parser.dump(parsed, skip_unset=False))
        # So that the run can be evaluated and resumed from any folder.
        resolved["out"] = str(options["out"].resolve())
        resolved["data"]["videos"] = absolute_videos(options["data"].videos)
        options["resolved"] = {name: value for name, value in resolved.items() if name not in ("ckpt", "overwrite")}
    return function(**options) or 0


def _about(function: Callable[..., Any]) -> str:
    """What a verb does: its docstring up to the arguments."""
    return (function.__doc__ or "").split("Args:")[0].strip()


def _usage() -> str:
    verbs = {"world": "render a world whose future is known exactly into video files"}
    verbs |= {verb: about for verb, (_, about) in VERBS.items()}
    verbs["bench"] = "measure where the time of training goes, and say what to change"
    lines = "\n".join(f"  {verb:<10} {about}" for verb, about in verbs.items())
    return (
        "usage: videossl VERB --option VALUE ...\n\n"
        "Self-supervised learning and world modelling on video.\n\n"
        f"{lines}\n\nOptions of a verb: videossl VERB --help. Version: videossl --version."
    )


def _dispatch(args: list[str]) -> int:
    """Run the verb that comes first; the exit code."""
    verb, *options = args or ["--help"]
    if verb in ("--help", "-h"):
        print(_usage())
        return 0
    if verb == "--version":
        print(f"videossl {__version__}")
        return 0
    if verb not in SUBCOMMANDS and verb not in VERBS:
        close = difflib.get_close_matches(verb, [*SUBCOMMANDS, *VERBS], n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        print(f"videossl: no such verb: {verb}.{guess} (see: videossl --help)", file=sys.stderr)
        return 2
    Parser.command = f"videossl {verb}"
    try:
        return SUBCOMMANDS[verb](options) if verb in SUBCOMMANDS else _run_verb(verb, options)
    except (UsageError, WorkError) as error:
        print(f"{Parser.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in NO_ROOM_OR_RIGHT:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{Parser.command}: cannot be written or read: {where}{error.strerror}", file=sys.stderr)
        return WorkError.exit_code
    except KeyboardInterrupt:
        print(f"{Parser.command}: interrupted", file=sys.stderr)
        return 1


def main(args: list[str] | None = None) -> NoReturn:
    """Run a command line; leave with exit code 0 (done), 1 (work failed) or 2 (wrong use)."""
    try:
        code = _dispatch(sys.argv[1:] if args is None else args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has enough of it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    raise SystemExit(code)


if __name__ == "__main__":
    main()
