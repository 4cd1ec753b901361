"""A part of the page that may be missing: its value, or one line on why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

Value = TypeVar("Value")
Made = TypeVar("Made")
LONGEST_REASON = 300


@dataclass(frozen=True)
class Part(Generic[Value]):
    """What a place of the page shows.

    Attributes:
        value: None where it cannot be shown.
        reason: Then one or two sentences on why, and on what to do.
        is_broken: Whether something is wrong, and not merely not there yet.
    """

    value: Value | None = None
    reason: str = ""
    is_broken: bool = False

    def then(self, make: Callable[[Value], Made], *, what: str) -> "Part[Made]":
        """The part made of this one; if this is missing, or making fails, a missing part that says so.

        Args:
            make: What is made of the value.
            what: What it is made from, for the reason: "evaluation/metrics.json".
        """
        value = self.value
        if value is None:
            return Part(None, self.reason, self.is_broken)
        return attempt(partial(make, value), f"{what} is not as expected")


def read(path: Path, reader: Callable[[Path], Value], *, absent: str) -> Part[Value]:
    """Read a file, which may be absent or broken.

    Args:
        path: The file.
        reader: Reads it; whatever it raises becomes the reason.
        absent: The reason if there is no such file.
    """
    if not path.is_file():
        return Part(None, absent)
    return attempt(lambda: reader(path), f"{path.name} cannot be read")


def attempt(make: Callable[[], Value], complaint: str) -> Part[Value]:
    """`make()`, or a missing part whose reason is `complaint` and the first line of the error."""
    try:
        return Part(make())
    # A page with one hole in it, said in its place, is worth more than no page: so whatever a broken file raises,
    # in whichever of five parsers, ends here and is shown.
    except Exception as error:
        cause = str(error).strip().splitlines()[:1] or [""]
        return Part(None, f"{complaint} ({type(error).__name__}: {cause[0][:LONGEST_REASON]}).", is_broken=True)
