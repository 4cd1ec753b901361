"""Multi-positive losses: every other view of an anchor is a positive of its own (compared with in arXiv:2507.06979).

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
Not here: the objectives that the paper puts in its place (mv_infonce.py, mv_dhel.py).
"""

import torch
from torch import Tensor

from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import full_precision, logit_bound, scaled, softplus
from videossl.objectives.info_nce import anchor_rows
from videossl.objectives.multi_view import check_views
from videossl.objectives.pairwise import Base, aligned_of_pairs, check_base, same_view_energies
from videossl.objectives.poly_view import sight
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph


def _nt_xent(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Tensor:
    """-log of the probability of the target of every pair, (P, B)."""
    own, negatives = sight(embeddings, predictions, graph, temperature)
    losses = []
    for (left, right), logits, against in zip(graph.pairs, own, negatives.unbind(0), strict=True):
        # The anchor's other positives are candidates too; its own point is not.
        rivals = [logit for view, logit in logits.items() if view not in (left, right)]
        losses.append(softplus(torch.logsumexp(torch.stack([against, *rivals]), dim=0) - logits[right]))
    return torch.stack(losses)


def _dhel(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Tensor:
    """The energy of all views less the aligned logit of every pair, (P, B)."""
    views = scaled(embeddings, temperature)
    energies = same_view_energies(views, graph, logit_bound(temperature))
    anchors = views if predictions is None else scaled(predictions, temperature)
    aligned = aligned_of_pairs(anchors, views, anchor_rows(graph, predictions))
    return torch.stack(list(energies.values())).sum(0) - aligned


def _losses(
    embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature, base: Base
) -> Tensor:
    """(P, B)."""
    with full_precision(embeddings.device):
        of_base = _nt_xent if base == "nt_xent" else _dhel
        return of_base(embeddings, predictions, graph, temperature)


def multi_positive(
    embeddings: Tensor,
    *,
    temperature: Temperature,
    base: Base = "nt_xent",
    graph: Graph = "all",
    predictions: Tensor | None = None,
) -> Tensor:
    """The mean over anchors and all their positives of -log p(positive), in nats (compared with in arXiv:2507.06979).

    With `u` the L2-normalised embeddings and `s(a, b) = a.b / tau`, over the pairs (l, m) of views, anchor l,
    positive m:
    - "nt_xent": `-mean_{i,(l,m)} log( exp s(u[l,i], u[m,i]) / sum_{(n,j) != (l,i)} exp s(u[l,i], u[n,j]) )`, the
      "outside" form of supervised contrastive learning (arXiv:2004.11362, equation 2) with the video as the class. In
      the denominator: all V B - 1 other points, the anchor's other positives among them, so that the value cannot
      reach 0 for V > 2 (its limit is log(V - 1)). Chance level, all embeddings equal, is log(V B - 1).
    - "dhel": `mean_i [ sum_l log W[l,i] - mean_{(l,m)} s(u[l,i], u[m,i]) ]` with
      `W[l,i] = sum_{j != i} exp s(u[l,i], u[l,j])`: `mv_dhel` in its form mean_of_logs. The positive is not in the
      denominator. Chance level V log(B - 1) + (V - 1) / tau.

    "nt_xent" equals the published value (golden `ntxent_mv`) exactly, and `nt_xent` for two views. "dhel" has no
    published counterpart; for two views it is the authors' MV-DHEL (golden `mvdhel`).

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0; may be learned.
        base: "nt_xent" or "dhel".
        graph: "all", "forward" or a list of pairs; every pair weighs the same. NT-Xent: the candidates of anchor l
            are the points of view l and of the views that it is paired with. DHEL: l runs over the views that are in
            some pair, as anchor or as target.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`, which stand where u[l] did,
            on the left; L2-normalised here. None: the views themselves. NT-Xent: p[l>m,i] must tell u[m,i] from the
            other futures of its own video too; costs an energy for every pair and view. DHEL: the energies stay those
            of the views.

    Returns:
        Tensor of shape (), float32 or float64.

    Raises:
        UsageError: Wrong shapes, graph, temperature or base, or fewer than two videos.
    """
    check_base(base)
    pairs = check_views(embeddings, predictions, graph, temperature)
    return _losses(embeddings, predictions, pairs, temperature, base).mean()


class MultiPositive(MultiViewObjective):
    """The multi-positive loss with its pairs watched. See `multi_positive` for the arguments and the mathematics.

    Terms: `multi_positive` (); `multi_positive_per_pair` (P,), the loss of every pair's positive, whose mean it is.

    Args:
        temperature: tau > 0, what the cosines are divided by: a number, or a `LearnedTemperature`.
        base: The loss of two views: "nt_xent", or "dhel", whose negatives are of one view each.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
    """

    def __init__(
        self, temperature: float | LearnedTemperature = 0.1, base: Base = "nt_xent", graph: Graph = "all"
    ) -> None:
        super().__init__()
        check_base(base)
        check_temperature(temperature)
        self.temperature: Temperature = temperature
        self.base: Base = base
        self.graph: Graph = graph

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        graph = check_views(embeddings, predictions, self.graph, self.temperature)
        losses = _losses(embeddings, predictions, graph, self.temperature, self.base)
        total = losses.mean()
        return Loss(total, {"multi_positive": total.detach(), "multi_positive_per_pair": losses.detach().mean(1)})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}, base={self.base!r}, graph={self.graph!r}"
