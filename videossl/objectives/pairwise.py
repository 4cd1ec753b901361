"""PWE: the mean over pairs of views of a two-view loss, an aggregation that arXiv:2507.06979 argues against.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph, U unordered ones.
Not here: the objectives that the paper puts in its place (mv_infonce.py, mv_dhel.py).
"""

import math
from typing import Literal

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import aligned_logits, full_precision, logit_bound, scaled
from videossl.objectives.energies import log_energies
from videossl.objectives.info_nce import anchor_rows
from videossl.objectives.multi_view import check_views
from videossl.objectives.nt_xent import nt_xent_of_pairs
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph

Base = Literal["nt_xent", "dhel"]
"""The two-view loss that is aggregated."""


def check_base(base: str) -> None:
    """One of the two-view losses.

    Raises:
        UsageError: It is not.
    """
    if base not in ("nt_xent", "dhel"):
        raise UsageError(f'expected base "nt_xent" or "dhel", got {base!r}. Correct the two-view loss.')


def same_view_energies(views: Tensor, graph: ViewGraph, bound: float | None) -> dict[int, Tensor]:
    """log W of DHEL: for every view of the graph, the log-energy of its other videos, (B,) each. `views` are scaled."""
    energies = log_energies(views, views, [(view, view) for view in graph.views], bound=bound)
    return dict(zip(graph.views, energies.unbind(0), strict=True))


def aligned_of_pairs(anchors: Tensor, views: Tensor, rows: list[tuple[int, int]]) -> Tensor:
    """`anchors[a,i] . views[m,i]` for every pair (a, m) of rows, (P, B); both are scaled."""
    left, right = anchors.unbind(0), views.unbind(0)  # not stacked first, which would copy P views
    return torch.stack([aligned_logits(left[a], right[m]) for a, m in rows])


def _nt_xent(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Tensor:
    joined = graph.unordered_pairs
    both = {*joined, *((right, left) for left, right in joined)}
    if set(graph.pairs) != both:
        if predictions is not None:
            raise UsageError(
                "expected predictions for both directions of every pair of views, as both are anchors of NT-Xent, got "
                "a one-way graph. For one-way pairs use mv_infonce with same_view_negatives=True."
            )
        graph = ViewGraph(tuple(sorted(both)), graph.num_views)
    of_pairs = nt_xent_of_pairs(embeddings, predictions, graph, temperature)
    losses = dict(zip(graph.pairs, of_pairs.unbind(0), strict=True))
    return torch.stack([(losses[left, right] + losses[right, left]) / 2 for left, right in joined])


def _dhel(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Tensor:
    views = scaled(embeddings, temperature)
    energies = same_view_energies(views, graph, logit_bound(temperature))
    anchors = views if predictions is None else scaled(predictions, temperature)
    of_pairs = aligned_of_pairs(anchors, views, anchor_rows(graph, predictions))
    aligned = dict(zip(graph.pairs, of_pairs.unbind(0), strict=True))
    losses = []
    for left, right in graph.unordered_pairs:
        ways = [aligned[way] for way in ((left, right), (right, left)) if way in aligned]
        alignment = torch.logsumexp(torch.stack(ways), dim=0) - math.log(len(ways))
        losses.append(energies[left] + energies[right] - alignment)
    return torch.stack(losses)


def _losses(
    embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature, base: Base
) -> Tensor:
    """(U, B)."""
    with full_precision(embeddings.device):
        of_base = _nt_xent if base == "nt_xent" else _dhel
        return of_base(embeddings, predictions, graph, temperature)


def pairwise(
    embeddings: Tensor,
    *,
    temperature: Temperature,
    base: Base = "nt_xent",
    graph: Graph = "all",
    predictions: Tensor | None = None,
) -> Tensor:
    """PWE, the mean over unordered pairs of views {l, m} of a two-view loss, in nats (arXiv:2507.06979).

    With `u` the L2-normalised embeddings and `s(a, b) = a.b / tau`:
    - "nt_xent": `nt_xent` on the two views, both directions; each pair sees its own two views only. In the
      denominator: the positive and 2B - 2 other points. Value >= 0; chance level log(2B - 1).
    - "dhel": `mean_i [ log W[l,i] + log W[m,i] - s(u[l,i], u[m,i]) ]`, MV-DHEL of the two views, with
      `W[l,i] = sum_{j != i} exp s(u[l,i], u[l,j])`: other videos of the same view only, the positive is not in the
      denominator, so the value may be negative. Chance level (all embeddings equal) 2 log(B - 1) + 1/tau.

    Equals the authors' values (golden `ntxent_pwe`, `mvdhel_pwe`) exactly. For two views they are
    `nt_xent`, and `mv_dhel` over the graph "forward". Every energy is computed once, however many pairs it enters.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0; may be learned.
        base: "nt_xent" or "dhel".
        graph: "all", "forward" or a list of pairs; {l, m} counts once if it is joined in either direction, so "all"
            and "forward" are the same here.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`; L2-normalised here. None: the
            views themselves. NT-Xent: p[l>m,i] stands where u[l,i] did, on the left; the graph must have both
            directions of its pairs. DHEL: the alignment becomes `log mean exp s(p[l>m,i], u[m,i])` over the directions
            that the graph has, as in MV-DHEL; the energies stay those of the views.

    Returns:
        Tensor of shape (), float32 or float64, mean over pairs and videos.

    Raises:
        UsageError: Wrong shapes, graph, temperature or base, fewer than two videos, or predictions for one-way pairs of
            NT-Xent.
    """
    check_base(base)
    pairs = check_views(embeddings, predictions, graph, temperature)
    return _losses(embeddings, predictions, pairs, temperature, base).mean()


class Pairwise(MultiViewObjective):
    """PWE with its pairs watched. See `pairwise` for the arguments and the mathematics.

    Terms: `pairwise` (); `pairwise_per_pair` (P,), for every ordered pair of the graph the loss of its two views,
    which is the same for both directions.

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
        of_pair = dict(zip(graph.unordered_pairs, losses.detach().mean(1).unbind(0), strict=True))
        per_pair = torch.stack([of_pair[min(pair), max(pair)] for pair in graph.pairs])
        return Loss(total, {"pairwise": total.detach(), "pairwise_per_pair": per_pair})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}, base={self.base!r}, graph={self.graph!r}"
