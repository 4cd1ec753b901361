"""`videossl probe`: what can be read from a table of embeddings."""

from pathlib import Path
from typing import Any

import numpy as np

from videossl.errors import UsageError
from videossl.run_directory import write_json
from videossl.tables.labels import read_labels
from videossl.tables.parting import given_parts, made_parts
from videossl.tables.probes import Probed, ProbeSettings, probe_targets
from videossl.tables.samples import Sampler
from videossl.tables.table import EmbeddingTable
from videossl.tables.writing import check_out

FORMAT = 1


def probe_embeddings(
    embeddings: Path,
    *,
    labels: str | None,
    targets: list[str] | None = None,
    frame: int | None = None,
    rows_per_video: int | None = None,
    settings: ProbeSettings,
    out: Path | None = None,
    overwrite: bool = False,
) -> str:
    """Probe a table of embeddings.

    Args:
        embeddings: The table.
        labels: See `read_labels`.
        targets: Only these.
        frame: Only the rows that stand at this frame.
        rows_per_video: At most so many rows of a video, spread evenly over it; None: all.
        settings: Which methods, and how.
        out: JSON file for the scores; None: none is written.
        overwrite: Replace a file that is there.

    Returns:
        A table for a terminal.

    Raises:
        UsageError: Options or labels that cannot work, or nothing to probe.
    """
    _check(settings, rows_per_video)
    check_out(out, embeddings=embeddings, overwrite=overwrite, suffixes=(".json",))
    table = EmbeddingTable(embeddings)
    rows = table.read()
    known = read_labels(table, rows, labels).chosen(targets)
    kept = np.arange(len(rows))
    if frame is not None:
        kept = np.flatnonzero(rows.columns["frame"].to_numpy() == frame)
        if not len(kept):
            raise UsageError(f"{embeddings} has no rows at frame {frame}. Leave --frame out, or choose another.")
    if rows_per_video is not None:
        numbers = rows.video_numbers[kept]
        _, starts, counts = np.unique(numbers, return_index=True, return_counts=True)
        kept = np.concatenate(
            [
                kept[start + np.unique(np.linspace(0, count - 1, min(rows_per_video, count)).round().astype(int))]
                for start, count in zip(starts, counts, strict=True)
            ]
        )
    rows = rows if len(kept) == len(rows) else rows.among(kept)
    notes = [*known.notes, *(f"{target.name}: {target.note}" for target in known.targets if target.note)]
    if known.split is not None:
        part, note = given_parts(known.split[kept], rows.video_numbers, rows.names, seed=settings.seed)
        notes += [note] if note else []
    else:
        part = made_parts(rows.video_numbers, seed=settings.seed)
    found = probe_targets(Sampler(rows, part), [target.among(kept) for target in known.targets], settings)
    found.notes = notes + found.notes
    if not found.entries:
        raise UsageError(f"nothing could be probed: {'; '.join(found.notes)}.")
    if out is not None:
        content = {
            "format": FORMAT,
            "embeddings": str(embeddings),
            "labels": labels or "label",
            "frame": frame,
            "rows_per_video": rows_per_video,
            "seed": settings.seed,
            "split": "given" if known.split is not None else "made by the seed",
            "about": table.about,
            "probes": found.entries,
            "notes": found.notes,
        }
        write_json(out, content)
    return "\n".join(_lines(found))


def _check(settings: ProbeSettings, rows_per_video: int | None) -> None:
    if not settings.methods:
        raise UsageError("expected at least one of --methods: linear, knn, few_shot, attentive.")
    for name, value in (
        ("rows_per_video", rows_per_video), ("draws", settings.draws), ("shots", min(settings.shots, default=1)),
    ):  # fmt: skip
        if value is not None and value < 1:
            raise UsageError(f"expected --{name} of at least 1, got {value}.")


def _lines(found: Probed) -> list[str]:
    """The scores as a table, and what was left out."""
    lines = [
        f"{'target':<16} {'method':<22} {'score':<9} {'value':>7}   {'95 % interval':<18} {'guessing':>8} "
        f"{'test rows':>10} {'videos':>7}"
    ]
    for entry in found.entries:
        interval = f"{entry['low']:.3f} to {entry['high']:.3f}"
        lines.append(
            f"{entry['target']:<16} {_method(entry):<22} {NAMES[entry['score']]:<9} {entry['value']:>7.3f}   "
            f"{interval:<18} {entry['chance']:>8.3f} {entry['num_test']:>10} {entry['num_test_videos']:>7}"
        )
    few = (
        " (rows, where there are fewer than 5)"
        if any(entry["interval_over"] == "rows" for entry in found.entries)
        else ""
    )
    lines.append(
        f"Intervals by drawing the videos of the test{few} with replacement. Guessing: the commonest class, or any "
        "class at random if that is right more often; of quantities the mean. No video is on two sides."
    )
    lines += [f"{entry['target']}, {_method(entry)}: {entry['note']}" for entry in found.entries if entry["note"]]
    return lines + [f"left out: {note}" for note in found.notes]


NAMES = {"accuracy": "accuracy", "r2": "R²"}


def _method(entry: dict[str, Any]) -> str:
    if entry["method"] == "few_shot":
        return f"{entry['shots']} label{'s' if entry['shots'] > 1 else ''} a class"
    if entry["method"] == "linear":
        return f"linear ({'logistic' if entry['num_classes'] else 'ridge'})"
    return {"knn": f"k-NN (k = {entry['chosen'].get('k')})", "attentive": "attentive"}[entry["method"]]
