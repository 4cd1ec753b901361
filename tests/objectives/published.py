"""The printed formulas as the authors' code computes them (arXiv:2507.06979), written anew: to show where they end.

Whole matrices, exponentials without a shift, products of energies: whatever these cannot do, ours must.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def mv_infonce(embeddings: Tensor, temperature: float) -> Tensor:
    """Embeddings (V, B, D) -> (): same-view negatives in the denominator."""
    _, num_videos, dim = embeddings.shape
    points = F.normalize(embeddings.reshape(-1, dim), dim=1)
    similarity = torch.exp(points @ points.T.contiguous() / temperature)
    others = _without_itself(similarity).split(num_videos)
    energy = torch.cat(others, dim=1).sum(-1)
    return -torch.log(2 * _positives(points.view(embeddings.shape), temperature) / energy).mean()


def mv_dhel(embeddings: Tensor, temperature: float) -> Tensor:
    """Embeddings (V, B, D) -> ()."""
    views = F.normalize(embeddings, dim=-1)
    energies = [_without_itself(torch.exp(view @ view.T.contiguous() / temperature)).sum(-1) for view in views]
    return -torch.log(_positives(views, temperature) / torch.prod(torch.stack(energies), dim=0)).mean()


def _without_itself(similarity: Tensor) -> Tensor:
    """(n, n) -> (n, n - 1)."""
    others = (torch.ones_like(similarity) - torch.eye(len(similarity))).bool()
    return similarity.masked_select(others).view(len(similarity), -1)


def _positives(views: Tensor, temperature: float) -> Tensor:
    """sum over unordered pairs of views of exp(logit), (B,)."""
    products = torch.einsum("lid,mid->lmid", views, views)
    pairs = torch.triu(torch.ones(len(views), len(views)), diagonal=1).bool()
    return torch.exp(products[pairs].sum(-1) / temperature).sum(0)
