"""metrics.csv that goes on where a resumed training goes on."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only


def continued_csv_logger(folder: Path, *, until_step: int) -> CSVLogger:
    """Lightning's CSV logger, with the rows of the earlier part of the same training kept.

    Lightning deletes a metrics.csv that it finds. Rows beyond `until_step` belong to steps that will be done again.

    Args:
        folder: Where metrics.csv stands.
        until_step: The step that training goes on from; 0 for a new training, which keeps nothing.
    """
    is_writer = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    earlier = _rows(folder / "metrics.csv", until_step) if until_step and is_writer else []
    logger = CSVLogger(folder, name="", version="")
    if earlier:
        logger.experiment.metrics.extend(earlier)  # text cells, written back as they were
        logger.save()
    return logger


def _rows(path: Path, until_step: int) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) < until_step]
