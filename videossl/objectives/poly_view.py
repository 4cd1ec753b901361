"""PVC: poly-view contrastive learning (arXiv:2403.05490), with plain or edited anchors.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import full_precision, logit_bound, scaled, softplus
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take

Variant = Literal["geometric", "arithmetic"]
"""Which mean over an anchor's targets: of the probabilities (arithmetic), or of their logarithms (geometric)."""


class Sight(NamedTuple):
    """What the anchors of the pairs see.

    Attributes:
        own: For every pair, by view: the logit of its anchor with that view of the same video, (B,).
        others: Log-energy of the other videos, in all the views that the anchor sees, (P, B).
    """

    own: list[dict[int, Tensor]]
    others: Tensor


def sight(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Sight:
    """Logits of every pair's anchor: one of view l sees view l and the views that the graph pairs it with."""
    views = scaled(embeddings, temperature)
    lefts = [left for left, _ in graph.pairs]
    if predictions is None:  # one anchor for all pairs of a view
        anchors, left_of, row_of = views, {view: view for view in graph.anchor_views}, lefts
    else:
        anchors, left_of, row_of = scaled(predictions, temperature), dict(enumerate(lefts)), list(range(len(graph)))
    seen = {view: [view, *(m for left, m in graph.pairs if left == view)] for view in graph.anchor_views}
    asked = [(row, m) for row, left in left_of.items() for m in seen[left]]
    logits = logits_of_pairs(anchors, views, asked, bound=logit_bound(temperature))
    own: dict[int, dict[int, Tensor]] = {row: {} for row in left_of}
    energies: dict[int, list[Tensor]] = {row: [] for row in left_of}
    for (row, m), aligned, energy in zip(asked, logits.aligned.unbind(0), logits.energies.unbind(0), strict=True):
        own[row][m] = aligned
        energies[row].append(energy)
    others = {row: torch.logsumexp(torch.stack(parts), dim=0) for row, parts in energies.items()}
    return Sight([own[row] for row in row_of], torch.stack([others[row] for row in row_of]))


def _surprises(embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature) -> Tensor:
    """t of every pair: -log of the probability of its target, (P, B)."""
    own, others = sight(embeddings, predictions, graph, temperature)
    aligned = torch.stack([logits[right] for logits, (_, right) in zip(own, graph.pairs, strict=True)])
    return softplus(others - aligned)


def _total(surprises: Tensor, graph: ViewGraph, variant: Variant) -> Tensor:
    if variant == "geometric":
        return surprises.mean()
    rows = surprises.unbind(0)
    of_anchor = []
    for anchor in graph.anchor_views:
        group = torch.stack([row for row, (left, _) in zip(rows, graph.pairs, strict=True) if left == anchor])
        # -log mean exp(-t), taken around the smallest t: keeps all digits where every t is tiny, and does not underflow
        # where every t is large. 1/T <= 1 + mean <= 1, so log1p is never near its pole.
        smallest = group.detach().amin(0)
        of_anchor.append(smallest - torch.log1p(torch.expm1(smallest - group).mean(0)))
    return take(torch.stack(of_anchor), graph.anchor_rows).mean()  # every pair weighs the same


def _check_variant(variant: str) -> None:
    if variant not in ("geometric", "arithmetic"):
        raise UsageError(f'expected variant "geometric" or "arithmetic", got {variant!r}. Correct the variant.')


def poly_view(
    embeddings: Tensor,
    *,
    temperature: Temperature,
    variant: Variant = "geometric",
    graph: Graph = "all",
    predictions: Tensor | None = None,
) -> Tensor:
    """Poly-view contrastive loss, in nats (arXiv:2403.05490: its geometric and its arithmetic PVC).

    With `u` the L2-normalised embeddings, `s(a, b) = a.b / tau` and, for every pair (a, b) of views,
    `t[i,a,b] = -log( exp s(u[i,a], u[i,b]) / ( exp s(u[i,a], u[i,b]) + sum_{j != i} sum_m exp s(u[i,a], u[j,m]) ) )`:
    - "geometric": `mean_{i,a,b} t`, minus the log of the geometric mean of the probabilities of an anchor's targets;
    - "arithmetic": `-mean_{i,a} log mean_b exp(-t)`, minus the log of their arithmetic mean; <= geometric, and its
      gradient goes to the targets that are aligned best already.
    In the denominator: the one positive, and all views m (a included) of all other videos; not the video's other
    positives. One direction, a chooses; "all" has both. Value >= 0. Chance level, all embeddings equal, is
    log(V (B - 1) + 1) for both. For two views both are NT-Xent.

    Equals the values of the code of arXiv:2507.06979 for the geometric variant (golden `pvc_geometric`). The
    arithmetic one is the formula (golden `pvc_arithmetic_paper`), not that code (golden `pvc_arithmetic_official`):
    the code averages t over the batch before the log-sum-exp, exponentiates +t instead of -t, which gives the
    gradient to the worst aligned target, and subtracts log B where log(V - 1) belongs; its own trainer never selects
    it.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0; may be learned.
        variant: "geometric" or "arithmetic".
        graph: "all", "forward" or a list of pairs (a, b). Anchor a then sees the other videos in view a and in the
            views that it is paired with, T of them: chance level the mean over pairs of log((T + 1)(B - 1) + 1).
            Every pair weighs the same.
        predictions: (P, B, D), edited anchors p[a>b] in the order of `ViewGraph.pairs`, which stand where u[a] did,
            on the left; L2-normalised here. None: the views themselves. Costs T + 1 energies a pair instead of an
            anchor.

    Returns:
        Tensor of shape (), float32 or float64.

    Raises:
        UsageError: Wrong shapes, graph, temperature or variant, or fewer than two videos.
    """
    _check_variant(variant)
    pairs = check_views(embeddings, predictions, graph, temperature)
    with full_precision(embeddings.device):
        return _total(_surprises(embeddings, predictions, pairs, temperature), pairs, variant)


class PolyView(MultiViewObjective):
    """PVC with its pairs watched. See `poly_view` for the arguments and the mathematics.

    Terms: `poly_view` (); `poly_view_per_pair` (P,), t of every pair, averaged over videos, whatever the variant.

    Args:
        temperature: tau > 0, what the cosines are divided by: a number, or a `LearnedTemperature`.
        variant: How the views that an anchor is paired with add up: "geometric" or "arithmetic" mean.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
    """

    def __init__(
        self,
        temperature: float | LearnedTemperature = 0.1,
        variant: Variant = "geometric",
        graph: Graph = "all",
    ) -> None:
        super().__init__()
        _check_variant(variant)
        check_temperature(temperature)
        self.temperature: Temperature = temperature
        self.variant: Variant = variant
        self.graph: Graph = graph

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        graph = check_views(embeddings, predictions, self.graph, self.temperature)
        with full_precision(embeddings.device):
            surprises = _surprises(embeddings, predictions, graph, self.temperature)
            total = _total(surprises, graph, self.variant)
        return Loss(total, {"poly_view": total.detach(), "poly_view_per_pair": surprises.detach().mean(1)})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}, variant={self.variant!r}, graph={self.graph!r}"
