"""Write files so that a reader sees the old one or the new one, never half of one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
