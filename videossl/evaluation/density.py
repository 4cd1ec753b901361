"""The density that samples stand for: a kernel around each, as wide as pays on other contexts."""

import math

import torch
from torch import Tensor

from videossl.evaluation.candidate_nll import candidate_nll
from videossl.evaluation.shapes import unit

CONCENTRATIONS = tuple(float(value) for value in torch.logspace(0, 2.75, 23))  # 1 to 560
DRAWS_FOR_WIDTH = 64
ROWS_AT_ONCE = 64


def kernel_log_density(samples: Tensor, candidates: Tensor, concentration: Tensor) -> Tensor:
    """Log of the mean von Mises-Fisher kernel around the samples, up to its normaliser: `log mean_k exp(kappa cos)`.

    Args:
        samples: (B, K, D); L2-normalised here.
        candidates: (B, C, D); L2-normalised here.
        concentration: () or (B,) kappa > 0.

    Returns:
        (B, C) float64.
    """
    kappa = concentration.double().expand(len(samples))
    parts = []
    for start in range(0, len(samples), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        cosines = unit(samples[rows]) @ unit(candidates[rows]).transpose(1, 2)  # (b, K, C)
        scaled = kappa[rows, None, None].float() * cosines
        parts.append(torch.logsumexp(scaled, dim=1).double() - math.log(samples.shape[1]))
    return torch.cat(parts)


def cross_fitted_log_density(samples: Tensor, candidates: Tensor, weights: Tensor, groups: Tensor) -> Tensor:
    """`kernel_log_density` with the width that pays best on the other half of the contexts.

    Contexts are halved by group, and the width for each half is the one with the lowest `candidate_nll` on the other:
    no context has a say in how it is scored, and models whose samples come without a width can be scored too.

    Args:
        samples: (B, K, D).
        candidates: (B, C, D).
        weights: (B, C) true probabilities of the candidates.
        groups: (B,) int64, what must not be split: the video of each context.

    Returns:
        (B, C) float64.
    """
    distinct, number = torch.unique(groups, return_inverse=True)
    if len(distinct) == 1:
        number = torch.arange(len(groups))
    half = number % 2
    concentration = torch.empty(len(samples))
    few = samples[:, :DRAWS_FOR_WIDTH]
    for fitted in (0, 1):
        rows = half == fitted
        losses = [
            float(
                candidate_nll(
                    kernel_log_density(few[rows], candidates[rows], torch.tensor(kappa)), weights[rows]
                ).mean()
            )
            for kappa in CONCENTRATIONS
        ]
        concentration[~rows] = CONCENTRATIONS[losses.index(min(losses))]
    return kernel_log_density(samples, candidates, concentration)
