"""What is read from embeddings: classes and quantities, one for each row of a table."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from videossl.errors import UsageError

MOST_INTEGER_CLASSES = 100
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Target:
    """Something that is known of the rows of a table.

    Attributes:
        name: Of the target.
        values: (n,) int64 classes, -1 where unknown; or (n, A) float quantities, NaN where unknown.
        classes: Names of the classes; empty for quantities.
        note: Of how many rows it is not known; empty if of all it is.
    """

    name: str
    values: NDArray[np.int64] | NDArray[np.float64]
    classes: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_class(self) -> bool:
        """Whether it is a class; else it is quantities."""
        return self.values.ndim == 1

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether it is known of a row."""
        if self.is_class:
            return np.asarray(self.values != UNKNOWN)
        return np.asarray(np.isfinite(self.values).all(axis=1))

    def among(self, rows: NDArray[np.int64]) -> "Target":
        """Of some of the rows, by number."""
        return Target(self.name, self.values[rows], self.classes, self.note)

    def with_note(self, labelled: NDArray[np.bool_]) -> "Target":
        """With a note on those of the labelled rows of which it is missing or infinite."""
        infinite = np.zeros(len(labelled), np.bool_) if self.is_class else np.isinf(self.values).any(axis=1)
        counts = {
            "missing": int((labelled & ~self.known & ~infinite).sum()),
            "infinite": int((labelled & infinite).sum()),
        }
        said = " and ".join(f"{word} in {count}" for word, count in counts.items() if count)
        note = f"it is {said} of {int(labelled.sum())} rows that have labels" if said else ""
        return Target(self.name, self.values, self.classes, note)


@dataclass(frozen=True, eq=False)
class Labels:
    """All that is known of the rows of a table.

    Attributes:
        targets: What may be read.
        split: (n,) part of each row as somebody gave it ("" where unknown), or None.
        notes: What was left out and why, a sentence each.
    """

    targets: tuple[Target, ...]
    split: NDArray[np.str_] | None = None
    notes: list[str] = field(default_factory=list)

    def chosen(self, names: list[str] | None) -> "Labels":
        """Only some of the targets.

        Raises:
            UsageError: There is none of that name.
        """
        if names is None:
            return self
        of_name = {target.name: target for target in self.targets}
        if not names:
            raise UsageError(
                f"expected at least one of --targets: {', '.join(of_name) or 'none'}. Leave it out for all."
            )
        for name in names:
            if name not in of_name:
                raise UsageError(f"the labels have no target {name}. They have: {', '.join(of_name) or 'none'}.")
        return Labels(tuple(of_name[name] for name in names), self.split, self.notes)


def target_of(column: pd.Series) -> Target | None:
    """A column of labels as a target; None if nothing in it is known.

    Strings, truth values and integers of up to 100 kinds are classes; other numbers, and lists of them, quantities.

    Raises:
        UsageError: Lists of different lengths, or something that is no label.
    """
    name, known = str(column.name), column.notna()
    if not known.any():
        return None
    first = column[known].iloc[0]
    if isinstance(first, np.ndarray | list | tuple):
        return Target(name, _lists(name, column, len(first)))
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return _classes(name, column)
    if pd.api.types.is_integer_dtype(column) and column.nunique() <= MOST_INTEGER_CLASSES:
        return _classes(name, column)
    return Target(name, column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None])


def _classes(name: str, column: pd.Series) -> Target:
    try:
        kinds = sorted(column.dropna().unique().tolist())
    except TypeError as error:
        raise UsageError(f"the label column {name} mixes kinds of values: {error}. Make them all strings.") from error
    number = {kind: place for place, kind in enumerate(kinds)}
    values = column.map(number).fillna(UNKNOWN).to_numpy(np.int64)
    return Target(name, values, tuple(map(str, kinds)))


def _lists(name: str, column: pd.Series, length: int) -> NDArray[np.float64]:
    values = np.full((len(column), length), np.nan)
    for row, cell in enumerate(column):
        if cell is None or (isinstance(cell, float) and np.isnan(cell)):
            continue
        try:
            values[row] = np.asarray(cell, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"expected the lists in the label column {name} to be {length} numbers each, got {cell}."
            ) from error
    return values
