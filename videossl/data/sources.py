"""Which files are meant by a folder, a file or a list."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from videossl.errors import UsageError

SUFFIXES = frozenset({".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"})
MOST_SUFFIXES_NAMED = 5


@dataclass(frozen=True)
class Source:
    """A video file before anybody looked into it.

    Attributes:
        path: Absolute path of the file.
        name: Stable id: the path relative to the folder (or to the folder of the list), with forward slashes.
        label: Class of the video, None if it has none.
    """

    path: Path
    name: str
    label: str | None = None


def find_videos(videos: Path) -> list[Source]:
    """The videos of a folder tree, a single file, or a text list.

    *Folder*: all files in it, at any depth, whose suffix is a video's (`SUFFIXES`, in any case), sorted by name. Names
    that begin with a dot are left out: they are what other programs left behind. If the files lie in two or more
    folders, the folder in which a file lies is its label; files that lie in `videos` itself have none.

    *Single file*: a file with a video suffix.

    *List*: any other file, UTF-8 text, one video a line, `path` or `path label`, in the order of the lines. Paths are
    relative to the folder of the list. If a line has a tab, what follows the last tab is the label; else if the whole
    line is a file that exists, it has no label, so paths with spaces need no quotes; else what follows the last space
    is the label. Empty lines and lines that begin with # are passed over.

    Raises:
        UsageError: There is no such folder, no video in it, or a line of the list names a file that does not exist.
    """
    if videos.is_dir():
        return _in_folder(videos)
    if not videos.exists():
        raise UsageError(
            f"no such folder or file of videos: {videos}. Give a folder, a video or a list of `path label`."
        )
    if videos.suffix.lower() in SUFFIXES:
        return [Source(videos.absolute(), videos.name)]
    return _in_list(videos)


def _in_folder(root: Path) -> list[Source]:
    files = list(_files(root))
    found = sorted((path.relative_to(root), path) for path in files if path.suffix.lower() in SUFFIXES)
    if not found:
        wanted = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        if not files:
            raise UsageError(f"the folder {root} is empty. Put video files into it ({wanted}), in folders if you like.")
        suffixes = Counter(path.suffix.lower() or "no suffix" for path in files).most_common(MOST_SUFFIXES_NAMED)
        got = ", ".join(f"{count} x {suffix}" for suffix, count in suffixes)
        raise UsageError(f"no video in the folder {root}: expected files that end in {wanted}; found {got}.")
    has_classes = len({relative.parent for relative, _ in found}) >= 2
    return [
        Source(path.absolute(), relative.as_posix(), relative.parent.name or None if has_classes else None)
        for relative, path in found
    ]


def _files(root: Path) -> Iterator[Path]:
    """Files under a folder, links to folders followed, each folder visited once."""
    visited: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _in_list(path: Path) -> list[Source]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} is neither a video (by its suffix) nor a readable UTF-8 list of videos.") from error
    sources = [
        _from_line(path, number, line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not sources:
        raise UsageError(f"the list {path} names no video. Write one `path label` a line.")
    name, times = Counter(source.name for source in sources).most_common(1)[0]
    if times > 1:
        raise UsageError(f"the list {path} names {name} {times} times; expected every video once.")
    return sources


def _from_line(path: Path, number: int, line: str) -> Source:
    root = path.absolute().parent
    label: str | None = None
    if "\t" in line:
        line, label = (part.strip() for part in line.rsplit("\t", maxsplit=1))
    elif not (root / line).is_file() and " " in line:
        line, label = (part.strip() for part in line.rsplit(maxsplit=1))
    file = root / line
    if not file.is_file():
        raise UsageError(
            f"line {number} of {path} names a file that does not exist: {file}. "
            "Paths are relative to the folder of the list; a label stands behind the path."
        )
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else Path(line).as_posix()
    return Source(file, name, label or None)
