"""Draws that are spread evenly: each is distributed as a single draw is, but they share the distribution out.

K independent draws from eight equally likely futures miss some of them by chance, however good the prior is. Stratified
draws rarely do: a component of probability p is met by K p of them, give or take one, and so are neighbours together
(systematic sampling: Madow 1949; Latin hypercubes: McKay, Beckman and Conover 1979, "A Comparison of Three Methods for
Selecting Values of Input Variables").
"""

import torch
from torch import Tensor

SMALLEST_UNIFORM = 1e-7


def stratified_choice(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one of M for each of K rows; over all rows, m is drawn about `sum_k weights[k, m]` times.

    Of weights that are the same in all rows, K weights[m] times, rounded up or down; neighbours in the order of m share
    what is rounded, so that those that are alike should be neighbours.

    Args:
        weights: (K, M), rows sum to one.
        generator: Where the chance comes from.

    Returns:
        (K,) numbers of what was drawn, int64.
    """
    count = len(weights)
    order = _uniforms(weights, count, generator=generator).argsort()
    levels = (order + _uniforms(weights, 1, generator=generator)) / count  # one in each K-th of [0, 1], in random order
    shares = weights.double().cumsum(-1)
    shares = shares / shares[:, -1:]  # a sum of float32 may end beside one
    return torch.searchsorted(shares, levels[:, None], right=True).squeeze(-1).clamp(max=weights.shape[1] - 1)


def stratified_uniforms(
    like: Tensor, *, groups: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Uniform noise: in each coordinate, one of n values in each n-th of [0, 1], where n is the size of a group.

    Args:
        like: (K, R), for shape, type and device.
        groups: (K,) int64 >= 0, of each row. None: all are one group.
        generator: Where the chance comes from.

    Returns:
        (K, R), between 1e-7 and 1 - 1e-7.
    """
    count = len(like)
    of = torch.zeros(count, dtype=torch.long, device=like.device) if groups is None else groups
    # Sorted by group, and in random order within each: a row's place, less where its group begins, is its stratum.
    places = (of[:, None] + _uniforms(like, *like.shape, generator=generator)).argsort(0).argsort(0)
    sizes = torch.bincount(of)
    starts = (sizes.cumsum(0) - sizes)[of]
    levels = (places - starts[:, None] + _uniforms(like, *like.shape, generator=generator)) / sizes[of][:, None]
    return levels.clamp(SMALLEST_UNIFORM, 1 - SMALLEST_UNIFORM).to(like)


def stratified_normals(
    like: Tensor, *, groups: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """As `stratified_uniforms`, standard normal: (K, R)."""
    return torch.special.ndtri(stratified_uniforms(like.double(), groups=groups, generator=generator)).to(like)


def nearby_order(points: Tensor) -> Tensor:
    """An order in which neighbours are near each other: from the first point on, always to the nearest of the rest.

    Args:
        points: (M, R).

    Returns:
        (M,) int64, a permutation.
    """
    gaps = torch.cdist(points, points).cpu()  # once, and not for every point
    order = [0]
    for _ in range(len(points) - 1):
        gaps[:, order[-1]] = torch.inf
        order.append(int(gaps[order[-1]].argmin()))
    return torch.tensor(order, device=points.device)


def _uniforms(like: Tensor, *shape: int, generator: torch.Generator | None) -> Tensor:
    """Uniform in [0, 1), float64, on the device of `like`."""
    return torch.rand(*shape, dtype=torch.float64, device=like.device, generator=generator)
