"""`videossl events`: where something else begins in the videos of a table."""

from pathlib import Path

from videossl.errors import UsageError
from videossl.tables.events import Events, find_events
from videossl.tables.table import EmbeddingTable
from videossl.tables.times import read_times
from videossl.tables.writing import check_suffix, write_found

SHOWN = 10


def events_of(
    embeddings: Path, *, kernel_seconds: float, deviations: float, min_novelty: float | None, out: Path | None
) -> str:
    """Find the boundaries of events in a table of embeddings, and write them.

    Args:
        embeddings: The table.
        kernel_seconds: See `find_events`.
        deviations: See `find_events`.
        min_novelty: See `find_events`.
        out: CSV, Parquet or JSON file; None: none is written.

    Returns:
        A summary for a terminal.

    Raises:
        UsageError: No such table, or options that cannot work.
    """
    check_suffix(out)
    for name, value in (("kernel_seconds", kernel_seconds), ("deviations", deviations), ("min_novelty", min_novelty)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"expected --{name} above 0, got {value}.")
    events = find_events(
        read_times(EmbeddingTable(embeddings)),
        kernel_seconds=kernel_seconds,
        deviations=deviations,
        min_novelty=min_novelty,
    )
    if out is not None:
        write_found(events.found, out)
    return "\n".join(_lines(events, out))


def _lines(events: Events, out: Path | None) -> list[str]:
    found = events.found.sort_values("novelty", ascending=False)
    lines = []
    if len(found):
        lines.append(f"{'novelty':>8} {'seconds':>10} {'frame':>8}  video")
        lines += [
            f"{row.novelty:>8.3f} {row.seconds:>10.2f} {row.frame:>8}  {row.video}"
            for row in found[:SHOWN].itertuples()
        ]
        if len(found) > SHOWN:
            lines.append(f"... and {len(found) - SHOWN} more, less new")
    with_events = found["video"].nunique()
    lines.append(
        f"{len(found)} boundaries in {with_events} of {events.num_videos} videos, with a novelty above "
        f"{events.threshold:.3f} (of 4)"
    )
    if events.too_short:
        names = ", ".join(events.too_short[:3])
        lines.append(f"{len(events.too_short)} videos are shorter than the kernel, nothing is found in them: {names}")
    if events.num_gaps:
        lines.append(f"{events.num_gaps} places where rows are missing: nothing is looked for across them")
    if out is not None:
        lines.append(f"boundaries: {out}")
    return lines
