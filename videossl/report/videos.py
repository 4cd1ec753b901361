"""What the index says about the videos: how many, how long, which classes, which could not be read."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from videossl.report.numbers import number
from videossl.wording import counted

SHOWN_AT_ONCE = 12


@dataclass(frozen=True)
class Videos:
    """The videos of a run.

    Attributes:
        num_total: All that were found.
        num_train: Readable, trained on.
        num_heldout: Readable, never trained on.
        length: Their length in words.
        size: Their size in pixels in words.
        labels: (class, number of readable videos), the most frequent first.
        failures: (video, cause) of all that could not be read.
    """

    num_total: int
    num_train: int
    num_heldout: int
    length: str
    size: str
    labels: list[tuple[str, int]]
    failures: list[tuple[str, str]]


def videos(index: pd.DataFrame, unreadable: list[tuple[str, str]]) -> Videos:
    """Sum up the index.

    Args:
        index: One row a video; columns `name`, `split`, `error` and, if known, length, size and label.
        unreadable: Failures that were found later, during training.
    """
    failed = index["error"].notna()
    failures = dict(zip(index.loc[failed, "name"].astype(str), index.loc[failed, "error"].astype(str), strict=True))
    failures |= {video: cause for video, cause in unreadable if video not in failures}
    readable = index[~failed & ~index["name"].astype(str).isin(failures.keys())]
    labels = readable["label"].dropna().astype(str).value_counts() if "label" in readable else pd.Series(dtype=int)
    return Videos(
        num_total=len(index),
        num_train=int((readable["split"] == "train").sum()),
        num_heldout=int((readable["split"] == "heldout").sum()),
        length=_length(readable),
        size=_size(readable),
        labels=[(str(label), int(count)) for label, count in labels.items()],
        failures=list(failures.items()),
    )


def label_names(index: pd.DataFrame) -> dict[int, str]:
    """label_id -> class name."""
    known = index[["label_id", "label"]].dropna().drop_duplicates("label_id")
    return {int(number_): str(name) for number_, name in zip(known["label_id"], known["label"], strict=True)}


def _length(readable: pd.DataFrame) -> str:
    if readable.empty or "num_frames" not in readable:
        return ""
    text = _range(readable["num_frames"].to_numpy(float), "frame")
    if "seconds" in readable:
        lasts = np.array([times[-1] for times in readable["seconds"] if times is not None and len(times)])
        if len(lasts):
            text += f", the last one shown at {_range(lasts, 'second')}"
    return text


def _size(readable: pd.DataFrame) -> str:
    if readable.empty or not {"height", "width"} <= set(readable.columns):
        return ""
    sizes = (readable["width"].astype(int).astype(str) + " × " + readable["height"].astype(int).astype(str)).unique()
    few = [str(size) for size in sizes[:3]]
    more = f" and {counted(len(sizes) - 3, 'other size')}" if len(sizes) > 3 else ""
    return ", ".join(few) + more + " pixels"


def _range(values: np.ndarray, noun: str) -> str:
    low, middle, high = float(values.min()), float(np.median(values)), float(values.max())
    if low == high:
        return f"{number(low)} {noun}{'' if low == 1 else 's'}"
    return f"{number(low)} to {number(high)} {noun}s (half of them at most {number(middle)})"
