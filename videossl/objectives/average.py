"""AVG: each view against the mean of the others, an aggregation that arXiv:2507.06979 argues against.

Shapes: V views, B videos, D embedding, A views that are anchors of the view graph.
Not here: the objectives that the paper puts in its place (mv_infonce.py, mv_dhel.py).
"""

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import aligned_logits, full_precision, logit_bound, scaled, softplus, unit
from videossl.objectives.energies import log_energies
from videossl.objectives.multi_view import check_views
from videossl.objectives.pairwise import Base, check_base
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take


def _mean_of_targets(views: Tensor, graph: ViewGraph) -> Tensor:
    """(V, B, D) -> (A, B, D): for every anchor view the mean of the views that it is paired with."""
    targets = [[right for left, right in graph.pairs if left == anchor] for anchor in graph.anchor_views]
    return torch.stack([take(views, of_anchor).mean(0) for of_anchor in targets])


def _value(embeddings: Tensor, graph: ViewGraph, temperature: Temperature, base: Base) -> Tensor:
    with full_precision(embeddings.device):
        views = scaled(embeddings, temperature)
        if base == "nt_xent":
            means = _mean_of_targets(views, graph)
        else:
            means = scaled(_mean_of_targets(unit(embeddings), graph), temperature)
        anchors = take(views, graph.anchor_views)  # (A, B, D)
        aligned = aligned_logits(anchors, means)  # (A, B)
        points, count = torch.cat([anchors, means]), 2 * len(anchors)
        own = [(point, point) for point in range(count)]
        # A mean of unit vectors is no longer than they are: the limit of the logits holds for it too.
        bound = logit_bound(temperature)
        if base == "dhel":
            of_anchors, of_means = log_energies(points, points, own, bound=bound).chunk(2)
            return (of_anchors + of_means - aligned).mean()
        across = [(point, (point + len(anchors)) % count) for point in range(count)]
        of_own, of_other = log_energies(points, points, [*own, *across], bound=bound).chunk(2)
        return softplus(torch.logaddexp(of_own, of_other) - torch.cat([aligned, aligned])).mean()


def average(embeddings: Tensor, *, temperature: Temperature, base: Base = "nt_xent", graph: Graph = "all") -> Tensor:
    """AVG: a two-view loss on (view l, mean of the other views), mean over the views l, in nats (arXiv:2507.06979).

    With `u` the L2-normalised embeddings, `s(a, b) = a.b / tau` and `c[l,i] = mean_{m != l} u[m,i]`:
    - "nt_xent": NT-Xent on (u[l], c[l]), both directions, c NOT normalised again (so s is short where the views
      disagree). In the denominator: the positive and the other 2B - 2 points of u[l] and c[l]. Value >= 0; chance
      level (all embeddings equal) log(2B - 1).
    - "dhel": `mean_i [ log W(u[l])_i + log W(c[l])_i - s(u[l,i], c[l,i]) ]` with
      `W(x)_i = sum_{j != i} exp s(x[i], x[j])`, c L2-normalised AGAIN (it has no slope worth the name where the other
      views cancel). The positive is not in the denominator. Chance level 2 log(B - 1) + 1/tau.

    The difference in c is the authors' own; both equal their values (golden `ntxent_avg`, `mvdhel_avg`) exactly. For
    two views it is `nt_xent` and `mv_dhel` over the graph "forward".

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0; may be learned.
        base: "nt_xent" or "dhel".
        graph: "all", "forward" or a list of pairs: c[l] is the mean of the views m with (l, m) in the graph, and l runs
            over the views that are anchors.

    Returns:
        Tensor of shape (), float32 or float64, mean over anchor views and videos.

    Raises:
        UsageError: Wrong shapes, graph, temperature or base, or fewer than two videos.
    """
    check_base(base)
    return _value(embeddings, check_views(embeddings, None, graph, temperature), temperature, base)


class Average(MultiViewObjective):
    """AVG. See `average` for the arguments and the mathematics.

    Anchors cannot be edited: one prediction a pair has no place where a view meets the mean of many.
    Terms: `average` ().

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
        """Raw embeddings (V, B, D) -> Loss; predictions are refused."""
        if predictions is not None:
            raise UsageError(
                "expected no predictions, as average has one target for all pairs of an anchor, got one a pair. "
                "Use mv_infonce for edited anchors."
            )
        graph = check_views(embeddings, None, self.graph, self.temperature)
        total = _value(embeddings, graph, self.temperature, self.base)
        return Loss(total, {"average": total.detach()})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}, base={self.base!r}, graph={self.graph!r}"
