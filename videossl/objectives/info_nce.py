"""InfoNCE: tell an anchor's positive from the rest of the batch (arXiv:1807.03748), on one pair of views or a graph.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph, A anchors' views, C candidates' views.
"""

from collections.abc import Sequence

from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import check_batch, full_precision, logit_bound, scaled, softplus
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph


def info_nce_of_pairs(
    anchors: Tensor, candidates: Tensor, pairs: Sequence[tuple[int, int]], *, bound: float | None = None
) -> Tensor:
    """-log( exp(a_i.c_i) / sum_j exp(a_i.c_j) ) for every pair (a, c) of views and every video i, in nats.

    Args:
        anchors: (A, B, D), scaled so that the inner product is the logit; B >= 2.
        candidates: (C, B, D), scaled alike; the same tensor where anchors and candidates are the same views.
        pairs: P pairs (a, c) of a row of `anchors` and a row of `candidates`.
        bound: Known upper limit of every |logit|, if there is one.

    Returns:
        Tensor of shape (P, B), >= 0.
    """
    logits = logits_of_pairs(anchors, candidates, pairs, bound=bound)
    return softplus(logits.energies - logits.aligned)


def check_pair(anchors: Tensor, positives: Tensor, temperature: Temperature) -> None:
    """Refuse what is not a batch of pairs.

    Raises:
        UsageError: Wrong shapes, fewer than two videos, or a temperature that is not positive.
    """
    if anchors.ndim != 2 or anchors.shape != positives.shape:
        raise UsageError(
            f"expected anchors and positives of the same shape (B, D), got {tuple(anchors.shape)} and "
            f"{tuple(positives.shape)}. For more than two views use mv_infonce."
        )
    check_batch(len(anchors))
    check_temperature(temperature)


def info_nce(anchors: Tensor, positives: Tensor, *, temperature: Temperature) -> Tensor:
    """Cross-entropy of picking each anchor's positive among the batch, in nats.

    `mean_i -log( exp(a_i.b_i / tau) / sum_j exp(a_i.b_j / tau) )`: one direction (rows of `anchors` choose), the
    positive is inside the denominator, so the value is >= 0. Chance level is log(B).

    Args:
        anchors: (B, D), B >= 2. L2-normalised here, so any scale.
        positives: (B, D). Row i is the positive of anchor i; all other rows are its negatives.
        temperature: tau > 0; one of shape (D,) weighs the dimensions: the logit is `sum_d a_d b_d / tau_d`.

    Returns:
        Tensor of shape (), float32 or float64, mean over the batch.

    Raises:
        UsageError: Wrong shapes, fewer than two videos, or a temperature that is not positive.
    """
    check_pair(anchors, positives, temperature)
    with full_precision(anchors.device):
        a, b = scaled(anchors, temperature)[None], scaled(positives, temperature)[None]
        return info_nce_of_pairs(a, b, [(0, 0)], bound=logit_bound(temperature)).mean()


class InfoNCE(MultiViewObjective):
    """Mean over the view graph of the one-directional InfoNCE of every pair (see `info_nce`); chance level log(B).

    With `u` the normalised embeddings and `p[l>m]` the normalised predictions (the anchors `u[l]` if there are none):
    `mean_P mean_i -log( exp(p[l>m,i].u[m,i] / tau) / sum_j exp(p[l>m,i].u[m,j] / tau) )`. It is `MVInfoNCE` in the form
    mean_of_logs with per_pair. With graph "all" and two views it is the symmetric loss of CLIP (arXiv:2103.00020).

    Terms: `info_nce` (), `info_nce_per_pair` (P,).

    Args:
        temperature: tau > 0: a number, or `LearnedTemperature`.
        graph: "all" ordered pairs, "forward" in time, or a list of pairs (l, m).
    """

    def __init__(self, temperature: Temperature = 0.1, graph: Graph = "all") -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature
        self.graph: Graph = graph

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        graph = check_views(embeddings, predictions, self.graph, self.temperature)
        with full_precision(embeddings.device):
            views = scaled(embeddings, self.temperature)
            anchors = views if predictions is None else scaled(predictions, self.temperature)
            pairs = anchor_rows(graph, predictions)
            losses = info_nce_of_pairs(anchors, views, pairs, bound=logit_bound(self.temperature))
            per_pair = losses.mean(dim=1)
            total = per_pair.mean()
        return Loss(total, {"info_nce": total.detach(), "info_nce_per_pair": per_pair.detach()})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}, graph={self.graph!r}"


def anchor_rows(graph: ViewGraph, predictions: Tensor | None) -> list[tuple[int, int]]:
    """Pairs of a row of the anchors and a view: anchors are the views (V, B, D), or one prediction a pair (P, B, D)."""
    if predictions is None:
        return list(graph.pairs)
    return [(pair, right) for pair, (_, right) in enumerate(graph.pairs)]
