"""Videos of a folder tree, with class folders as labels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from videossl.data.media import Media
from videossl.data.places import Found, Place
from videossl.data.sources.base import IMAGE_SUFFIXES, SUFFIXES, Source, has_suffix
from videossl.errors import UsageError

MOST_SUFFIXES_NAMED = 5


def in_folder(files: Sequence[Found]) -> list[Source]:
    """The video files of a tree.

    If they lie in two or more folders, the folder in which a file lies is its label; files that lie in the root have
    none. Links that lead out of the tree, fifos, devices and sockets are found with an error.

    Args:
        files: All files of the tree.
    """
    videos = [file for file in files if has_suffix(file.address, SUFFIXES) or file.is_folder]
    labels = folder_labels([file.relative for file in videos if not file.is_folder])
    return [
        Source(Media(file.address), file.relative.as_posix(), labels.get(file.relative), error=file.error)
        for file in videos
    ]


def folder_labels(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, str | None]:
    """The folder in which each path lies, where there are two or more folders."""
    has_classes = len({path.parent for path in paths}) >= 2
    return {path: path.parent.name or None if has_classes else None for path in paths}


def nothing_found(root: Place, files: Sequence[Found]) -> UsageError:
    """What to say of a folder in which there is no video of any form."""
    wanted = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
    if not files:
        return UsageError(
            f"the folder {root.address} is empty. Put video files into it ({wanted}), in folders if you like."
        )
    suffixes = Counter(file.relative.suffix.lower() or "no suffix" for file in files).most_common(MOST_SUFFIXES_NAMED)
    got = ", ".join(f"{count} x {suffix}" for suffix, count in suffixes)
    images = "/".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    return UsageError(
        f"no video in the folder {root.address}: expected files that end in {wanted}, frame folders ({images}) or tar "
        f"shards; found {got}."
    )
