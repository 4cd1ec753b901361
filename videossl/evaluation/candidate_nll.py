"""Likelihood among candidates: how well the true futures are told from those that cannot or did not happen."""

import torch
from torch import Tensor

from videossl.evaluation.mean_over_contexts import MeanOverContexts
from videossl.evaluation.shapes import check_sums_to_one


def candidate_nll(log_densities: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the true futures under a softmax over candidates: `- sum_c w_c log softmax(l)_c`.

    Args:
        log_densities: (B, C) log density of each candidate given its context, in nats; an offset that is the same for
            all candidates of a context changes nothing.
        weights: (B, C) true probabilities of the candidates, rows sum to one; 0 for all that cannot happen.

    Returns:
        (B,) nats. Lowest possible: the entropy of the weights (`entropy`). All candidates alike: log C.

    Raises:
        ValueError: Shapes that differ, or weights that do not sum to one.
    """
    if log_densities.ndim != 2 or log_densities.shape != weights.shape:
        raise ValueError(
            f"expected log_densities and weights of the same shape (B, C), got {tuple(log_densities.shape)} and "
            f"{tuple(weights.shape)}."
        )
    check_sums_to_one("weights", weights)
    normalised = torch.log_softmax(log_densities.double(), dim=1)
    # A candidate that cannot happen may have a log density of minus infinity: it costs nothing.
    return -(torch.where(weights > 0, normalised, 0.0) * weights.double()).sum(dim=1)


def entropy(weights: Tensor) -> Tensor:
    """Entropy of (B, C) probabilities in nats, (B,): the lowest `candidate_nll` that is possible."""
    return -torch.xlogy(weights.double(), weights.double()).sum(dim=1)


class CandidateNLL(MeanOverContexts):
    """Mean over contexts of the cross-entropy of the true futures among candidates, nats; lower is better.

    A proper score on a finite set (Good 1952, the logarithmic score); contrastive predictive coding trains it on the
    futures of others (arXiv:1807.03748, eq. 4), here futures of the same context that cannot happen stand among them.
    It does not depend on the embedding space, as long as the candidates are the same clips. Chance is log C, the floor
    the entropy of the true futures.
    """

    higher_is_better = False

    def update(self, log_densities: Tensor, weights: Tensor) -> None:
        """Add contexts: log_densities (B, C), weights (B, C); minus infinity is a candidate held impossible."""
        if log_densities.isnan().any() or not log_densities.amax(dim=-1).isfinite().all():
            raise ValueError(
                "expected log_densities that are numbers, one of each context finite, got NaN, infinity, or minus "
                "infinity only. A model that gives such has diverged."
            )
        self._add(candidate_nll(log_densities, weights))
