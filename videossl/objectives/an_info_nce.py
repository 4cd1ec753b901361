"""AnInfoNCE: InfoNCE whose similarity weighs the dimensions, with learned weights (arXiv:2407.00143).

Augmentations and time change some latent factors more than others; InfoNCE assumes that they change all alike, and
throws the restless ones away. Here `p(z+ | z)` is `exp(-sum_d w_d (z+_d - z_d)^2 / (2 tau))` up to its normalisation.
Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
"""

import math

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import full_precision, scaled, softplus
from videossl.objectives.info_nce import anchor_rows, check_pair, info_nce_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import Temperature, check_temperature
from videossl.objectives.view_graph import Graph

SOFTPLUS_TO_ONE = math.log(math.e - 1)
"""softplus of it is 1."""


def an_info_nce(anchors: Tensor, positives: Tensor, *, weights: Tensor, temperature: Temperature) -> Tensor:
    """InfoNCE with the logit `-sum_d w_d (a_d - b_d)^2 / (2 tau)`, in nats.

    `mean_i -log( exp s(a_i, b_i) / sum_j exp s(a_i, b_j) )` for a, b of unit norm: one direction, the positive is
    inside the denominator, so the value is >= 0. Chance level is log(B).

    Equal weights w are `info_nce` at temperature tau / w, exactly: the squared distance of unit vectors is
    `2 - 2 a.b`, and its constant cancels. For unequal ones the logit has, beside the weighted inner product, the term
    `-sum_d w_d b_d^2 / (2 tau)` of every candidate; without it (`info_nce` with a temperature of shape (D,)) a
    candidate that lies along a heavy dimension looks near to all anchors on its side.

    The paper prints `-(a - b)^T Lambda (a - b)`, here `weights = 2 tau Lambda`; its code (brendel-group/AnInfoNCE)
    has the half that is here and no temperature: `weights = tau Lambda`. That code also counts the anchor's own view
    of the other videos as negatives, in both directions; here the negatives are those of the printed formula.

    Args:
        anchors: (B, D), B >= 2. L2-normalised here, so any scale.
        positives: (B, D). Row i is the positive of anchor i; all other rows are its negatives.
        weights: (D,), >= 0: how much a difference in each dimension counts.
        temperature: tau > 0.

    Returns:
        Tensor of shape (), float32 or float64, mean over the batch.

    Raises:
        UsageError: Wrong shapes, fewer than two videos, or a temperature that is not positive.
    """
    check_pair(anchors, positives, temperature)
    if tuple(weights.shape) != (anchors.shape[1],):
        raise UsageError(f"expected weights of shape (D,) = ({anchors.shape[1]},), got {tuple(weights.shape)}.")
    with full_precision(anchors.device):
        a, b = scaled(anchors, temperature)[None], scaled(positives, temperature)[None]
        return info_nce_of_pairs(*_as_inner_products(a, b, weights), [(0, 0)]).mean()


def _as_inner_products(anchors: Tensor, candidates: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """(A, B, D), (C, B, D), (D,) -> (A, B, D + 1), (C, B, D + 1) whose inner products are the logits.

    Less `sum_d w_d a_d^2 / 2`, which is the same for all candidates of an anchor and cancels.
    """
    weights = weights.to(candidates.dtype)
    anchors, candidates = centred(anchors, candidates)
    offsets = -0.5 * (weights * candidates.square()).sum(-1, keepdim=True)
    ones = torch.ones_like(anchors[..., :1])
    return torch.cat([weights * anchors, ones], dim=-1), torch.cat([candidates, offsets], dim=-1)


def centred(anchors: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Both less the mean candidate: distances stay as they are, and those of a collapsed batch keep their digits."""
    centre = candidates.detach().mean(dim=(0, 1))
    return anchors - centre, candidates - centre


class AnInfoNCE(MultiViewObjective):
    """Mean over the view graph of the one-directional AnInfoNCE of every pair, its weights learned.

    See `an_info_nce` for the formula; chance level log(B). The weights are `softplus(theta + log(e - 1))`, the same for
    all pairs, and 1 at the start: training begins at `InfoNCE` of the same temperature, exactly. Weight decay on theta
    pulls them to 1.

    Terms: `an_info_nce` (), `an_info_nce_per_pair` (P,), `mean_weight` () and `effective_dimensions` (),
    `(sum w)^2 / sum w^2`: D where all weights are equal, 1 where one dimension has it all.

    Args:
        embedding_dim: Dimension D.
        temperature: tau > 0: a number, or `LearnedTemperature` (the scale of the weights is learned already).
        graph: "all" ordered pairs, "forward" in time, or a list of pairs (l, m).
    """

    def __init__(self, embedding_dim: int, temperature: Temperature = 0.1, graph: Graph = "all") -> None:
        super().__init__()
        check_temperature(temperature)
        if embedding_dim < 1:
            raise UsageError(f"expected embedding_dim >= 1, got {embedding_dim}.")
        self.temperature = temperature
        self.graph: Graph = graph
        self.theta = nn.Parameter(torch.zeros(embedding_dim))

    @property
    def weights(self) -> Tensor:
        """(D,), > 0."""
        return softplus(self.theta + SOFTPLUS_TO_ONE)

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        graph = check_views(embeddings, predictions, self.graph, self.temperature)
        if embeddings.shape[-1] != len(self.theta):
            raise UsageError(
                f"expected embeddings of {len(self.theta)} dimensions, got {embeddings.shape[-1]}. "
                f"Set embedding_dim to the projector's."
            )
        with full_precision(embeddings.device):
            weights = self.weights
            views = scaled(embeddings, self.temperature)
            anchors = views if predictions is None else scaled(predictions, self.temperature)
            losses = info_nce_of_pairs(*_as_inner_products(anchors, views, weights), anchor_rows(graph, predictions))
            per_pair = losses.mean(dim=1)
            total = per_pair.mean()
        terms = {
            "an_info_nce": total.detach(),
            "an_info_nce_per_pair": per_pair.detach(),
            "mean_weight": weights.detach().mean(),
            "effective_dimensions": effective_dimensions(weights.detach()),
        }
        return Loss(total, terms)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"embedding_dim={len(self.theta)}, temperature={self.temperature}, graph={self.graph!r}"


def effective_dimensions(weights: Tensor) -> Tensor:
    """`(sum w)^2 / sum w^2` over the last axis, (..., D) -> (...): 1 to D."""
    return weights.sum(-1).square() / weights.square().sum(-1).clamp_min(torch.finfo(weights.dtype).tiny)
