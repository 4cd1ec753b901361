"""Whether a file is still the one that was looked into, told without reading it."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from videossl.data.media import Media
from videossl.data.places import RemotePlace

# Asking a network is waiting, not computing.
QUESTIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What changes when the file at an address does.

    Attributes:
        file_bytes: Of the file; of a folder of frames: of all its files together.
        file_mtime_ns: Time of its last change; of a folder of frames: the latest. None behind a URL.
        file_version: What the store behind a URL says of the file: it changes with it. None on this machine.
    """

    file_bytes: int
    file_mtime_ns: int | None = None
    file_version: str | None = None


def fingerprints(media: Sequence[Media]) -> list[Fingerprint | None]:
    """The fingerprint of each; None where there is no file, or it cannot be asked.

    A file is asked once, however many of the videos are pieces or stretches of it.
    """
    paths = list(dict.fromkeys(one.path for one in media))
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as threads:
        known = dict(zip(paths, threads.map(_fingerprint, paths), strict=True))
    return [known[one.path] for one in media]


def _fingerprint(path: str) -> Fingerprint | None:
    try:
        if Media(path).is_url:
            file_bytes, version = RemotePlace(path).status()
            return Fingerprint(file_bytes, file_version=version)
        status = Path(path).stat()
        if not Path(path).is_dir():
            return Fingerprint(status.st_size, status.st_mtime_ns)
        with os.scandir(path) as entries:
            return _of_all([status, *(entry.stat() for entry in entries if entry.is_file())])
    except (OSError, ValueError):  # ValueError: a path with a zero byte, or a URL that nothing installed reads
        return None


def _of_all(statuses: Iterable[os.stat_result]) -> Fingerprint:
    folder, *files = statuses
    return Fingerprint(sum(file.st_size for file in files), max(status.st_mtime_ns for status in (folder, *files)))
