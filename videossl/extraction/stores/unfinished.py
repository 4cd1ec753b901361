"""Files that are being written, where nobody looks for finished ones."""

import shutil
from pathlib import Path

UNFINISHED = "_unfinished"


def unfinished(path: Path) -> Path:
    """Where a file is written before it is moved to `path`; the folder is made."""
    folder = path.parent / UNFINISHED
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{path.name}.tmp"  # no suffix that a pattern like **/*.parquet would find


def clean(folder: Path) -> None:
    """Delete what was left unfinished."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
