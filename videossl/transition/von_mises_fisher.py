"""The von Mises-Fisher density: how likely an embedding of unit norm is, given the predicted one.

A contrastive loss at temperature tau is the likelihood of this density with concentration 1/tau where the embeddings of
the futures are uniform on the sphere (arXiv:2102.08850, theorem 2), so a model that was trained by one already is a
density. Values are in nats over knowing nothing: log of the density relative to the uniform distribution on the sphere.
"""

import math

import torch
from torch import Tensor

INDIFFERENT_NATS = 0.01  # widths whose scores differ by less are as good as each other


def log_normaliser(concentration: Tensor, embedding_dim: int) -> Tensor:
    """Log of the mean of exp(concentration * cosine) over the unit sphere.

    `log 0F1(; D/2; concentration^2 / 4)`, summed term by term (all are positive) in float64.

    Args:
        concentration: (...), >= 0 and at most 10,000.
        embedding_dim: Dimension D >= 2 of the space around the sphere.

    Returns:
        (...) float64: 0 for concentration 0.

    Raises:
        ValueError: A concentration or dimension out of range.
    """
    kappa = torch.as_tensor(concentration).double()
    if embedding_dim < 2 or not bool(((kappa >= 0) & (kappa <= 10_000)).all()):
        raise ValueError(
            f"expected embedding_dim >= 2 and a concentration within 0 and 10,000, got {embedding_dim} and "
            f"{kappa.tolist()}."
        )
    # The largest term is below kappa / 2; the terms fall off like a Gaussian of width sqrt(kappa) around it.
    largest = float(kappa.max()) / 2
    terms = torch.arange(math.ceil(largest + 20 * math.sqrt(largest) + 60), dtype=torch.float64, device=kappa.device)
    half = embedding_dim / 2
    fixed = math.lgamma(half) - torch.lgamma(terms + half) - torch.lgamma(terms + 1)
    # xlogy: the first term is 1 also where the concentration is 0.
    return torch.logsumexp(2 * torch.xlogy(terms, kappa[..., None] / 2) + fixed, dim=-1)


def most_telling_concentration(cosines: Tensor, log_weights: Tensor) -> float:
    """The concentration by which each context best tells its own future from those of the others.

    The likelihood itself would ask for another one. It takes what a prediction misses to be spread over all dimensions,
    where it lies in a few: of 64 dimensions it then finds a density so narrow that a small error costs tens of nats, in
    which false futures that happen to be predicted a little better win. Among candidates, a softmax of densities, the
    width that is right for errors as they are gives the best score.

    Where futures are far apart, a wide range of widths tells them about as well. The widest one is taken of which the
    score is within a standard error of the best, or a hundredth of a nat: a narrower one would be surer of itself than
    these futures can show.

    Args:
        cosines: (n, m, K), cosines of K predictions from a context with a future of which it is asked whether it
            follows, supposing it does; the first of the m did.
        log_weights: (n, m, K), log of each prediction's weight; equal ones have -log K.

    Returns:
        Within 1 and 2,000, to a twentieth.
    """
    cosines, weights = cosines.double(), log_weights.double()
    candidates = torch.logspace(0, math.log10(2000), 150, dtype=torch.float64)
    scores = torch.stack(
        [
            torch.log_softmax(torch.logsumexp(kappa * cosines + weights, dim=-1), dim=1)[:, 0]
            for kappa in candidates.tolist()
        ]
    )  # (150, n)
    means = scores.mean(dim=1)
    best = int(means.argmax())
    # Of the difference: the same contexts are scored, so that most of what they differ in cancels.
    shortfall = scores[best] - scores
    error = shortfall.std(dim=1, correction=0) / math.sqrt(scores.shape[1])
    return float(candidates[int((shortfall.mean(dim=1) <= error.clamp_min(INDIFFERENT_NATS)).nonzero()[0])])
