"""From a command line to the function of its verb, and from what it raises to an exit code."""

import difflib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from videossl import __version__
from videossl.cli.bench import bench
from videossl.cli.data import cache, index
from videossl.cli.embeddings import extract
from videossl.cli.export import export
from videossl.cli.pretraining import pretrain, refit_prior
from videossl.cli.scores import evaluate, report
from videossl.cli.tables import duplicates, events, probe, search
from videossl.cli.world import world
from videossl.data.sources import absolute_videos
from videossl.errors import UsageError, WorkError
from videossl.loading import encoder_arguments
from videossl.option_parser import Parser

VERBS: dict[str, tuple[Callable[..., int | None], str]] = {
    "index": (index, "look into videos: what they are, and which cannot be read"),
    "pretrain": (pretrain, "train a world model on videos"),
    "refit-prior": (refit_prior, "fit the prior of a trained model once more"),
    "evaluate": (evaluate, "score one-to-many prediction on held-out videos"),
    "extract": (extract, "write embeddings of videos as Parquet"),
    "export": (export, "write the encoder as ONNX, TorchScript or pt2, checked against the model"),
    "probe": (probe, "say what can be read from embeddings"),
    "search": (search, "find the frames that are most like a video, a picture or another frame"),
    "events": (events, "find where something else begins, from embeddings"),
    "duplicates": (duplicates, "find videos that show the same, from embeddings"),
    "report": (report, "make one HTML page of a run"),
    "cache": (cache, "decode and resize videos once, for training that reads them often"),
}

SUBCOMMANDS: dict[str, Callable[[list[str]], int]] = {"world": world, "bench": bench}

# What a user can see to, whatever was being read or written when it came up.
NO_ROOM_OR_RIGHT = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})


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
    if function is refit_prior:
        options["resolved"] = yaml.safe_load(parser.dump(parsed, skip_unset=False))
    if function is pretrain:
        resolved = yaml.safe_load(parser.dump(parsed, skip_unset=False))
        # So that the run can be evaluated and resumed from any folder.
        resolved["out"] = str(options["out"].resolve())
        resolved["data"]["videos"] = absolute_videos(options["data"].videos)
        encoder = encoder_arguments(resolved)
        if "path" in encoder and Path(encoder["path"]).is_dir():  # otherwise it is on the hub
            encoder["path"] = str(Path(encoder["path"]).resolve())
        options["resolved"] = {name: value for name, value in resolved.items() if name not in ("ckpt", "overwrite")}
    return function(**options) or 0


def _about(function: Callable[..., Any]) -> str:
    """What a verb does: its docstring up to the arguments."""
    return (function.__doc__ or "").split("Args:")[0].strip()


def _usage() -> str:
    verbs = {"world": "render a world whose future is known exactly into video files"}
    verbs |= {verb: about for verb, (_, about) in VERBS.items()}
    verbs["bench"] = "measure where the time of training goes, and say what to change"
    lines = "\n".join(f"  {verb:<11} {about}" for verb, about in verbs.items())
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
