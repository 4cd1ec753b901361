"""Files that are being written, where nobody looks for finished ones."""

import shutil
import uuid
from pathlib import Path

UNFINISHED = "_unfinished"


def unfinished(path: Path) -> Path:
    """Where a file is written before it is moved to `path`: another place at every call. The folder is made."""
    folder = path.parent / UNFINISHED
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{path.name}.{uuid.uuid4().hex}"  # no suffix that a pattern like **/*.parquet would find


def clean(folder: Path) -> None:
    """Delete what was left unfinished."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
