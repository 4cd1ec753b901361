"""Progress of long work: a bar with a rate on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def progress(items: Iterable[Item], *, total: int, description: str, unit: str) -> Iterator[Item]:
    """Yield the items of `items` and show on standard error how far the work is and how fast it goes.

    Args:
        items: What is worked on.
        total: How many items there are.
        description: What is being done, for example "indexing".
        unit: What one item is, for example "video".
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=description, unit=unit, dynamic_ncols=True, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            print(f"{description}: {done}/{total}, {done / (now - start):.1f} {unit}/s", file=sys.stderr, flush=True)
            last = now
        yield item
