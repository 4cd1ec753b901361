"""Files: written so that a reader sees the old one or the new one, only where they may go, and known by their bytes."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from videossl.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it over `path` when the block ends without error.

    The temporary name keeps the suffix of `path`, because many writers choose the format by it.

    Args:
        path: Where the finished file shall stand. Its folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes it private to its user
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(paths: Iterable[Path]) -> str:
    """SHA-256 of the bytes of some files, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def check_output(out: Path, *, overwrite: bool, marks: tuple[str, ...], remedy: str = "") -> None:
    """Make sure that `out` can be written: absent, empty, or an earlier result that may be replaced.

    Args:
        out: Folder that a command shall write.
        overwrite: Whether an earlier result may be replaced.
        marks: Files by which an earlier result is known; a folder without any of them is somebody else's.
        remedy: What else can be done about an earlier result; ends with ", ".

    Raises:
        UsageError: Something is there that must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    ours = out.is_dir() and any((out / mark).exists() for mark in marks)
    if not ours:
        raise UsageError(f"{out} exists and is not what this command writes. Choose another --out.")
    if not overwrite:
        raise UsageError(f"{out} exists. Choose another --out, {remedy}or replace it with --overwrite true.")
