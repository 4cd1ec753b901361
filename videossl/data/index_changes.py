"""What an earlier index already knows, so that only new and changed files are looked into."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videossl.data.fingerprint import Fingerprint
from videossl.data.index_table import read_index, write_index
from videossl.data.video import Check, Video

Change = Literal["new", "changed", "again", "unchanged"]
SECONDS_BETWEEN_SAVES = 10.0
# Saving a large unfinished index must not take more than a small share of the time.
LEAST_WORK_PER_SAVE = 20


@dataclass(frozen=True)
class Changes:
    """How an index differs from an earlier one; without an earlier one all videos are new.

    Attributes:
        new: Videos that the earlier index does not have.
        changed: Videos whose file has another size or time of change.
        again: Videos looked into again though their file is the same: they could not be read, were looked into less
            thoroughly than is asked now, or have no fingerprint.
        unchanged: Videos whose rows were taken over.
        vanished: Rows of the earlier index that are no longer asked for.
        unreadable: Videos that cannot be read, of all.
        resplit: Videos that are in another split than before.
    """

    new: int = 0
    changed: int = 0
    again: int = 0
    unchanged: int = 0
    vanished: int = 0
    unreadable: int = 0
    resplit: int = 0

    @property
    def is_none(self) -> bool:
        """Whether the earlier index still holds in everything."""
        return not (self.new or self.changed or self.again or self.vanished or self.resplit)

    def __str__(self) -> str:
        counts = [f"{self.new} new", f"{self.changed} changed", f"{self.vanished} vanished"]
        counts += [f"{self.unchanged} unchanged", *([f"{self.again} looked into again"] if self.again else [])]
        counts += [f"{self.unreadable} unreadable"]
        counts += [f"{self.resplit} in another split than before"] if self.resplit else []
        return "index: " + ", ".join(counts)


def change_of(before: Video | None, fingerprint: Fingerprint | None, check: Check) -> Change:
    """What has happened to a video since an earlier index.

    Args:
        before: Its row there, by the same address.
        fingerprint: Of its file as it is now.
        check: How thoroughly it is to be looked into.
    """
    if before is None:
        return "new"
    if fingerprint is None or before.fingerprint is None:
        return "again"
    if before.fingerprint != fingerprint:
        return "changed"
    # The cause may lie outside of the file: rights, a disk that was away, another FFmpeg.
    return "again" if before.error is not None or (before.check == "fast" and check == "full") else "unchanged"


class Unfinished:
    """Rows kept on disk while an index is made, so that no interruption loses them.

    Args:
        path: File to write; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._next_save = time.monotonic() + SECONDS_BETWEEN_SAVES

    def rows(self) -> list[Video]:
        """Those that an interrupted making of the index has left."""
        return read_index(self.path) if self.path is not None and self.path.is_file() else []

    def keep(self, rows: Sequence[Video | None], *, now: bool = False) -> None:
        """Write the rows that there are, if it is time to."""
        began = time.monotonic()
        if self.path is None or (began < self._next_save and not now):
            return
        write_index([row for row in rows if row is not None], self.path)
        ended = time.monotonic()
        self._next_save = ended + max(SECONDS_BETWEEN_SAVES, LEAST_WORK_PER_SAVE * (ended - began))
