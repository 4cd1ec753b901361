"""Whether an exported file says what the model says."""

from pathlib import Path

import torch
from torch import Tensor

from videossl.errors import WorkError
from videossl.export.exported import OUTPUTS, ExportedEncoder
from videossl.export.formats import Reader

TOLERANCE = 1e-4
BATCHES = (1, 2, 5)  # the graph was made with 2: the axis of the batch has to be free


@torch.no_grad()
def largest_difference(encoder: ExportedEncoder, read: Reader, path: Path) -> float:
    """Largest difference of the file from the model, over outputs and batches of several sizes.

    Args:
        encoder: The original.
        read: What reads the file again.
        path: The file.

    Returns:
        Largest |file - model| over the largest |model| of that output, or over 1 where that is smaller.

    Raises:
        WorkError: The file cannot be read or run, gives other shapes, or differs by more than 1e-4.
    """
    largest = 0.0
    try:
        exported = read(path)
        for seed, batch in enumerate(BATCHES, start=1):
            clips = encoder.clips(batch, seed=seed)
            for name, file, model in zip(OUTPUTS, exported(clips), encoder(clips), strict=True):
                largest = max(largest, _difference(file, model, f"{name} of a batch of {batch}"))
    except WorkError:
        raise
    except Exception as error:  # every runtime has its own
        raise WorkError(
            f"the exported file does not run, so it is removed: {' '.join(str(error).split())[:300]}"
        ) from error
    return largest


def _difference(file: Tensor, model: Tensor, name: str) -> float:
    if file.shape != model.shape:
        raise WorkError(f"the exported file gives {name} the shape {tuple(file.shape)} and not {tuple(model.shape)}.")
    difference = float((file - model).abs().max() / model.abs().max().clamp(min=1))
    if not difference <= TOLERANCE:  # nor if it is no number
        raise WorkError(
            f"the exported file differs from the model by {difference:.1e} in the {name}, which is more than "
            f"{TOLERANCE:.0e}, so it is removed. Try another --format."
        )
    return difference
