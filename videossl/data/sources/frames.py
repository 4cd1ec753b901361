"""Folders of pictures, each of them one video."""

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from videossl.data.media import Media
from videossl.data.places import Found, Place
from videossl.data.sources.base import DEFAULT_FRAMES_PER_SECOND, IMAGE_SUFFIXES, Source, has_suffix
from videossl.data.sources.folder import folder_labels
from videossl.errors import UsageError

logger = logging.getLogger(__name__)


def in_frame_folders(root: Place, files: Sequence[Found], frames_per_second: float | None) -> list[Source]:
    """One video for each folder of a tree in which pictures lie.

    Its name is the path of the folder; if the folders lie in two or more folders, these are the labels. A folder in
    which a picture must not be opened is found with an error.

    Args:
        root: The tree; if pictures lie in itself, it is a video too, named after it.
        files: All files of the tree.
        frames_per_second: Of all of them; None for 25, which is logged.
    """
    problems: dict[PurePosixPath, str | None] = {}
    for file in files:
        if file.is_folder:
            problems[file.relative] = file.error
        elif has_suffix(file.address, IMAGE_SUFFIXES):
            folder = file.relative.parent
            problem = f"holds {file.relative.name}, which {file.error}" if file.error else None
            problems[folder] = problems.get(folder) or problem
    rate = rate_or_default(frames_per_second, root.address)
    labels = folder_labels(list(problems))
    return [
        Source(
            Media((root if folder == PurePosixPath() else root.at(str(folder))).address, frames_per_second=rate),
            root.name if folder == PurePosixPath() else folder.as_posix(),
            labels[folder],
            error=problem,
        )
        for folder, problem in sorted(problems.items())
    ]


def in_picture_folder(root: Place, files: Sequence[Found]) -> list[Source]:
    """The pictures of a tree, each a video of one frame; if they lie in two or more folders, these are the labels.

    Raises:
        UsageError: There are none.
    """
    pictures = [file for file in files if has_suffix(file.address, IMAGE_SUFFIXES)]
    if not pictures:
        raise UsageError(f"no picture in the folder {root.address}: expected jpg or png files, as images: true says.")
    labels = folder_labels([file.relative for file in pictures])
    return [
        Source(Media(file.address), file.relative.as_posix(), labels[file.relative], error=file.error)
        for file in pictures
    ]


def rate_or_default(frames_per_second: float | None, where: str) -> float:
    """The rate that was given, or 25, with a line in the log."""
    if frames_per_second is not None:
        return frames_per_second
    logger.warning(
        "no frames_per_second is given for the frame folders of %s: they are taken to have %g.",
        where,
        DEFAULT_FRAMES_PER_SECOND,
    )
    return DEFAULT_FRAMES_PER_SECOND
