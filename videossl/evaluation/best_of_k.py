"""Best-of-K error: how near the nearest of K sampled futures comes to what happened."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation.shapes import distances, unit, weighted_futures


def best_of_k_curve(samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> Tensor:
    """Expected error of the best of k samples, for k = 1 ... K.

    For k < K the mean over *all* subsets of k of the K samples is taken, in closed form: with the distances
    sorted, d(1) <= ... <= d(K), it is `sum_i C(K - i, k - 1) / C(K, k) d(i)`. It has no sampling noise of its own.

    Args:
        samples: (B, K, D) sampled futures; L2-normalised here, any scale.
        futures: (B, D) what happened, or (B, M, D) all that could have: the error is then the expectation.
        weights: (B, M) probabilities of the futures; None: equal.

    Returns:
        (B, K) Euclidean distances between unit vectors, in [0, 2]; column k - 1 is the best of k.
    """
    futures, weights = weighted_futures(samples, futures, weights)
    num_samples = samples.shape[1]
    ordered = distances(unit(samples), futures).sort(dim=1).values  # (B, K, M)
    shares = ordered.new_tensor(
        [
            [math.comb(num_samples - i, k - 1) / math.comb(num_samples, k) for i in range(1, num_samples + 1)]
            for k in range(1, num_samples + 1)
        ]
    )  # (k, i)
    return torch.einsum("ki,bim,bm->bk", shares, ordered, weights.to(ordered))


def best_of_k(samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> Tensor:
    """Error of the nearest of K sampled futures, for each context: `min_k || x_k - y ||`.

    Arguments as in `best_of_k_curve`. Returns (B,), in [0, 2].
    """
    futures, weights = weighted_futures(samples, futures, weights)
    nearest = distances(unit(samples), futures).amin(dim=1)  # (B, M)
    return (nearest * weights).sum(dim=1)


class BestOfK(Metric):
    """Mean over contexts of `min_k || x_k - y ||`, unit vectors; lower is better, range [0, 2].

    The usual score of one-to-many prediction ("minimum over samples", e.g. Lee et al., arXiv:1804.01523; minADE in
    trajectory forecasting, Gupta et al., arXiv:1803.10892). It falls with K for any model with noise in it, right or
    wrong, so read it beside tuned noise, and never compare it between embedding spaces.

    Args:
        num_samples: K, the number of sampled futures of every context.
        curve: Give the whole curve over k = 1 ... K, (K,), instead of its last value, ().
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, num_samples: int, *, curve: bool = False) -> None:
        super().__init__()
        if num_samples < 1:
            raise ValueError(f"expected num_samples >= 1 sampled futures, got {num_samples}.")
        self.num_samples = num_samples
        self.curve = curve
        self.add_state("total", torch.zeros(num_samples, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, samples: Tensor, futures: Tensor, weights: Tensor | None = None) -> None:
        """Add contexts: samples (B, K, D), futures (B, D) or (B, M, D) with weights (B, M)."""
        if samples.ndim == 3 and samples.shape[1] != self.num_samples:
            raise ValueError(
                f"expected {self.num_samples} samples of each context, got {samples.shape[1]}. "
                "The error depends on K: compare models at the same K."
            )
        self.total += best_of_k_curve(samples, futures, weights).double().sum(dim=0)
        self.count += len(samples)

    def compute(self) -> Tensor:
        """The mean error: () or, with `curve`, (K,)."""
        mean = (self.total / self.count).float()
        return mean if self.curve else mean[-1]
