"""Verbs that use a table of embeddings: `probe`, `search`, `events` and `duplicates`."""

from pathlib import Path
from typing import Literal

from videossl.data.sources import VideoSet
from videossl.loading import usable


def probe(
    *,
    embeddings: Path,
    labels: str | None = None,
    targets: list[str] | None = None,
    methods: list[Literal["linear", "knn", "few_shot", "attentive"]] | None = None,
    shots: list[int] | None = None,
    draws: int = 10,
    frame: int | None = None,
    rows_per_video: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Say what can be read from embeddings: classes and quantities, by simple models fitted on other videos.

    Needs the table of embeddings and labels, no model and no video. Half of the videos are for fitting, a fifth for
    choosing, the rest for the test, unless the labels have a column `split`; no video is on two sides. Prints a table.

    Args:
        embeddings: Folder that `videossl extract` wrote.
        labels: CSV or Parquet file with a column `video`, and `frame` if there is one label a frame (a row has that of
            the frame at which it begins), or the folder of a world. If it is not given: the column `label` of the
            embeddings. Texts and integers of up to 100 kinds are classes, other numbers quantities.
        targets: Only these columns of the labels, or of "class", "position", "velocity", "kick" of a world.
        methods: Of linear (ridge or logistic regression), knn, few_shot (few labels of a class) and attentive (over all
            rows of a video); all if it is not given.
        shots: Labels of a class for few_shot; 1, 5 and 10 if it is not given.
        draws: How often the labels for few_shot are drawn.
        frame: Only rows that stand at this frame.
        rows_per_video: At most so many rows of a video, spread evenly over it; all if it is not given.
        out: JSON file to write the scores to.
        overwrite: Replace that file if it exists.
        seed: Of the split and every draw.
        device: Where attentive probes are trained: "cpu", "cuda", "mps".
    """
    from videossl.tables import ProbeSettings, probe_embeddings

    settings = ProbeSettings(
        methods=methods if methods is not None else ProbeSettings.methods,
        shots=shots if shots is not None else ProbeSettings.shots,
        draws=draws,
        seed=seed,
        device=usable(device),
    )
    print(
        probe_embeddings(
            embeddings,
            labels=labels,
            targets=targets,
            frame=frame,
            rows_per_video=rows_per_video,
            settings=settings,
            out=out,
            overwrite=overwrite,
        )
    )
    if out is not None:
        print(f"scores: {out}")


def events(
    *,
    embeddings: Path,
    kernel_seconds: float = 1.0,
    deviations: float = 6.0,
    min_novelty: float | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Find where something else begins in videos: cuts, and other boundaries of events.

    A boundary is a peak of Foote's novelty: what comes differs from what was more than usual, while each is like
    itself. Needs the table of embeddings only.

    Args:
        embeddings: Folder that `videossl extract` wrote, one row per frame or clip.
        kernel_seconds: Time that is compared before and after a place; boundaries are as far apart at least.
        deviations: How many robust standard deviations above the median novelty a peak must be.
        min_novelty: The least novelty of a peak itself, from 0 to 4, instead of `deviations`.
        out: File for the boundaries: .csv, .parquet or .json.
        overwrite: Replace that file if it exists.
    """
    from videossl.tables import events_of

    print(
        events_of(
            embeddings,
            kernel_seconds=kernel_seconds,
            deviations=deviations,
            min_novelty=min_novelty,
            out=out,
            overwrite=overwrite,
        )
    )


def duplicates(
    *,
    embeddings: Path,
    threshold: float = 0.95,
    min_seconds: float = 2.0,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Find videos that show the same, and stretches that videos share.

    Two videos share a stretch where their frames are alike while time goes on in both. Needs the table of embeddings
    only.

    Args:
        embeddings: Folder that `videossl extract` wrote, one row per frame or clip.
        threshold: Cosine from which two frames are alike, after the mean of the table has been taken away.
        min_seconds: Of a stretch; of shorter videos, 80 % must be shared.
        out: File for the pairs: .csv, .parquet or .json.
        overwrite: Replace that file if it exists.
    """
    from videossl.tables import duplicates_of

    print(duplicates_of(embeddings, threshold=threshold, min_seconds=min_seconds, out=out, overwrite=overwrite))


def search(
    *,
    embeddings: Path,
    query: Path | None = None,
    query_video: str | None = None,
    query_frame: int | None = None,
    seconds: float | None = None,
    run: str | None = None,
    videos: str | VideoSet | list[str | VideoSet] | None = None,
    number: int = 20,
    apart_seconds: float = 1.0,
    index: Literal["exact", "lancedb"] = "exact",
    out: Path | None = None,
    overwrite: bool = False,
    device: str = "cpu",
) -> None:
    """Find the frames that are most like a video, a picture, or a frame that has been extracted.

    A video or picture is embedded by the model that made the table, as the table says; another model is refused. Prints
    what is nearest by cosine, with time stamps; with --out also a contact sheet as PNG and HTML, and a list as CSV.

    Args:
        embeddings: Folder that `videossl extract` wrote.
        query: Video or picture (jpg, png).
        query_video: Name of a video in the table, instead of a file. No model is needed then.
        query_frame: The row of that video at this frame, or the last before it; its first if it is not given.
        seconds: Only this time of the query video; of all its rows the nearest if it is not given.
        run: The model: run directory, weights folder or hub id. Where the table says if it is not given.
        videos: Where the videos are, for the pictures. Where they were when they were extracted if it is not given.
        number: How many frames are found.
        apart_seconds: Two of the same video are so far apart at least.
        index: "exact" compares with every row; "lancedb" makes an approximate index once, for many millions of rows.
        out: Folder for contact.png, contact.html and hits.csv.
        overwrite: Replace what an earlier search wrote there.
        device: Where the model runs: "cpu", "cuda", "mps".
    """
    from videossl.search import search as search_table

    print(
        search_table(
            embeddings,
            query=query,
            query_video=query_video,
            query_frame=query_frame,
            seconds=seconds,
            run=run,
            videos=videos,
            number=number,
            apart_seconds=apart_seconds,
            index=index,
            out=out,
            overwrite=overwrite,
            device=usable(device),
        )
    )
