"""Where the time of a sample goes, for `videossl bench data`; costs next to nothing while nobody looks."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

_seconds: defaultdict[str, float] | None = None


@contextmanager
def measuring() -> Iterator[dict[str, float]]:
    """Sum up the seconds of all `timed` blocks of this process, by name. A block within a block counts in both."""
    global _seconds
    _seconds = defaultdict(float)
    try:
        yield _seconds
    finally:
        _seconds = None


class timed:  # noqa: N801 - used like a function
    """A block whose time is summed up under a name while somebody is `measuring`.

    Args:
        name: Of the sum.
    """

    __slots__ = ("began", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        if _seconds is not None:
            self.began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        if _seconds is not None:
            _seconds[self.name] += time.perf_counter() - self.began
