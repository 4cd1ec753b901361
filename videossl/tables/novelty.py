"""How new what follows is: the novelty of a sequence of vectors at each of its places."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

NUMBERS_AT_ONCE = 2**24


def novelty(vectors: NDArray[np.float32], half_width: int) -> NDArray[np.float64]:
    """Foote's novelty: the self-similarity of what was and of what comes, less the similarity of the two to each other.

    A checkerboard kernel with a Gaussian taper is moved along the diagonal of the matrix of similarities u[a].u[b]
    (Foote 2000, "Automatic audio segmentation using a measure of audio novelty", ICME). The taper is a product of one
    weight for each axis, so the kernel's sum is the squared distance between the weighted mean of the vectors before a
    place and that of those from it on, and needs no matrix: time and memory are linear in the length.

    Args:
        vectors: (n, E) in order of time. For cosines: of unit length.
        half_width: Rows L on each side, at least 1. The standard deviation of the taper is L / 2.

    Returns:
        (n,) in [0, 4] for unit vectors: the novelty between row i - 1 and row i. At the two ends the rows that are
        there are used, and where less than half of a side is there the novelty is 0.
    """
    n = len(vectors)
    if half_width < 1:
        raise ValueError(f"expected a half width of at least 1 row, got {half_width}.")
    offsets = torch.arange(half_width, dtype=torch.float32)
    taper = torch.exp(-0.5 * ((offsets + 0.5) / (half_width / 2)).square())
    sides = torch.zeros(2, 1, 2 * half_width)
    sides[0, 0, :half_width], sides[1, 0, half_width:] = taper.flip(0), taper
    present = F.conv1d(torch.ones(1, 1, n), sides, padding=half_width)[0, :, :n]  # (2, n) weight before, from here on
    found = torch.zeros(n)
    width = max(1, NUMBERS_AT_ONCE // max(1, n))
    for start in range(0, vectors.shape[1], width):
        some = torch.from_numpy(np.ascontiguousarray(vectors[:, start : start + width].T))[:, None]  # (E', 1, n)
        sums = F.conv1d(some, sides, padding=half_width)[:, :, :n]  # (E', 2, n)
        means = sums / present.clamp_min(1e-12)
        found += (means[:, 0] - means[:, 1]).square().sum(dim=0)
    least = (half_width + 1) // 2
    found[:least] = 0
    if n - least + 1 < n:
        found[n - least + 1 :] = 0
    return found.double().numpy()
