"""The work of building an index: tell what is known from what must be looked into, look, and lose nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from videossl.data.fingerprint import Fingerprint, fingerprints
from videossl.data.index_changes import Change, Changes, Unfinished, change_of
from videossl.data.looking import Looked
from videossl.data.looking_pool import Task, look_at_all
from videossl.data.media import Media
from videossl.data.sources import Source
from videossl.data.video import Check, Video
from videossl.errors import WorkError
from videossl.progress import progress

OF_LOOKING = [one.name for one in fields(Looked)]


class Indexing:
    """One building of an index.

    Args:
        sources: The videos, in the order of the rows.
        before: Rows of earlier indexes; of two with the same address the later counts.
        check: How thoroughly videos are looked into.
        unfinished: See `Unfinished`.
    """

    def __init__(
        self, sources: Sequence[Source], before: Sequence[Video], *, check: Check, unfinished: Path | None
    ) -> None:
        self.sources = sources
        self.check: Check = check
        self._before = before
        self._unfinished = Unfinished(unfinished)
        known = {row.media: row for row in (*before, *self._unfinished.rows())}
        self._fingerprints = fingerprints([source.media for source in sources])
        self._rows: list[Video | None] = [None] * len(sources)
        self._todo: list[int] = []
        self._counts: Counter[Change] = Counter()
        for number, (source, fingerprint) in enumerate(zip(sources, self._fingerprints, strict=True)):
            row = known.get(source.media)
            if source.error is not None or not _is_utf8(source):
                self._counts["new" if row is None else "unchanged"] += 1
                self._rows[number] = self._row(number, Looked(error=source.error or "has a name that is not UTF-8."))
                continue
            change = change_of(row, fingerprint, check)
            self._counts[change] += 1
            if row is None or change != "unchanged":
                self._todo.append(number)
            else:
                looked = Looked(**{name: getattr(row, name) for name in OF_LOOKING})
                self._rows[number] = replace(self._row(number, looked), check=row.check)

    def run(self, *, num_workers: int, deadline_seconds: float) -> list[Video]:
        """All rows, without label numbers and split.

        Raises:
            WorkError: Interrupted by Ctrl-C.
        """
        tasks = [
            Task(self.sources[number].media, _num_bytes(self.sources[number].media, self._fingerprints[number]))
            for number in self._todo
        ]
        looked = look_at_all(tasks, check=self.check, num_workers=num_workers, deadline_seconds=deadline_seconds)
        try:
            for task, found in progress(looked, total=len(tasks), description="indexing", unit="video"):
                self._rows[self._todo[task]] = self._row(self._todo[task], found)
                self._unfinished.keep(self._rows)
        except BaseException as error:
            looked.close()  # ends the processes before anything else
            self._unfinished.keep(self._rows, now=True)
            if isinstance(error, KeyboardInterrupt) and self._unfinished.path is not None:
                num_done = sum(row is not None for row in self._rows)
                raise WorkError(
                    f"interrupted when {num_done} of {len(self._rows)} videos were done; they are kept in "
                    f"{self._unfinished.path}. Give the same command again to go on."
                ) from None
            raise
        return [row for row in self._rows if row is not None]

    def changes(self, rows: Sequence[Video]) -> Changes:
        """How the finished rows differ from those before."""
        now = {row.media for row in rows}
        splits = {row.media: row.split for row in self._before if row.split is not None}
        return Changes(
            new=self._counts["new"],
            changed=self._counts["changed"],
            again=self._counts["again"],
            unchanged=self._counts["unchanged"],
            vanished=len({row.media for row in self._before} - now),
            unreadable=sum(row.error is not None for row in rows),
            resplit=sum(row.split is not None and splits.get(row.media, row.split) != row.split for row in rows),
        )

    def _row(self, number: int, looked: Looked) -> Video:
        source = self.sources[number]
        error, promised = looked.error, source.num_frames
        if error is None and promised is not None and promised != len(looked.seconds):
            error = f"has {len(looked.seconds)} frames where its data set promises {promised}."
        return Video(
            video=number,
            name=source.name,
            media=source.media,
            label=source.label,
            label_id=-1,
            num_frames=len(looked.seconds),
            split=None,
            fingerprint=self._fingerprints[number],
            check=self.check,
            weight=source.weight,
            group=source.group,
            refused=source.error is not None,
            **{name: getattr(looked, name) for name in OF_LOOKING if name != "error"},
            error=error,
        )


def _num_bytes(media: Media, fingerprint: Fingerprint | None) -> int:
    if media.num_bytes is not None:
        return media.num_bytes
    return 0 if fingerprint is None else fingerprint.file_bytes


def _is_utf8(source: Source) -> bool:
    try:
        f"{source.name}{source.media.path}".encode()
    except UnicodeEncodeError:
        return False
    return True
