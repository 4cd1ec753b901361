"""MV-DHEL: align all views of a video at once, spread every view over the videos alone (arXiv:2507.06979).

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import aligned_logits, full_precision, logit_bound, scaled
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.present import NEVER, mean_along, mean_present
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take

DHELAlignment = Literal["log_of_sum", "log_of_sum_per_anchor", "mean_of_logs"]


def _alignment(
    embeddings: Tensor,
    predictions: Tensor | None,
    graph: ViewGraph,
    temperature: Temperature,
    present: Tensor | None,
    form: DHELAlignment,
) -> tuple[Tensor, Tensor]:
    """Alignment of every video (B,), and the logits of the positives (P, B)."""
    views = scaled(embeddings, temperature)
    if predictions is None:
        # Not stacked first, which would copy P views, and no bmm, whose backward pass autocast would reach.
        both_ways = {pair: aligned_logits(views[pair[0]], views[pair[1]]) for pair in graph.unordered_pairs}
        aligned = torch.stack([both_ways[min(pair), max(pair)] for pair in graph.pairs])
    else:
        aligned = aligned_logits(scaled(predictions, temperature), graph.targets(views))
    both = None if present is None else graph.anchors(present) & graph.targets(present)
    if both is not None:
        aligned = aligned.masked_fill(~both, NEVER)
    if form == "mean_of_logs":
        return mean_along(0, aligned, both), aligned
    if form == "log_of_sum":
        return torch.logsumexp(aligned, dim=0), aligned
    anchors = [[pair for pair, (left, _) in enumerate(graph.pairs) if left == view] for view in graph.anchor_views]
    sums = torch.stack([torch.logsumexp(take(aligned, rows), dim=0) for rows in anchors])
    return mean_along(0, sums, None if both is None else torch.stack([take(both, r).any(0) for r in anchors])), aligned


def _energies(
    embeddings: Tensor, graph: ViewGraph, temperature: Temperature, self_in_energy: bool, present: Tensor | None
) -> Tensor:
    """log W of every view of the graph, (views, B); 0 where a view is not there or has no negative."""
    views = scaled(take(embeddings, graph.views), temperature)
    own = [(view, view) for view in range(len(views))]
    there = None if present is None else take(present, graph.views)
    bound = logit_bound(temperature)
    energies = logits_of_pairs(
        views, views, own, bound=bound, present=None if there is None else (there, there)
    ).energies
    if self_in_energy:
        # Of points of unit norm it is 1 / tau, whatever their gradient.
        own_points = views if bound is None else views.detach()
        energies = torch.logaddexp(energies, aligned_logits(own_points, own_points))
    return energies if there is None else energies.masked_fill(~there | (energies == -torch.inf), 0.0)


def _parts(
    embeddings: Tensor,
    predictions: Tensor | None,
    graph: ViewGraph,
    *,
    temperature: Temperature,
    alignment: DHELAlignment,
    self_in_energy: bool,
    present: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Energy (), alignment () and the logits of the positives (P, B)."""
    energies = _energies(embeddings, graph, temperature, self_in_energy, present).sum(dim=0)  # (B,)
    aligned, logits = _alignment(embeddings, predictions, graph, temperature, present, alignment)
    some = None if present is None else (graph.anchors(present) & graph.targets(present)).any(dim=0)
    return mean_present(energies, some), mean_present(aligned, some), logits


def _check_form(alignment: str) -> None:
    if alignment not in get_args(DHELAlignment):
        raise UsageError(f"expected an alignment out of {', '.join(get_args(DHELAlignment))}, got {alignment!r}.")


def mv_dhel(
    embeddings: Tensor,
    *,
    temperature: Temperature,
    graph: Graph = "all",
    alignment: DHELAlignment = "log_of_sum",
    self_in_energy: bool = False,
    predictions: Tensor | None = None,
    present: Tensor | None = None,
) -> Tensor:
    """Multi-view decoupled hyperspherical energy loss in nats (arXiv:2507.06979).

    With `s[l>m,i] = p[l>m,i] . u[m,i] / tau`, where `u` are the normalised embeddings and `p[l>m]` the normalised
    predictions (the anchors `u[l]` themselves if there are none), and
    `W[l,i] = sum_{j != i} exp(u[l,i] . u[l,j] / tau)`, the loss of video i is `sum_l log W[l,i]` (the energy, l over
    the views of the graph) minus the alignment:

    | alignment | value | |
    |---|---|---|
    | log_of_sum | `log sum_P exp s[p,i]` | as printed |
    | log_of_sum_per_anchor | `mean_l log sum_{m: (l,m) in P} exp s[l>m,i]` | the ablation `CL_2` of the authors' code |
    | mean_of_logs | `mean_P s[p,i]` | every pair has its share of the gradient |

    Everything is in log space: the authors' code multiplies the V energies, whose gradient is lost in float32, in
    silence, from about B = 1024 and V = 8 at temperature 0.2. Relation to its value: theirs counts every unordered
    pair once, which is `graph="forward"` exactly; over all ordered pairs the value is theirs - log 2, with the same
    gradient. `self_in_energy` adds j = i to W, as in the formula of the authors' README.

    Chance level (collapsed embeddings): V log(B - 1) + (V - 1) / tau - log P for the V views of the graph, with B in
    place of B - 1 if `self_in_energy`; for mean_of_logs without the log P, for log_of_sum_per_anchor with the mean over
    anchors of the log of the number of their targets in its place. The value may be negative. Only a view's own
    embeddings repel each other, so edited anchors learn from the alignment alone.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0: a number, or learned (a tensor or a `LearnedTemperature`).
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        alignment: "log_of_sum", "log_of_sum_per_anchor" or "mean_of_logs".
        self_in_energy: Whether an embedding counts as a negative of itself.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`; L2-normalised here.
            None: the views themselves.
        present: (V, B) bool: a view that a video does not have is neither positive nor negative; videos without any
            pair are left out of the mean. None: all are there.

    Returns:
        Tensor of shape (), float32 or float64, mean over videos.

    Raises:
        UsageError: Wrong shapes, graph, temperature or alignment, or fewer than two videos.
    """
    _check_form(alignment)
    pairs = check_views(embeddings, predictions, graph, temperature, present)
    with full_precision(embeddings.device):
        energy, aligned, _ = _parts(
            embeddings,
            predictions,
            pairs,
            temperature=temperature,
            alignment=alignment,
            self_in_energy=self_in_energy,
            present=present,
        )
        return energy - aligned


class MVDHEL(MultiViewObjective):
    """MV-DHEL with its two parts watched. See `mv_dhel` for the arguments and the mathematics.

    Terms: `mv_dhel`, `energy` (mean over videos of sum_l log W) and `alignment`, () each; `aligned_logit_per_pair`
    (P,), the mean logit of the positives of every pair.

    Args:
        temperature: tau > 0, what the cosines are divided by: a number, or a `LearnedTemperature`.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
        alignment: How the pairs of views add up: "log_of_sum" as printed, "log_of_sum_per_anchor", or "mean_of_logs",
            in which all pairs count alike.
        self_in_energy: Whether an embedding counts as a negative of itself, as in the authors' README.
    """

    def __init__(
        self,
        temperature: float | LearnedTemperature = 0.1,
        graph: Graph = "all",
        alignment: DHELAlignment = "log_of_sum",
        self_in_energy: bool = False,
    ) -> None:
        super().__init__()
        _check_form(alignment)
        check_temperature(temperature)
        self.temperature: Temperature = temperature
        self.graph: Graph = graph
        self.alignment: DHELAlignment = alignment
        self.self_in_energy = self_in_energy

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, present: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        pairs = check_views(embeddings, predictions, self.graph, self.temperature, present)
        with full_precision(embeddings.device):
            energy, aligned, logits = _parts(
                embeddings,
                predictions,
                pairs,
                temperature=self.temperature,
                alignment=self.alignment,
                self_in_energy=self.self_in_energy,
                present=present,
            )
            both = None if present is None else pairs.anchors(present) & pairs.targets(present)
            total = energy - aligned
            terms = {
                "mv_dhel": total.detach(),
                "energy": energy.detach(),
                "alignment": aligned.detach(),
                "aligned_logit_per_pair": mean_along(1, logits.detach(), both),
            }
        return Loss(total, terms)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"temperature={self.temperature}, graph={self.graph!r}, alignment={self.alignment!r}, "
            f"self_in_energy={self.self_in_energy}"
        )
