"""Text lists: `path`, `path label`, and the three columns of VideoMAE."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videossl.data.media import Media
from videossl.data.places import LocalPlace, Place
from videossl.data.sources.base import (
    DEFAULT_FRAMES_PER_SECOND,
    IMAGE_SUFFIXES,
    SUFFIXES,
    Source,
    check_names,
    has_suffix,
)
from videossl.data.sources.frames import rate_or_default
from videossl.data.sources.listed import ListedFiles
from videossl.errors import UsageError

HEADER_WORDS = frozenset(
    {"clip", "file", "file_name", "filename", "file_path", "filepath", "path", "video", "video_path"}
)
INTEGER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Line:
    """One line of a list.

    Attributes:
        number: From 1.
        path: As it is written, without quotes.
        rest: The columns behind it: none, a label, or two integers.
    """

    number: int
    path: str
    rest: tuple[str, ...] = ()

    @property
    def integers(self) -> tuple[int, int]:
        """The two columns behind the path."""
        return int(self.rest[0]), int(self.rest[1])


def in_list(place: Place, frames_per_second: float | None) -> list[Source]:
    """The videos of a UTF-8 text list, one a line, in the order of the lines.

    A line is `path` or `path label`, separated by spaces, a comma or a tab; what exists decides where a path ends, so
    paths may have spaces and commas without quotes, and labels may have spaces behind a comma or a tab. Quotes are as
    in CSV. Empty lines and lines that begin with # are passed over, and so is a first line whose first word is `path`,
    `video`, `filename` or the like. A path that does not exist is found with an error; it must end like a video.

    Three columns with two integers are VideoMAE's (V2, MGMAE and others have the same):
    `video 0 -1` (start, total frames; below 0: not frames but a file): the whole video, no label.
    `frame_folder start total` (pretraining) and `frame_folder total label` (fine-tuning) look alike. Which is meant is
    told by the folders: the list is of the second kind if `total` is the number of pictures in each of them, else of
    the first if the pictures from number `start` (in the names of the files) to `start + total - 1` are in each.

    Raises:
        UsageError: No such list, nothing in it, or a line that has no such meaning.
    """
    where = f"the list {place.address}"
    lines = _lines(place)
    if not lines:
        raise UsageError(f"{where} names no video. Write one `path label` a line.")
    listed = ListedFiles(place.parent, frames_per_second or DEFAULT_FRAMES_PER_SECOND)
    parsed = [_parsed(number, line, listed, where) for number, line in lines]
    sources = _sources(parsed, listed, where)
    if any(source.media.is_frame_folder for source in sources):
        rate_or_default(frames_per_second, place.address)
    check_names(sources, where)
    return sources


def _lines(place: Place) -> list[tuple[int, str]]:
    try:
        with place.open() as file:
            text = file.read().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{place.address} is neither a video (by its suffix) nor a readable UTF-8 list.") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    first = lines[0][1].replace(",", " ").replace('"', " ").split() if lines else []
    return lines[1:] if first and first[0].lower() in HEADER_WORDS else lines


def _parsed(number: int, line: str, listed: ListedFiles, where: str) -> Line:
    """Path and columns of a line: the first reading of it whose path exists, else the first that ends like a video."""
    readings = _readings(number, line)
    for reading in readings:
        if listed.exists(reading.path):
            return _checked(reading, where)
    for reading in readings:
        if has_suffix(reading.path, SUFFIXES):
            return _checked(reading, where)
    raise UsageError(
        f"line {number} of {where} names no video that exists: {line}. Paths are relative to the folder of the list; a "
        "label stands behind the path."
    )


def _readings(number: int, line: str) -> list[Line]:
    if "\t" in line:
        path, *rest = (_unquoted(part) for part in line.split("\t"))
        return [Line(number, path, tuple(rest))]
    readings = [Line(number, line)]
    if '"' in line:
        for separator in (",", " "):
            path, *rest = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
            readings.append(Line(number, path.strip(), tuple(part.strip() for part in rest)))
    separators: tuple[tuple[str | None, int], ...] = ((",", 1), (",", 2), (None, 1), (None, 2))
    for between, columns in separators:
        parts = line.rsplit(between, columns)
        if len(parts) == columns + 1:
            readings.append(Line(number, parts[0].strip(), tuple(part.strip() for part in parts[1:])))
    return readings


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _checked(line: Line, where: str) -> Line:
    if len(line.rest) < 2 or (len(line.rest) == 2 and all(INTEGER.fullmatch(text) for text in line.rest)):
        return line
    raise UsageError(
        f"line {line.number} of {where} has more columns than `path label`. Put a tab or a comma before a label with "
        "spaces; several columns with names (path,label,...) go into a .csv file with a header."
    )


def _sources(lines: Sequence[Line], listed: ListedFiles, where: str) -> list[Source]:
    folders = {
        line: _picture_numbers(listed.media(line.path))
        for line in lines
        if len(line.rest) == 2 and listed.media(line.path).is_frame_folder
    }
    has_labels = bool(folders) and all(line.integers[0] == len(numbers) for line, numbers in folders.items())
    sources = []
    for line in lines:
        media = listed.media(line.path)
        label: str | None = line.rest[0] or None if line.rest else None
        num_frames: int | None = None
        name = group = listed.name(line.path)
        if line in folders and has_labels:
            num_frames, label = line.integers[0], line.rest[1]
        elif line in folders:
            (start, total), numbers, label = line.integers, folders[line], None
            if total <= 0 or start not in numbers or len(numbers) < numbers.index(start) + total:
                raise UsageError(
                    f"line {line.number} of {where} says {start} {total}, and its folder has {len(numbers)} pictures: "
                    "this is neither `folder start total` nor `folder total label` for the whole list."
                )
            num_frames, first = total, numbers.index(start)
            if total < len(numbers):
                rate = listed.frames_per_second
                media = replace(media, start_seconds=first / rate, end_seconds=(first + total) / rate)
                name = f"{group}#{start}-{start + total - 1}"
        elif len(line.rest) == 2:
            label = None
            if line.integers[1] >= 0:
                raise UsageError(
                    f"line {line.number} of {where} has two numbers behind a video: {' '.join(line.rest)}. Expected "
                    "`path label`, or VideoMAE's `path 0 -1`; stretches of a file go into a .csv with a header: "
                    "path,start_seconds,end_seconds."
                )
        sources.append(Source(media, name, label, group=group, num_frames=num_frames, error=listed.error(line.path)))
    return sources


def _picture_numbers(folder: Media) -> list[int]:
    """Numbers in the names of the pictures, in order; their places from 0 where the names have none."""
    names = [file.relative for file in LocalPlace(Path(folder.path)).files() if len(file.relative.parts) == 1]
    stems = [name.stem for name in names if has_suffix(name.name, IMAGE_SUFFIXES)]
    digits = [stem[len(stem.rstrip("0123456789")) :] for stem in stems]
    return sorted(int(number) for number in digits) if all(digits) else list(range(len(stems)))
