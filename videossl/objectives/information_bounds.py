"""Bounds of mutual information from the scores of all pairs of a batch: InfoNCE from below, NCE-CLUB from above.

Shapes: B videos; scores (B, B) with `S[i, j] = f(x_j, y_i)`, the positives on the diagonal.
"""

import math

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.contrast import at_least_float32, check_batch, full_precision, softplus


def _square(scores: Tensor) -> Tensor:
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise UsageError(
            f"expected the scores of all pairs of a batch, shape (B, B), got {tuple(scores.shape)}. Give the critic "
            f"as many x as y, row i of one belonging to row i of the other."
        )
    check_batch(len(scores))
    return at_least_float32(scores)


def info_nce_bound(scores: Tensor) -> Tensor:
    """InfoNCE lower bound of I(X;Y): `log B + mean_i [ S[i,i] - log sum_j exp S[i,j] ]`, in nats (arXiv:1807.03748).

    For every y_i (row) the critic tells its own x among all x_j of the batch: the negatives are over the first
    argument, the positive is in the denominator. At most log B; 0 where the critic cannot tell (chance; equal scores);
    below 0 where it is worse than chance. A constant added to a row changes nothing.

    Relation to the authors' code: their InfoNCE loss is minus this value, as is the learning loss of their CLUB critic
    (one helper of theirs rounds log B to float32). The transposed scores give the bound with negatives over y.

    Args:
        scores: (B, B), `S[i, j] = f(x_j, y_i)`, B >= 2; see `critics.PairCritic`.

    Returns:
        Tensor of shape (), float32 or float64.

    Raises:
        UsageError: The scores are not square, or of fewer than two.
    """
    scores = _square(scores)
    with full_precision(scores.device):
        own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        # Differences first: scores may have any offset, which float32 would pay for.
        lead = scores - scores.diagonal()[:, None]
        return math.log(len(scores)) - softplus(torch.logsumexp(lead.masked_fill(own, -torch.inf), dim=1)).mean()


def club_bound(scores: Tensor, *, diagonal_kept: bool = False) -> Tensor:
    """NCE-CLUB upper bound of I(X;Y): `mean_i S[i,i] - mean_{i != j} S[i,j]`, in nats (arXiv:2306.05268, 2006.12013).

    The difference of the expected scores of pairs and of independent x and y. An upper bound if the critic is that
    of the optimal InfoNCE, then equal to `I(X;Y) + KL(p(x)p(y) || p(x,y))`, so tight only at independence. There is no
    logarithm and no limit; 0 where all scores are equal (collapse). A constant added to a row changes nothing.

    Relation to the authors' code: theirs keeps i = j in the second mean (`diagonal_kept`): exactly (B-1)/B of this
    value. Pairs are not independent x and y, so without them the mean is the unbiased estimate of the formula.

    Args:
        scores: (B, B), `S[i, j] = f(x_j, y_i)`, B >= 2.
        diagonal_kept: The authors' variant.

    Returns:
        Tensor of shape (), float32 or float64.

    Raises:
        UsageError: The scores are not square, or of fewer than two.
    """
    scores = _square(scores)
    size = len(scores)
    with full_precision(scores.device):
        # Differences first, as above. The diagonal adds nothing.
        return (scores.diagonal()[:, None] - scores).sum() / (size * (size if diagonal_kept else size - 1))
