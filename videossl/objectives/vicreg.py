"""VICReg: agree between views, keep every dimension's variance, decorrelate the dimensions (arXiv:2105.04906).

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph, N samples.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import at_least_float32, full_precision
from videossl.objectives.prediction import check_pairs, squared_errors
from videossl.objectives.view_graph import Graph


def variance_penalty(samples: Tensor, *, margin: float = 1.0, eps: float = 1e-4) -> Tensor:
    """`mean_d max(0, margin - sqrt(var_d + eps))`: a hinge on the standard deviation of every dimension.

    Args:
        samples: (..., N, D), N >= 2, raw. The variance is over N, divided by N - 1.
        margin: Standard deviation that is enough.
        eps: Keeps the slope finite at variance 0.

    Returns:
        Tensor of shape (...), in [0, margin - sqrt(eps)], float32 or float64; the upper end, 0.99, at collapse.

    Raises:
        UsageError: Fewer than two samples.
    """
    _check_samples(samples)
    with full_precision(samples.device):
        return F.relu(margin - torch.sqrt(at_least_float32(samples).var(dim=-2) + eps)).mean(-1)


def covariance_penalty(samples: Tensor) -> Tensor:
    """`sum_{d != e} cov_{de}^2 / D`: the squared covariances of different dimensions.

    Divided by D as in the paper; the mean over the D (D - 1) entries that some codebases take is D - 1 times weaker.

    Args:
        samples: (..., N, D), N >= 2, raw. The covariance is over N, divided by N - 1.

    Returns:
        Tensor of shape (...), >= 0, float32 or float64: 0 if the dimensions are uncorrelated, and at collapse.

    Raises:
        UsageError: Fewer than two samples.
    """
    _check_samples(samples)
    num_samples, dim = samples.shape[-2:]
    with full_precision(samples.device):
        centred = at_least_float32(samples)
        centred = centred - centred.mean(dim=-2, keepdim=True)
        covariance = centred.mT @ centred / (num_samples - 1)  # (..., D, D)
        different = covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
        return different.square().sum((-2, -1)) / dim


def _check_samples(samples: Tensor) -> None:
    if samples.ndim < 2 or samples.shape[-2] < 2:
        raise UsageError(
            f"expected samples of shape (..., N, D) with N >= 2, so that there is a variance, got "
            f"{tuple(samples.shape)}. Raise the batch size or drop the incomplete last batch."
        )


class VarianceCovariance(nn.Module):
    """The half of VICReg that needs no pairs: keeps embeddings (V, B, D) from collapsing.

    `variance_weight * mean_V variance_penalty + covariance_weight * 2 mean_V covariance_penalty`. The 2 makes it, for
    two views, the authors' code, which averages the variance terms of the two views and adds up their covariance
    terms (the paper's formula adds up both). At collapse: 0.99 * variance_weight.

    Terms: `variance` (mean over views), `covariance` (twice the mean over views).

    Args:
        variance_weight: Weight of the hinge on the standard deviation.
        covariance_weight: Weight of the covariances.
    """

    def __init__(self, variance_weight: float = 25.0, covariance_weight: float = 1.0) -> None:
        super().__init__()
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight

    def forward(self, embeddings: Tensor) -> Loss:
        """Raw embeddings (V, B, D) -> Loss. Every view has statistics of its own."""
        variance = variance_penalty(embeddings).mean()
        covariance = 2 * covariance_penalty(embeddings).mean()
        total = self.variance_weight * variance + self.covariance_weight * covariance
        return Loss(total, {"variance": variance.detach(), "covariance": covariance.detach()})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"variance_weight={self.variance_weight}, covariance_weight={self.covariance_weight}"


def vicreg(
    embeddings: Tensor,
    *,
    graph: Graph = "all",
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    predictions: Tensor | None = None,
) -> Loss:
    """Weighted sum of `mean_P mean_{i,d} (p[l>m,i,d] - z[m,i,d])^2` and of variance and covariance penalties.

    Nothing is normalised, there is no logarithm and no negative; gradient flows into both sides of a pair. The
    penalties are on all V views (not on the predictions). Level at collapse: `0.99 * variance_weight`.

    For two views it is the value of the authors' code ("all" or one pair alike): squared errors averaged over B and D,
    variance averaged over the two views, covariance added up. The paper's formulas sum the squared error over D and
    add up the variances: those terms are D times and twice as large there.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2, raw.
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        invariance_weight: Weight of the squared error.
        variance_weight: Weight of the hinge on the standard deviation, see `variance_penalty`.
        covariance_weight: Weight of the covariances, see `covariance_penalty`.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`, raw. None: the anchors.

    Returns:
        Loss, float32 or float64. Terms: `invariance`, `variance`, `covariance`, `invariance_per_pair` (P,).

    Raises:
        UsageError: Wrong shapes or graph, or fewer than two videos.
    """
    pairs = check_pairs(embeddings, predictions, graph)
    price = VarianceCovariance(variance_weight, covariance_weight)(embeddings)
    with full_precision(embeddings.device):
        errors = squared_errors(embeddings, predictions, embeddings, pairs)
        total = invariance_weight * errors.mean() + price.total
    invariance = {"invariance": errors.detach().mean(), "invariance_per_pair": errors.detach()}
    return Loss(total, {**invariance, **price.terms})


class VICReg(MultiViewObjective):
    """VICReg over any number of views. See `vicreg` for the arguments, the mathematics and the terms.

    Args:
        invariance_weight: Of the distance between views of a video.
        variance_weight: Of what dimensions lack in deviation.
        covariance_weight: Of what dimensions say of one another.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
    """

    reads_scale = True

    def __init__(
        self,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        graph: Graph = "all",
    ) -> None:
        super().__init__()
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight
        self.graph: Graph = graph

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        return vicreg(
            embeddings,
            graph=self.graph,
            invariance_weight=self.invariance_weight,
            variance_weight=self.variance_weight,
            covariance_weight=self.covariance_weight,
            predictions=predictions,
        )

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"invariance_weight={self.invariance_weight}, variance_weight={self.variance_weight}, "
            f"covariance_weight={self.covariance_weight}, graph={self.graph!r}"
        )
