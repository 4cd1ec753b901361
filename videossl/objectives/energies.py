"""Energies of the negatives: for every anchor, the log-sum-exp of its logits with all other videos.

Shapes: A anchors' views, C candidates' views, Q pairs of them, B videos, D embedding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def log_energies(
    anchors: Tensor,
    candidates: Tensor,
    pairs: Sequence[tuple[int, int]],
    *,
    bound: float | None = None,
    logit_limit: float | None = None,
    present: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """log sum_{j != i} exp(anchors[a, i] . candidates[c, j]) for every pair (a, c), in nats.

    Args:
        anchors: (A, B, D), scaled so that the inner product is the logit (see `contrast.scaled`); B >= 2.
        candidates: (C, B, D), scaled alike. If it is the same tensor as `anchors`, the pairs (a, c) and (c, a) share
            their logits.
        pairs: Q pairs (a, c) of a row of `anchors` and a row of `candidates`.
        bound: Known upper limit of every |logit|, if there is one: saves one of two exponentials.
        logit_limit: Clip logits to [-limit, limit], with no gradient outside (the authors' AdaSSL does, at 20).
        present: ((A, B), (C, B)) bool: what is not present is no negative, and its own energy is log 0 = -inf.

    Returns:
        Tensor of shape (Q, B).
    """
    left = torch.stack([anchors[a] for a, _ in pairs])
    right = torch.stack([candidates[c] for _, c in pairs])
    logits = torch.bmm(left, right.mT)  # (Q, B, B)
    if logit_limit is not None:
        logits = logits.clamp(-logit_limit, logit_limit)
    hidden = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    return torch.logsumexp(logits.masked_fill(hidden, -torch.inf), dim=-1)
