"""The command line, run as a user runs it; and the options that make a run small."""

import subprocess
import sys
from pathlib import Path

import pytest

from videossl.cli.dispatch import main

REPOSITORY = Path(__file__).parents[1]

SMALL = (
    "--training.max_steps=6", "--training.batch_size=8", "--training.log_every=2", "--training.heldout_every=3",
    "--training.checkpoint_every=3", "--training.warmup_steps=2", "--data.heldout_share=0.5",
    "--model.encoder.width=24", "--model.encoder.depth=1", "--model.encoder.num_heads=2",
    "--training.refit.max_steps=20",
)  # fmt: skip


def videossl(*args, cwd=None):
    """Run a command line in a process of its own: exit code, standard output, standard error."""
    return subprocess.run(
        [sys.executable, "-m", "videossl.cli", *map(str, args)], capture_output=True, text=True, cwd=cwd or REPOSITORY
    )


def in_this_process(*args):
    """The exit code of a command line that is run without a process of its own, which saves seconds."""
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0
