"""Write a store: frames decoded and resized once, for videos that are read many times. Its format: see `stored`."""

import csv
import fcntl
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videossl.data.decode.base import VideoReader
from videossl.data.fingerprint import fingerprints
from videossl.data.sources import Source
from videossl.data.store_writer import Decoder, Writer
from videossl.data.stored import (
    FRAMES_SUFFIX,
    JOURNAL,
    MARKER,
    VERSION,
    is_store,
    read_journal,
    read_marker,
)
from videossl.errors import UsageError, WorkError
from videossl.files import replacing
from videossl.progress import progress
from videossl.types import Failure

LOCK = ".lock"
UNREADABLE = "unreadable.csv"


@dataclass(frozen=True)
class Stored:
    """What a store holds after it was written.

    Attributes:
        num_videos: Videos in the store.
        num_new: Of these, written by this call.
        num_frames: Frames of all of them.
        num_bytes: Bytes of all of them.
        failures: Videos that could not be read whole, and are not in the store.
    """

    num_videos: int
    num_new: int
    num_frames: int
    num_bytes: int
    failures: tuple[Failure, ...]


def write_store(
    sources: Sequence[Source],
    out: Path,
    *,
    reader: type[VideoReader],
    frame_size: int,
    target_fps: float | None = None,
    num_workers: int = 1,
    deadline_seconds: float | None = 60.0,
) -> Stored:
    """Write all videos into a store, or those that an earlier call did not come to or that have changed since.

    Every video that is finished is kept, however this ends; the store can be read when all are.

    Args:
        sources: The videos.
        out: Folder of the store.
        reader: Class that decodes.
        frame_size: Side in pixels: the centre square of the picture, resized.
        target_fps: Keep the frames nearest to instants at this rate, each once and with its own time; None: all.
        num_workers: Processes that decode.
        deadline_seconds: Longest time that decoding 256 frames may take; None for no limit.

    Raises:
        UsageError: The store was begun with other settings, or another process writes it.
        WorkError: It cannot be written to the end.
    """
    settings = {"frame_size": frame_size, "target_fps": target_fps}
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        _check_settings(out, settings)
        names = [source.name for source in sources]
        journal = {entry["name"]: entry for entry in read_journal(out)}
        prints = fingerprints([source.media for source in sources])
        wanted = {
            source.name: {"address": str(source.media), "fingerprint": None if found is None else asdict(found)}
            for source, found in zip(sources, prints, strict=True)
        }
        done = {
            name: entry
            for name, entry in journal.items()
            if name in wanted and wanted[name]["fingerprint"] and wanted[name].items() <= entry.items()
        }
        _write_journal(out, list(done.values()))  # without half a line, and without what has changed
        _write_marker(out, settings | {"complete": False, "videos": []})
        decoder = Decoder(reader, frame_size, target_fps)
        writer = Writer(out, decoder, deadline_seconds, list(done.values()))
        todo = [source for source in sources if source.name not in done]
        failures: dict[str, Failure] = {}
        for source, entry in progress(
            _in_threads(writer, todo, num_workers), total=len(todo), description="caching", unit="video"
        ):
            if isinstance(entry, Failure):
                failures[entry.video] = entry
            else:
                done[source.name] = entry | wanted[source.name]
                with (out / JOURNAL).open("a") as file:
                    file.write(json.dumps(done[source.name], ensure_ascii=True) + "\n")
        named = {source.name: source for source in sources}
        entries = [
            done[name] | {key: getattr(named[name], key) for key in ("label", "weight", "group")}
            for name in names
            if name in done
        ]
        _write_journal(out, entries)
        listed = tuple(failures[name] for name in names if name in failures)
        _write_failures(out, listed)
        _write_marker(out, settings | {"complete": True, "videos": [entry["name"] for entry in entries]})
    return Stored(
        num_videos=len(entries),
        num_new=len(todo) - len(listed),
        num_frames=sum(entry["num_frames"] for entry in entries),
        num_bytes=sum(entry["num_bytes"] for entry in entries),
        failures=listed,
    )


def _in_threads(
    writer: Writer, sources: Sequence[Source], num_workers: int
) -> Iterator[tuple[Source, dict[str, Any] | Failure]]:
    """Write videos; yield each with its entry as soon as it is finished."""
    waiting = iter(sources)
    running: dict[Future[dict[str, Any] | Failure], Source] = {}
    with ThreadPoolExecutor(max(1, num_workers)) as threads:
        try:
            while True:
                for source in waiting:
                    running[threads.submit(writer, source)] = source
                    if len(running) >= 2 * num_workers:
                        break
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    source = running.pop(future)
                    yield source, future.result()
        except BaseException as error:
            writer.stopped = True
            for future in running:
                future.cancel()
            if isinstance(error, KeyboardInterrupt):
                raise WorkError("interrupted; finished videos are kept. The same command goes on from there.") from None
            raise


def delete_store(out: Path) -> None:
    """Delete the files of a store and nothing else that lies in its folder.

    Raises:
        UsageError: Another process writes it.
    """
    with alone(out):
        for pattern in (MARKER, JOURNAL, UNREADABLE, f"frames-*{FRAMES_SUFFIX}"):
            for path in out.glob(pattern):
                path.unlink()


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other processes from writing this store.

    Raises:
        UsageError: One does so already.
    """
    with (out / LOCK).open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: processes that decode would inherit it
        except OSError as error:
            raise UsageError(
                f"another process writes {out} at this moment. Wait for it, or choose another --out."
            ) from error
        yield


def _check_settings(out: Path, settings: dict[str, Any]) -> None:
    if not is_store(out):
        return
    marker = read_marker(out)
    for name, value in settings.items():
        if marker[name] != value:
            raise UsageError(
                f"{out} was made with --{name} {marker[name]}, and now {value} is asked for. Choose another --out, or "
                "make it again with --overwrite true."
            )


def _write_marker(out: Path, content: dict[str, Any]) -> None:
    with replacing(out / MARKER) as temporary:
        temporary.write_text(json.dumps({"what": "frames decoded by `videossl cache`", "version": VERSION} | content))


def _write_journal(out: Path, entries: list[dict[str, Any]]) -> None:
    with replacing(out / JOURNAL) as temporary:
        temporary.write_text("".join(json.dumps(entry, ensure_ascii=True) + "\n" for entry in entries))


def _write_failures(out: Path, failures: Sequence[Failure]) -> None:
    if not failures:
        (out / UNREADABLE).unlink(missing_ok=True)
        return
    with replacing(out / UNREADABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "cause"])
        writer.writerows([failure.video, failure.cause] for failure in failures)
