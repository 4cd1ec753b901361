"""H-InfoNCE: InfoNCE whose similarity weighs the dimensions by weights that are predicted from the context.

How surely the future is known depends on where one is: noise that is the same everywhere in the world is not the same
everywhere on the sphere of embeddings (arXiv:2602.02381, proposition 2.1), so the weights of AnInfoNCE become a
function of the anchor. It is AdaSSL's strongest baseline without a latent.
Shapes: V views, B videos, D embedding, P ordered pairs of the view graph, A views that are anchors.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.an_info_nce import SOFTPLUS_TO_ONE, centred, effective_dimensions
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import at_least_float32, full_precision, scaled, softplus, unit
from videossl.objectives.info_nce import check_pair, info_nce_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import Temperature, check_temperature
from videossl.objectives.view_graph import Graph, take
from videossl.transition.networks import mlp, reset_mlp

Similarity = Literal["squared_distance", "inner_product"]


def h_info_nce(
    anchors: Tensor,
    positives: Tensor,
    *,
    weights: Tensor,
    temperature: Temperature,
    similarity: Similarity = "squared_distance",
) -> Tensor:
    """InfoNCE with weights of its own for every anchor, in nats.

    `mean_i -log( exp s_i(a_i, b_i) / sum_j exp s_i(a_i, b_j) )` for a, b of unit norm, with
    `s_i(a, b) = -sum_d w[i,d] (a_d - b_d)^2 / (2 tau)` ("squared_distance": the logarithm of a Gaussian with precision
    w[i] / tau) or `sum_d w[i,d] a_d b_d / tau` ("inner_product"). One direction, the positive is inside the
    denominator, so the value is >= 0. Chance level is log(B).

    The same weights for every anchor and "squared_distance": `an_info_nce`, exactly. Weights that are equal over the
    dimensions, w[i]: InfoNCE with temperature tau / w[i] for anchor i, in both similarities; all ones: `info_nce`.

    The authors of arXiv:2602.02381 have published no code for this baseline and the text of the paper was not at hand:
    "squared_distance" is AnInfoNCE with weights from the context, as the paper's summary has it; the rest is ours.

    Args:
        anchors: (B, D), B >= 2. L2-normalised here, so any scale.
        positives: (B, D). Row i is the positive of anchor i; all other rows are its negatives.
        weights: (B, D), >= 0. They are not normalised: their mean says how sure the anchor is.
        temperature: tau > 0.
        similarity: "squared_distance" or "inner_product".

    Returns:
        Tensor of shape (), float32 or float64, mean over the batch.

    Raises:
        UsageError: Wrong shapes, similarity, fewer than two videos, or a temperature that is not positive.
    """
    check_pair(anchors, positives, temperature)
    _check_similarity(similarity)
    if weights.shape != anchors.shape:
        raise UsageError(
            f"expected weights of shape (B, D) = {tuple(anchors.shape)}, got {tuple(weights.shape)}. "
            f"For the same weights everywhere use an_info_nce."
        )
    with full_precision(anchors.device):
        a, b = scaled(anchors, temperature)[None], scaled(positives, temperature)[None]
        return info_nce_of_pairs(*_as_inner_products(a, b, weights[None], similarity), [(0, 0)]).mean()


def _check_similarity(similarity: str) -> None:
    if similarity not in ("squared_distance", "inner_product"):
        raise UsageError(f'expected similarity "squared_distance" or "inner_product", got {similarity!r}.')


def _as_inner_products(
    anchors: Tensor, candidates: Tensor, weights: Tensor, similarity: Similarity
) -> tuple[Tensor, Tensor]:
    """(A, B, D), (C, B, D), (A, B, D) -> two tensors whose inner products are the logits, less a constant an anchor.

    `-w (a - b)^2 / 2 = (w a) b + (-w / 2) b^2 - w a^2 / 2`: with the squares appended to the candidates all but the
    last is an inner product of 2 D dimensions, and the last cancels.
    """
    weights = weights.to(anchors.dtype)
    if similarity == "inner_product":
        return weights * anchors, candidates
    anchors, candidates = centred(anchors, candidates)
    return torch.cat([weights * anchors, -0.5 * weights], -1), torch.cat([candidates, candidates.square()], -1)


class HInfoNCE(MultiViewObjective):
    """Mean over the view graph of the one-directional H-InfoNCE of every pair, its weights from a network.

    See `h_info_nce` for the formula; chance level log(B). The weights of the pair (l, m) are
    `softplus(net(sqrt(D) u[l]) + log(e - 1))`, u[l] the normalised embedding of the context, also where the anchors are
    predictions; gradients flow through it. They are not normalised to a mean of 1: how sure a context is altogether
    is half of what the weights are for, and the softmax over the batch keeps it honest. The default net says 0
    at the start, so training begins at `InfoNCE` of the same temperature, exactly.

    Terms: `h_info_nce` (), `h_info_nce_per_pair` (P,), `mean_weight` (), `weight_spread` (), the
    standard deviation over videos of a video's mean weight, averaged over the views that are anchors, and
    `effective_dimensions` (), the mean of `(sum w)^2 / sum w^2`, 1 to D.

    Args:
        embedding_dim: Dimension D.
        net: (..., D) -> (..., D), any sign; its inputs have coordinates of about 1. It runs with autocast off. None: an
            MLP with one hidden layer of `hidden_dim`.
        hidden_dim: Width of the default net's hidden layer.
        temperature: tau > 0: a number, or `LearnedTemperature`.
        graph: "all" ordered pairs, "forward" in time, or a list of pairs (l, m).
        similarity: "squared_distance" or "inner_product".
    """

    def __init__(
        self,
        embedding_dim: int,
        net: nn.Module | None = None,
        hidden_dim: int = 256,
        temperature: Temperature = 0.1,
        graph: Graph = "all",
        similarity: Similarity = "squared_distance",
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        _check_similarity(similarity)
        if embedding_dim < 1 or hidden_dim < 1:
            raise UsageError(f"expected embedding_dim and hidden_dim >= 1, got {embedding_dim} and {hidden_dim}.")
        if net is None:
            net = mlp(embedding_dim, hidden_dim, embedding_dim)
            reset_mlp(net, zero_output=True)
        self.embedding_dim = embedding_dim
        self.net = net
        self.temperature = temperature
        self.graph: Graph = graph
        self.similarity: Similarity = similarity

    def weights(self, contexts: Tensor) -> Tensor:
        """Raw contexts (..., D) -> weights (..., D), > 0."""
        with full_precision(contexts.device):
            inputs = math.sqrt(self.embedding_dim) * unit(contexts)
            parameter = next(self.net.parameters(), inputs)  # a net in float32 serves embeddings in float64 too
            raw = at_least_float32(self.net(inputs.to(parameter.dtype)))
            return softplus(raw + SOFTPLUS_TO_ONE)

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        graph = check_views(embeddings, predictions, self.graph, self.temperature)
        if embeddings.shape[-1] != self.embedding_dim:
            raise UsageError(
                f"expected embeddings of {self.embedding_dim} dimensions, got {embeddings.shape[-1]}. "
                f"Set embedding_dim to the projector's."
            )
        with full_precision(embeddings.device):
            contexts = take(embeddings, graph.anchor_views)  # (A, B, D)
            weights = self.weights(contexts)
            if weights.shape != contexts.shape:
                shape = tuple(contexts.shape)
                raise UsageError(f"expected a net that gives {shape} weights, got {tuple(weights.shape)}.")
            views = scaled(embeddings, self.temperature)
            if predictions is None:
                anchors, of_anchors, rows = take(views, graph.anchor_views), weights, graph.anchor_rows
            else:
                anchors, of_anchors = scaled(predictions, self.temperature), take(weights, graph.anchor_rows)
                rows = tuple(range(len(graph)))
            pairs = [(row, right) for row, (_, right) in zip(rows, graph.pairs, strict=True)]
            losses = info_nce_of_pairs(*_as_inner_products(anchors, views, of_anchors, self.similarity), pairs)
            per_pair = losses.mean(dim=1)
            total = per_pair.mean()
        known = weights.detach()
        terms = {
            "h_info_nce": total.detach(),
            "h_info_nce_per_pair": per_pair.detach(),
            "mean_weight": known.mean(),
            "weight_spread": known.mean(-1).std(dim=1, correction=0).mean(),
            "effective_dimensions": effective_dimensions(known).mean(),
        }
        return Loss(total, terms)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"embedding_dim={self.embedding_dim}, temperature={self.temperature}, graph={self.graph!r}, "
            f"similarity={self.similarity!r}"
        )
