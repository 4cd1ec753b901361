"""Versions and machine of a run, to be kept beside its results."""

import os
import platform
import shlex
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Versions and machine of this run."""
    packages = ("videossl", "torch", "lightning", "torchmetrics", "av", "decord", "einops", "numpy")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": _command(),
    }


def _command() -> str:
    """What was typed, so that it can be typed again."""
    program = Path(sys.argv[0]).name
    name = "python -m videossl.cli" if program == "__main__.py" else shlex.quote(program)
    return " ".join([name, shlex.join(sys.argv[1:])])
