"""What there is to do, given what is there: only new and changed videos are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from videossl.data import Video
from videossl.errors import UsageError
from videossl.extraction.sampling import identity
from videossl.extraction.settings import differences
from videossl.extraction.stores.base import FinishedShard, VideoEntry

Vanished = Literal["remove", "keep"]


@dataclass(frozen=True)
class Todo:
    """What an extraction has to do.

    Attributes:
        videos: Readable videos that are new or have changed, or of which nobody can tell.
        kept: Videos whose rows stay as they are.
        changed: Names of videos whose rows are replaced, for their file or label is another.
        vanished: Names of videos whose rows are removed, for they are not among the videos any more.
        first_number: Of the first new shard.
    """

    videos: tuple[Video, ...]
    kept: tuple[VideoEntry, ...]
    changed: tuple[str, ...]
    vanished: tuple[str, ...]
    first_number: int


def compare(
    videos: Sequence[Video],
    shards: Sequence[FinishedShard],
    about: Mapping[str, Any],
    *,
    vanished: Vanished,
    where: str,
) -> Todo:
    """What there is to do.

    Args:
        videos: All that are asked for, unreadable ones too.
        shards: What is there.
        about: How rows are made now.
        vanished: What happens to the rows of videos that are not asked for: "remove" or "keep".
        where: The folder, for messages.

    Raises:
        UsageError: The rows that are there were made otherwise, or none of their videos is asked for.
    """
    for shard in shards:
        wrong = differences(shard.about, about)
        if wrong:
            raise UsageError(
                f"{where} holds embeddings that were made otherwise: {'; '.join(wrong)}. Choose another --out, or "
                "replace them with --overwrite true."
            )
    entries = {entry.name: entry for shard in shards for entry in shard.entries}
    asked = {video.name: video for video in videos}
    gone = [name for name in entries if name not in asked]
    if gone and len(gone) == len(entries) and vanished == "remove":
        raise UsageError(
            f"{where} holds embeddings of {len(gone)} videos, for example {gone[0]}, and none of them is among those "
            "that are asked for. Choose another --out, add to it with --vanished keep, or replace all with "
            "--overwrite true."
        )
    same = {
        name: entry
        for name, entry in entries.items()
        if name in asked and entry.identity and entry.identity == identity(asked[name])
    }
    return Todo(
        videos=tuple(video for video in videos if video.error is None and video.name not in same),
        kept=tuple(entry for name, entry in entries.items() if name in same or (name in gone and vanished == "keep")),
        changed=tuple(name for name in entries if name in asked and name not in same),
        vanished=tuple(gone) if vanished == "remove" else (),
        first_number=1 + max((shard.number for shard in shards), default=-1),
    )
