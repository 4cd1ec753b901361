"""Verbs that use a table of embeddings: `probe`."""

from pathlib import Path
from typing import Literal

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
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Say what can be read from embeddings: classes and quantities, by simple models fitted on other videos.

    Needs the table of embeddings and labels, no model and no video. Half of the videos are for fitting, a fifth for
    choosing, the rest for the test, unless the labels have a column `split`; no video is on two sides. Prints a table.

    Args:
        embeddings: Folder that `videossl extract` wrote.
        labels: CSV or Parquet file with a column `video`, and `frame` if there is one label a frame, or the folder of a
            world. If it is not given: the column `label` of the embeddings. Texts and integers of up to 100 kinds are
            classes, other numbers quantities.
        targets: Only these columns of the labels, or of "class", "position", "velocity", "kick" of a world.
        methods: Of linear (ridge or logistic regression), knn, few_shot (few labels of a class) and attentive (over all
            rows of a video); all if it is not given.
        shots: Labels of a class for few_shot; 1, 5 and 10 if it is not given.
        draws: How often the labels for few_shot are drawn.
        frame: Only rows that stand at this frame.
        rows_per_video: At most so many rows of a video, spread evenly over it; all if it is not given.
        out: JSON file to write the scores to.
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
        )
    )
    if out is not None:
        print(f"scores: {out}")
