"""What every format of embeddings on disk is to the rest: shards of whole videos, each there as a whole or not at all.

The folder alone is the state of an extraction: every shard says which videos it holds, by what they were when they
were read, and how its rows were made.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from videossl.extraction.levels import Rows


@dataclass(frozen=True)
class VideoEntry:
    """A video of a shard.

    Attributes:
        name: Its stable name.
        identity: Hash of its place, its label, and the size and time of change of its file.
        num_rows: Its rows.
        problem: What could not be read of it, in one line; None if it was read whole.
    """

    name: str
    identity: str
    num_rows: int
    problem: str | None = None


@dataclass(frozen=True)
class FinishedShard:
    """A shard that is there.

    Attributes:
        number: Of the shard.
        about: How its rows were made.
        entries: Its videos.
    """

    number: int
    about: Mapping[str, Any]
    entries: tuple[VideoEntry, ...]

    @property
    def num_rows(self) -> int:
        """Rows of all its videos."""
        return sum(entry.num_rows for entry in self.entries)


class Shard(Protocol):
    """A shard that is being written; nobody sees it before it is finished."""

    def add(self, rows: Rows) -> None:
        """Add rows."""

    def finish(self, entries: Sequence[VideoEntry]) -> None:
        """Make it visible, whole. A shard without rows leaves nothing."""

    def discard(self) -> None:
        """Leave nothing of it, whatever has been written."""


class Store(Protocol):
    """Shards in a folder."""

    def finished(self) -> list[FinishedShard]:
        """The shards that are there, in the order of their numbers."""

    def begin(self, number: int, about: Mapping[str, object]) -> Shard:
        """Begin a shard; shards of different numbers may be written at once, by different processes too."""

    def remove(self, names: Collection[str]) -> None:
        """Take the rows of these videos out of all shards."""

    def clean(self) -> None:
        """Delete what a process that was killed has left unfinished; call it while no other process writes here."""

    def files(self) -> list[str]:
        """Names of what is written for others to read, relative to the folder."""

    def delete(self) -> None:
        """Delete all of it, and nothing else."""


def entries_to_json(entries: Sequence[VideoEntry]) -> str:
    """The videos of a shard as text."""
    return json.dumps([asdict(entry) for entry in entries], ensure_ascii=False)


def entries_from_json(text: str | bytes) -> tuple[VideoEntry, ...]:
    """The videos of a shard, from that text."""
    return tuple(VideoEntry(**entry) for entry in json.loads(text))
