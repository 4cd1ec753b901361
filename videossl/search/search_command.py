"""`videossl search`: what in a table of embeddings is like a video, a picture, or a row of it."""

import csv
from pathlib import Path
from typing import Literal

from videossl.data.sources.mixing import Videos
from videossl.errors import UsageError
from videossl.files import check_output, replacing
from videossl.search.pictures import PICTURE_SUFFIXES, Picture, find_media, picture_of_file, read_pictures
from videossl.search.query import Query, query_of_file, query_of_row
from videossl.search.sheet import Tile, write_html, write_png
from videossl.tables import EmbeddingTable, Hit, LanceIndex, nearest_rows

Index = Literal["exact", "lancedb"]
MORE = 8  # times as many rows are asked of an index as are wanted: some are of the same seconds
PNG, HTML, CSV = "contact.png", "contact.html", "hits.csv"
HEADER = ("rank", "similarity", "video", "frame", "seconds", "query_seconds")


def search(
    embeddings: Path,
    *,
    query: Path | None = None,
    query_video: str | None = None,
    query_frame: int | None = None,
    seconds: float | None = None,
    run: str | None = None,
    videos: Videos | None = None,
    number: int = 20,
    apart_seconds: float = 1.0,
    index: Index = "exact",
    out: Path | None = None,
    overwrite: bool = False,
    device: str = "cpu",
) -> str:
    """Find the nearest rows, and make a contact sheet of them.

    Args:
        embeddings: The table.
        query: Video or picture to search for.
        query_video: Name of a video of the table, instead.
        query_frame: Its row at this frame; None: its first.
        seconds: Only this time of the query video; None: whatever in it is nearest.
        run: The model; None: where the table says it is.
        videos: Where the videos are, for the pictures; None: where the table says.
        number: How many are found.
        apart_seconds: Two hits of one video are so far apart at least.
        index: "exact", or "lancedb" for an approximate index that is made once.
        out: Folder for the contact sheet and the list; None: neither is made.
        overwrite: Replace a contact sheet that is there.
        device: Where the model runs.

    Returns:
        What was found, for a terminal.

    Raises:
        UsageError: Options that cannot work, or a model that is not the table's.
    """
    if (query is None) == (query_video is None):
        raise UsageError("expected either --query (a video or picture) or --query_video (a video of the table).")
    if query is None and seconds is not None:
        raise UsageError("--seconds belongs to --query. Of a video of the table name the frame: --query_frame.")
    if query is not None and query_frame is not None:
        raise UsageError("--query_frame belongs to --query_video. Of a query file name the time: --seconds.")
    if number < 1 or apart_seconds < 0:
        raise UsageError(f"expected --number >= 1 and --apart_seconds >= 0, got {number} and {apart_seconds}.")
    if out is not None:
        check_output(out, overwrite=overwrite, marks=(HTML,))
    table = EmbeddingTable(embeddings)
    if table.level == "token":
        raise UsageError(f"{embeddings} has one row a token. Extract with --level frame, and search that.")
    if query_video is not None:
        wanted = query_of_row(table, query_video, query_frame)
    else:
        assert query is not None
        wanted = query_of_file(table, query, run, seconds=seconds, device=device)
    notes = [] if wanted.damage is None else [f"the query was not read whole: {wanted.damage}"]
    if index == "lancedb":
        lance = LanceIndex(table)
        if lance.was_made:
            notes.append(f"made an index of {table.num_rows} rows in {lance.folder}")
        candidates = lance.nearest(wanted.vectors, (asked := number * MORE))
    else:
        candidates, asked = nearest_rows(table, wanted.vectors), table.num_rows
    hits, passed_over = candidates.best(number, apart_seconds=apart_seconds, without=wanted.row)
    while len(hits) < number and asked < table.num_rows:  # too many of the nearest are of the same seconds
        asked *= MORE
        candidates = lance.nearest(wanted.vectors, asked)
        hits, passed_over = candidates.best(number, apart_seconds=apart_seconds, without=wanted.row)
    if passed_over:
        rows = "1 row" if passed_over == 1 else f"{passed_over} rows"
        are = "is" if passed_over == 1 else "are"
        notes.append(f"{rows} within {apart_seconds:g} s of a better one of the same video {are} not shown")
    if len(hits) < number:
        notes.append(f"found {len(hits)}, not {number}: there are no more")
    if out is not None:
        notes += _sheet(out, table, wanted, query, hits, videos)
    return "\n".join([*_lines(hits, wanted), *notes])


def _lines(hits: list[Hit], query: Query) -> list[str]:
    several = len(query.vectors) > 1
    head = f"{'':>4} {'cosine':>7} {'seconds':>10} {'frame':>8}  video" + ("  (like the query at)" if several else "")
    lines = [f"nearest to {query.name}:", head]
    for rank, hit in enumerate(hits, start=1):
        like = f"  ({query.seconds[hit.query]:.2f} s)" if several else ""
        lines.append(f"{rank:>4} {hit.similarity:>7.4f} {hit.seconds:>10.2f} {hit.frame:>8}  {hit.video}{like}")
    return lines


def _sheet(
    out: Path, table: EmbeddingTable, query: Query, file: Path | None, hits: list[Hit], videos: Videos | None
) -> list[str]:
    """Write the contact sheet and the list of hits; what must be said about them."""
    media, note = find_media(table, videos)
    found = read_pictures([(hit.video, hit.frame) for hit in hits], media)
    tiles = [
        Tile(picture, f"{rank} · {hit.seconds:.2f} s · cosine {hit.similarity:.3f}", hit.video)
        for rank, (hit, picture) in enumerate(zip(hits, found, strict=True), start=1)
    ]
    best = hits[0].query if hits else 0
    if file is not None and file.suffix.lower() in PICTURE_SUFFIXES:
        picture = picture_of_file(file)
    elif query.media is not None:
        picture = read_pictures([(query.name, int(query.frames[best]))], {query.name: query.media})[0]
    elif query.row is not None:
        picture = read_pictures([(query.row[0], int(query.frames[0]))], media)[0]
    else:
        picture = Picture(None, "no picture")
    asked = Tile(picture, "query", query.name)
    notes = [note] if note else []
    missing = sum(one.pixels is None for one in found)
    if missing and not note:
        causes = ", ".join(sorted({one.why_none for one in found if one.pixels is None}))
        notes.append(f"{missing} of {len(found)} pictures cannot be shown: {causes}. Give --videos if they were moved.")
    heading = f"Nearest to {query.name}"
    about = f"{table.path}: {table.num_rows} rows, level {table.level}"
    write_png(out / PNG, asked, tiles)
    with replacing(out / CSV) as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
        lines = csv.writer(opened)
        lines.writerow(HEADER)
        for rank, hit in enumerate(hits, start=1):
            lines.writerow((rank, f"{hit.similarity:.6f}", hit.video, hit.frame, hit.seconds, query.seconds[hit.query]))
    write_html(out / HTML, asked, tiles, heading=heading, notes=[about, *notes])
    return [*notes, f"contact sheet: {out / HTML} and {out / PNG}"]
