"""What exact draws from the true distribution score: the ceiling of each metric, without sampling noise."""

import math

import torch
from torch import Tensor

from videossl.evaluation.shapes import distances, unit


def expected_coverage(probabilities: Tensor, num_samples: int) -> Tensor:
    """Expected branch coverage of K independent draws: the mean over possible branches of `1 - (1 - p_m)^K`.

    Args:
        probabilities: (B, M), rows sum to one. A branch of probability zero is left out.
        num_samples: K.

    Returns:
        (B,).
    """
    possible = probabilities > 0
    covered = 1 - (1 - probabilities.double()).pow(num_samples)
    return ((covered * possible).sum(dim=1) / possible.sum(dim=1)).float()


def expected_total_variation(probabilities: Tensor, num_samples: int) -> Tensor:
    """Expected total variation between the frequencies of K draws and the truth: `1/2 sum_m E|X_m / K - p_m|`.

    X_m is binomial (K, p_m), so the sum over its K + 1 values is exact.

    Args:
        probabilities: (B, M), rows sum to one.
        num_samples: K.

    Returns:
        (B,).
    """
    p = probabilities.double()[..., None]  # (B, M, 1)
    hits = torch.arange(num_samples + 1, dtype=torch.float64, device=p.device)
    log_ways = torch.lgamma(hits.new_tensor(num_samples + 1.0)) - torch.lgamma(hits + 1)
    log_ways = log_ways - torch.lgamma(num_samples - hits + 1)
    log_mass = log_ways + torch.xlogy(hits, p) + torch.xlogy(num_samples - hits, 1 - p)  # (B, M, K + 1)
    deviation = (hits / num_samples - p).abs()
    return ((log_mass.exp() * deviation).sum(dim=(1, 2)) / 2).float()


def expected_pooled_total_variation(probabilities: Tensor, num_samples: int) -> float:
    """As `expected_total_variation`, of frequencies averaged over the contexts, K draws in each: `1/2 sum_m E|X_m|`.

    How often branch m is taken by all draws together is a sum of binomials with a probability of their own each. Its
    distribution is the inverse Fourier transform of the product of theirs, taken over 12 standard deviations to either
    side of its mean: what lies beyond is below rounding.

    Args:
        probabilities: (B, M), rows sum to one.
        num_samples: K.

    Returns:
        In [0, 1].
    """
    p = probabilities.double()
    total, expected = len(p) * num_samples, 0.0
    for of_branch in p.T:
        mean = float(of_branch.sum()) * num_samples
        deviation = float((of_branch * (1 - of_branch)).sum() * num_samples) ** 0.5
        reach = math.ceil(12 * deviation) + 1
        hits = torch.arange(math.floor(mean) - reach, math.floor(mean) + reach + 1, dtype=torch.float64)
        angles = 2 * torch.pi * torch.arange(len(hits), dtype=torch.float64) / len(hits)
        turns = torch.polar(torch.ones_like(angles), angles)
        log_characteristic = -1j * angles * hits[0]  # the first of `hits` becomes place 0
        # Contexts that share a probability are one factor: most worlds have few different ones.
        distinct, counts = torch.unique(of_branch, return_counts=True)
        for chance, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            log_characteristic = log_characteristic + num_samples * count * torch.log(1 - chance + chance * turns)
        mass = torch.fft.fft(log_characteristic.exp()).real / len(hits)
        expected += float((mass * (hits - mean).abs()).sum()) / total / 2
    return expected


def expected_energy_score(branches: Tensor, probabilities: Tensor, *, draws: bool = False) -> Tensor:
    """Energy score of the true distribution about itself: `1/2 sum_{m,m'} p_m p_m' || y_m - y_m' ||`.

    Args:
        branches: (B, M, D) embeddings of the branches.
        probabilities: (B, M).
        draws: The branches are M equally likely draws from a continuous distribution, not all of a finite one:
            leave the pairs of a draw with itself out, M >= 2.

    Returns:
        (B,), the lowest expected score that any forecast can reach in this embedding space.
    """
    score = expected_energy_of_points(unit(branches), probabilities)
    num_branches = branches.shape[1]
    return score * num_branches / (num_branches - 1) if draws else score


def expected_energy_of_points(points: Tensor, probabilities: Tensor) -> Tensor:
    """`expected_energy_score` of all of a finite number of points as they are, not normalised.

    Args:
        points: (B, M, A).
        probabilities: (B, M).

    Returns:
        (B,), in the unit of the points.
    """
    p = probabilities.to(points.dtype)
    return torch.einsum("bm,bmn,bn->b", p, distances(points, points), p) / 2


def expected_best_of_k_curve(branches: Tensor, probabilities: Tensor, num_samples: int) -> Tensor:
    """Expected best-of-k error of exact draws about a branch drawn from the same truth, for k = 1 ... K.

    For one target with branch distances sorted, d(1) <= ... <= d(M), and tails `t(j) = sum_{i >= j} p(i)`, the
    expected minimum of k draws is `sum_j d(j) (t(j)^k - t(j+1)^k)`.

    Args:
        branches: (B, M, D) embeddings of the branches.
        probabilities: (B, M).
        num_samples: K.

    Returns:
        (B, K).
    """
    points = unit(branches)
    ordered, order = distances(points, points).double().sort(dim=2)  # (B, target, M)
    p = probabilities.double()
    sorted_p = p[:, None].expand_as(ordered).gather(2, order)
    tails = sorted_p.flip(2).cumsum(2).flip(2).clamp(0, 1)  # (B, target, M)
    tails = torch.cat([tails, torch.zeros_like(tails[..., :1])], dim=2)
    k = torch.arange(1, num_samples + 1, dtype=torch.float64, device=p.device)
    powers = tails[..., None].pow(k)  # (B, target, M + 1, K)
    minimum = (ordered[..., None] * (powers[:, :, :-1] - powers[:, :, 1:])).sum(dim=2)  # (B, target, K)
    return torch.einsum("bm,bmk->bk", p, minimum).float()
