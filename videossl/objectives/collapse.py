"""Signs that embeddings or a latent have collapsed, and the values beyond which it is said.

Shapes: n embeddings, D embedding dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

COLLAPSED_STD = 0.1
COLLAPSED_RANK = 3.0
DEAD_NATS = 0.05  # a latent with less tells nothing
ACTIVE_NATS = 0.01  # a coordinate of the latent with more carries something


def embedding_std(embeddings: Tensor) -> Tensor:
    """Deviation of normalised embeddings, mean over coordinates, times sqrt(D).

    Args:
        embeddings: (n, D), any scale: normalised here.

    Returns:
        (): 1 where they fill the sphere evenly, 0 where they are all the same.
    """
    points = F.normalize(embeddings.double(), dim=-1)
    return points.std(dim=0, correction=0).mean() * points.shape[1] ** 0.5


def effective_rank(embeddings: Tensor) -> Tensor:
    """RankMe (arXiv:2210.02885): the exponential of the entropy of the singular values divided by their sum.

    Args:
        embeddings: (n, D), any scale: normalised and centred here.

    Returns:
        (), from 1 to min(n - 1, D).
    """
    points = F.normalize(embeddings.double(), dim=-1)
    singular = torch.linalg.svdvals(points - points.mean(dim=0))
    shares = singular / singular.sum().clamp_min(1e-12)
    return torch.exp(-torch.xlogy(shares, shares).sum())
