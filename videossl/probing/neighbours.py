"""The k-NN probe: what the nearest rows of other videos say, weighted by how near they are."""

import torch
from torch import Tensor

from videossl.probing.linear import Answer, best
from videossl.probing.parts import Parts
from videossl.probing.scores import accuracy, r_squared

NUMBERS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURE = 0.07


def neighbours_probe(features: Tensor, targets: Tensor, parts: Parts) -> Answer:
    """Answer with the mean of the k nearest rows by cosine, weighted by exp(cosine / 0.07); k is chosen.

    The weighted vote of Wu et al. 2018 (arXiv:1805.01978), as in DINO (arXiv:2104.14294), with k chosen among 1, 5, 10,
    20, 50, 100, 200 on a part of its own. Nothing is fitted, so features are taken as they are.

    Args:
        features: (n, E).
        targets: (n, A) float quantities or (n,) int64 classes.
        parts: Of the rows.
    """
    both = parts.before_test
    wanted = [number for number in NUMBERS if number <= len(parts.fit)]
    near = _Nearest(features, targets, parts.fit, parts.choose, wanted[-1])
    score = accuracy if targets.ndim == 1 else r_squared
    true = targets[parts.choose]
    number = int(best(wanted, lambda k: score(near.answer(int(k)), true)))
    return Answer(_Nearest(features, targets, both, parts.test, number).answer(number), {"k": number})


class _Nearest:
    """The nearest rows of `known` for each of the rows `asked`."""

    def __init__(self, features: Tensor, targets: Tensor, known: Tensor, asked: Tensor, number: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=number, metric="cosine", algorithm="brute").fit(features[known].numpy())
        distances, rows = search.kneighbors(features[asked].numpy())
        self.weights = torch.exp(torch.from_numpy((1 - distances) / TEMPERATURE).double())  # (n, k), at most e^14
        self.targets = targets[known[torch.from_numpy(rows)]]  # (n, k) or (n, k, A)

    def answer(self, number: int) -> Tensor:
        weights, targets = self.weights[:, :number], self.targets[:, :number]
        if targets.ndim == 3:
            return (weights[..., None] * targets).sum(dim=1) / weights.sum(dim=1, keepdim=True)
        votes = torch.zeros(len(targets), int(self.targets.max()) + 1, dtype=weights.dtype)
        return votes.scatter_add_(1, targets, weights).argmax(dim=1)
