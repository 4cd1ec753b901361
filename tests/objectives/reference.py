"""Reading tests/golden, and the measures of error that its README defines."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-9


def cases(file: str, start: str = "") -> list[str]:
    with np.load(GOLDEN / file, allow_pickle=False) as arrays:
        return [str(case) for case in arrays["cases"] if str(case).startswith(start)]


def load(file: str, case: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / file, allow_pickle=False) as arrays:
        return {
            key.removeprefix(f"{case}/"): torch.from_numpy(np.asarray(arrays[key]))
            for key in arrays.files
            if key.startswith(f"{case}/")
        }


def loss_error(value: Tensor, reference: Tensor) -> float:
    return (abs(value - reference) / reference.abs().clamp_min(1)).item()


def embedding_gradient_error(embeddings: Tensor, reference: Tensor, temperature: float, num_videos: int) -> float:
    """Of `embeddings.grad`, rows times the norm of the raw row."""
    assert embeddings.grad is not None
    norms = embeddings.detach().norm(dim=-1, keepdim=True)
    largest = max((reference * norms).abs().max().item(), 1e-5 / (temperature * num_videos))
    return ((embeddings.grad - reference) * norms).abs().max().item() / largest


def array_error(value: Tensor, reference: Tensor) -> float:
    return ((value - reference).abs().max() / reference.abs().max().clamp_min(1e-9)).item()
