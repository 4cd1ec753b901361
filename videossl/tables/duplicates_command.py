"""`videossl duplicates`: which videos of a table show the same."""

from pathlib import Path

import pandas as pd

from videossl.errors import UsageError
from videossl.tables.near_duplicates import Duplicates, find_duplicates
from videossl.tables.spans import end_seconds
from videossl.tables.table import EmbeddingTable
from videossl.tables.times import read_times
from videossl.tables.writing import check_out, write_found
from videossl.wording import counted

SHOWN = 10
WHOLE = 0.95  # of both videos: the videos are the same, not only a stretch of them
MUCH = 0.01
REMEDY = ": many of these pairs mean nothing, raise --threshold"


def duplicates_of(
    embeddings: Path, *, threshold: float, min_seconds: float, out: Path | None, overwrite: bool = False
) -> str:
    """Find the stretches that videos of a table share, and write them.

    Args:
        embeddings: The table.
        threshold: See `find_duplicates`.
        min_seconds: See `find_duplicates`.
        out: CSV, Parquet or JSON file; None: none is written.
        overwrite: Replace a file that is there.

    Returns:
        A summary for a terminal.

    Raises:
        UsageError: No such table, or options that cannot work.
    """
    check_out(out, embeddings=embeddings, overwrite=overwrite)
    if not 0 < threshold <= 1:
        raise UsageError(f"expected --threshold above 0 and at most 1, got {threshold}.")
    if not 0 < min_seconds < float("inf"):
        raise UsageError(f"expected --min_seconds above 0, got {min_seconds}.")
    table = EmbeddingTable(embeddings)
    rows = read_times(table)
    duplicates = find_duplicates(rows, end_seconds(table, rows), threshold=threshold, min_seconds=min_seconds)
    if out is not None:
        write_found(duplicates.found, out)
    return "\n".join(_lines(duplicates, threshold, out))


def _lines(duplicates: Duplicates, threshold: float, out: Path | None) -> list[str]:
    found = duplicates.found
    lines = [_line(row) for _, row in found[:SHOWN].iterrows()]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} shorter ones")
    whole = int(((found["share_a"] >= WHOLE) & (found["share_b"] >= WHOLE)).sum())
    if duplicates.num_videos == 1:
        lines.append("the table has 1 video, and no other to compare it with")
    else:
        stretches = counted(len(found), "shared stretch", "shared stretches")
        lines.append(
            f"{stretches} among {duplicates.num_videos} videos; {whole} of them {'is' if whole == 1 else 'are'} "
            "two whole videos"
        )
        lines.append(
            f"by chance, {duplicates.share_by_chance:.2%} of random pairs of frames of different videos are as alike "
            f"as {threshold:g}{REMEDY if duplicates.share_by_chance > MUCH else ''}"
        )
    if out is not None:
        lines.append(f"pairs: {out}")
    return lines


def _line(row: "pd.Series[float]") -> str:
    sides = []
    for side in ("a", "b"):
        start, end = row[f"start_{side}_seconds"], row[f"end_{side}_seconds"]
        until = "its end" if pd.isna(end) else f"{end:.2f} s"
        sides.append(f"{row[f'video_{side}']} {start:.2f}{' s' if pd.isna(end) else ''} to {until}")
    return f"{row['similarity']:.3f}  {' = '.join(sides)}"
