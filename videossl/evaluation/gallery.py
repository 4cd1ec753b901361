"""Arrays for pictures: contexts beside what the model expects, shown by the nearest real clips, and a map."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.landing import landing_counts, lands_on
from videossl.evaluation.nearest import nearest_real
from videossl.evaluation.space import Space
from videossl.files import replacing

IMPOSSIBLE = -1  # in place of the number of samples on a branch that cannot happen
NUM_CONTEXTS = 12
NUM_SHOWN = 8
Array = NDArray[np.generic]


def principal_plane(representations: Tensor) -> Tensor:
    """First two principal components of (n, E), (n, 2); the sign makes the largest coordinate of each positive."""
    centred = representations.double() - representations.double().mean(dim=0)
    plane = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    largest = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True))
    plane = plane * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(plane, (0, 2 - plane.shape[1])).float()


def gallery(held_out: HeldOut, space: Space, samples: Tensor, scored: Tensor) -> dict[str, Array]:
    """The arrays of `gallery.npz`. The first scored contexts are shown: nobody picks them.

    Args:
        held_out: The clips.
        space: All contexts in the run's space.
        samples: (n', K, D) sampled futures of the scored contexts.
        scored: (n',) their rows.

    Returns:
        context, observed (G, T, H, W, 3) uint8; nearest (G, K', T, H, W, 3) uint8, the nearest real clip to each
        sampled future (`nearest_real`); nearest_kind (G, K') int8: 0 a true future of this context, 1 one of its
        decoys, 2 a future of another context; branches (G, M, T, H, W, 3) uint8 or (0,); branch_hits (G, M) int64,
        samples of all K that landed on each, -1 where that branch cannot happen in this context; map (n, 2) float32,
        map_label (n,) int64, map_label_name; names (G,).
    """
    shown = scored[:NUM_CONTEXTS]
    nearest = nearest_real(samples[:, :NUM_SHOWN], space[scored])[: len(shown)]
    branches = held_out.futures[:, None] if held_out.branches is None else held_out.branches
    clips = nearest.of(
        held_out.futures[scored], branches[shown], None if held_out.decoys is None else held_out.decoys[shown]
    )
    arrays: dict[str, Array] = {
        "context": _picture(held_out.contexts[shown]),
        "observed": _picture(held_out.futures[shown]),
        "nearest": _picture(clips),
        "nearest_kind": nearest.kind.numpy().astype(np.int8),
        "branches": np.zeros(0, np.uint8),
        "branch_hits": np.zeros((len(shown), 0), np.int64),
        "map": principal_plane(space.representations).numpy(),
        "names": np.array([held_out.names[row] for row in shown.tolist()], dtype=np.str_),
    }
    if held_out.branches is not None and space.branches is not None:
        decoys = None if space.decoys is None else space.decoys[shown]
        assert held_out.branch_probabilities is not None  # given with the branches
        chances = held_out.branch_probabilities[shown]
        landings = lands_on(samples[: len(shown)], space.branches[shown], decoys, chances)
        arrays["branches"] = _picture(held_out.branches[shown])
        hits = landing_counts(landings, space.branches.shape[1])
        arrays["branch_hits"] = torch.where(chances > 0, hits, IMPOSSIBLE).numpy()
        arrays["nearest_kind"] = nearest.kind_among(chances > 0).numpy().astype(np.int8)
    labels, label_name = held_out.labels, held_out.label_name
    if labels is None or bool((labels < 0).all()):
        labels, label_name = held_out.videos, "video"
    return arrays | {"map_label": labels.numpy(), "map_label_name": np.array(label_name)}


def write_gallery(path: Path, arrays: dict[str, Array]) -> None:
    """Write the arrays, compressed, readable without pickle."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for `allow_pickle`


def _picture(clips: Tensor) -> Array:
    return rearrange(clips, "... t c h w -> ... t h w c").contiguous().numpy()
