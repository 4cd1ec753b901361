"""`videossl events`: where something else begins in the videos of a table."""

from pathlib import Path

from videossl.errors import UsageError
from videossl.tables.events import Events, find_events
from videossl.tables.table import EmbeddingTable
from videossl.tables.times import read_times
from videossl.tables.writing import check_out, write_found
from videossl.wording import counted

SHOWN = 10
MOST_NOVELTY = 4  # of two unit vectors that are opposite


def events_of(
    embeddings: Path,
    *,
    kernel_seconds: float,
    deviations: float,
    min_novelty: float | None,
    out: Path | None,
    overwrite: bool = False,
) -> str:
    """Find the boundaries of events in a table of embeddings, and write them.

    Args:
        embeddings: The table.
        kernel_seconds: See `find_events`.
        deviations: See `find_events`.
        min_novelty: See `find_events`.
        out: CSV, Parquet or JSON file; None: none is written.
        overwrite: Replace a file that is there.

    Returns:
        A summary for a terminal.

    Raises:
        UsageError: No such table, or options that cannot work.
    """
    check_out(out, embeddings=embeddings, overwrite=overwrite)
    for name, value in (("kernel_seconds", kernel_seconds), ("deviations", deviations), ("min_novelty", min_novelty)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"expected --{name} above 0, got {value}.")
    if min_novelty is not None and min_novelty > MOST_NOVELTY:
        raise UsageError(
            f"expected --min_novelty of at most {MOST_NOVELTY}, which no novelty exceeds, got {min_novelty}."
        )
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
        f"{counted(len(found), 'boundary', 'boundaries')} in {with_events} of {counted(events.num_videos, 'video')}, "
        f"with a novelty above {events.threshold:.3f} (of {MOST_NOVELTY})"
    )
    if events.too_short:
        names = ", ".join(events.too_short[:3])
        are = "1 video is" if len(events.too_short) == 1 else f"{len(events.too_short)} videos are"
        lines.append(f"{are} shorter than the kernel, and nothing is looked for there: {names}")
    if events.num_gaps:
        places = counted(events.num_gaps, "place")
        lines.append(f"{places} where rows are missing: nothing is looked for there")
    if out is not None:
        lines.append(f"boundaries: {out}")
    return lines
