"""Write what was found in a table, in the form that the name of the file asks for."""

from pathlib import Path

import pandas as pd

from videossl.errors import UsageError
from videossl.files import replacing

SUFFIXES = (".csv", ".parquet", ".json")
DIGITS = 9  # behind the point: nanoseconds


def check_out(out: Path | None, *, embeddings: Path, overwrite: bool, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Make sure that a file of results can be written, before the work begins.

    Args:
        out: The file; None: none is written.
        embeddings: The table that is read: nothing is written into it.
        overwrite: Whether a file that is there may be replaced.
        suffixes: What it may end in, in small letters.

    Raises:
        UsageError: A file of another kind, or one that must not be replaced.
    """
    if out is None:
        return
    if out.suffix.lower() not in suffixes:
        raise UsageError(f"expected --out to end in {', '.join(suffixes)}, got {out}.")
    table = embeddings.resolve()
    for place in (out.resolve(), out.parent.resolve() / out.name):  # a link, and what it leads to
        if place == table or table in place.parents:
            raise UsageError(f"{out} is in {embeddings}, the table of embeddings that is read. Choose another --out.")
    if out.is_dir():
        raise UsageError(f"expected --out to be a file, and {out} is a folder. Choose another --out.")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists. Choose another --out, or replace it with --overwrite true.")


def write_found(found: pd.DataFrame, out: Path) -> None:
    """Write rows as CSV, Parquet or JSON (a list of objects), by the suffix of `out`; numbers to nine decimals."""
    found = found.round(DIGITS)  # a time is a sum: 10.000000000000002
    with replacing(out) as temporary:
        if out.suffix.lower() == ".parquet":
            found.to_parquet(temporary, index=False)
        elif out.suffix.lower() == ".csv":
            found.to_csv(temporary, index=False)
        else:
            found.to_json(temporary, orient="records", indent=1, force_ascii=False, double_precision=DIGITS)
