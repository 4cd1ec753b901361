"""MV-InfoNCE: contrast any number of views at once (arXiv:2507.06979), with plain or edited anchors.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
Not here: the latent and the editor (adassl.py), gathering over devices (training/).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import aligned_logits, full_precision, logit_bound, scaled, softplus
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.multi_view import check_views
from videossl.objectives.present import NEVER, mean_along, mean_present
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take

Alignment = Literal["mean_of_logs", "log_of_sum"]
Energy = Literal["per_pair", "per_anchor", "joint"]


@dataclass(frozen=True)
class _Contrast:
    """Logits of the positives and log-energies of the negatives, (P, B) each, in nats."""

    aligned: Tensor
    negatives: Tensor  # of this pair alone
    pooled: tuple[Tensor, ...]  # what its negatives are when pairs are taken together, the own view of an anchor once
    present: Tensor | None  # bool: whether both views are there; None: all are


def _contrast(
    embeddings: Tensor,
    predictions: Tensor | None,
    graph: ViewGraph,
    *,
    temperature: Temperature,
    same_view: bool,
    logit_limit: float | None,
    present: Tensor | None,
) -> _Contrast:
    views = scaled(embeddings, temperature)  # (V, B, D)
    if predictions is None:
        anchors, anchors_present = views, present
        asked = [*graph.pairs, *((view, view) for view in graph.anchor_views if same_view)]
    else:
        anchors, anchors_present = scaled(predictions, temperature), None if present is None else graph.anchors(present)
        asked = [(pair, right) for pair, (_, right) in enumerate(graph.pairs)]
        asked += [(pair, left) for pair, (left, _) in enumerate(graph.pairs) if same_view]
    aligned, energies = logits_of_pairs(
        anchors,
        views,
        asked,
        bound=logit_bound(temperature),
        logit_limit=logit_limit,
        present=None if anchors_present is None or present is None else (anchors_present, present),
    )
    aligned, across, same = aligned[: len(graph)], energies[: len(graph)], energies[len(graph) :]
    both = None if present is None else graph.anchors(present) & graph.targets(present)
    if both is not None:
        aligned, across, same = aligned.masked_fill(~both, NEVER), across.clamp_min(NEVER), same.clamp_min(NEVER)
    if not same_view:
        return _Contrast(aligned, across, (across,), both)
    if predictions is None:  # the same for all pairs of an anchor
        same = take(same, graph.anchor_rows)
    # Together, the own view of an anchor counts once however many pairs start there, as in the authors' code.
    shares = torch.stack([same[pair] - math.log(count) for pair, count in enumerate(graph.pairs_per_anchor)])
    return _Contrast(aligned, torch.logaddexp(across, same), (across, shares), both)


def _groups(graph: ViewGraph, energy: Energy) -> list[list[int]]:
    """Which pairs share one logarithm."""
    if energy == "joint":
        return [list(range(len(graph)))]
    return [[pair for pair, (left, _) in enumerate(graph.pairs) if left == view] for view in graph.anchor_views]


def _total(contrast: _Contrast, graph: ViewGraph, alignment: Alignment, energy: Energy) -> Tensor:
    present = contrast.present
    if energy == "per_pair":
        return mean_present(softplus(contrast.negatives - contrast.aligned), present)
    losses, there = [], []
    for rows in _groups(graph, energy):
        aligned = take(contrast.aligned, rows)
        pooled = torch.logsumexp(torch.cat([take(part, rows) for part in contrast.pooled]), dim=0)
        loss = softplus(pooled - torch.logsumexp(aligned, dim=0))  # (B,)
        if alignment == "mean_of_logs":
            # log sum exp A - mean A, >= 0: taken of the differences, which stay small where the logits are large.
            mean = mean_along(0, aligned, None if present is None else take(present, rows))
            loss = loss + torch.logsumexp(aligned - mean, dim=0)
        losses.append(loss)
        if present is not None:
            there.append(take(present, rows).any(dim=0))
    return mean_present(torch.stack(losses), None if present is None else torch.stack(there))


@torch.no_grad()
def _gradient_shares(contrast: _Contrast, graph: ViewGraph, alignment: Alignment, energy: Energy) -> Tensor:
    """||d loss / d A[p]|| over the batch, divided by its sum over the pairs: (P,)."""
    aligned = contrast.aligned
    if energy == "per_pair":
        pull = torch.sigmoid(contrast.negatives - aligned)
    else:
        pull = torch.empty_like(aligned)
        for rows in _groups(graph, energy):
            group = take(aligned, rows)
            pooled = torch.logsumexp(torch.cat([take(part, rows) for part in contrast.pooled]), dim=0)
            best = torch.logsumexp(group, dim=0)
            if alignment == "log_of_sum":
                pulls = torch.softmax(group, dim=0) * torch.sigmoid(pooled - best)
            else:
                pulls = 1 / len(rows) - torch.exp(group - torch.logaddexp(best, pooled))
            for row, values in zip(rows, pulls, strict=True):
                pull[row] = values
    if contrast.present is not None:
        pull = pull.masked_fill(~contrast.present, 0.0)
    norms = pull.norm(dim=1)
    return norms / norms.sum().clamp_min(torch.finfo(norms.dtype).tiny)


def _check_form(alignment: str, energy: str, logit_limit: float | None) -> None:
    forms = [(one, other) for one in ("mean_of_logs", "log_of_sum") for other in ("per_pair", "per_anchor", "joint")]
    forms.remove(("log_of_sum", "per_pair"))
    if (alignment, energy) not in forms:
        raise UsageError(
            f"expected (alignment, energy) to be one of {', '.join(' + '.join(form) for form in forms)}, got "
            f"{alignment} + {energy}. The printed form is log_of_sum + joint."
        )
    if logit_limit is not None and not 0 < logit_limit < math.inf:
        raise UsageError(f"expected a logit_limit > 0 (or None for no limit), got {logit_limit}.")


def mv_infonce(
    embeddings: Tensor,
    *,
    temperature: Temperature,
    graph: Graph = "all",
    alignment: Alignment = "mean_of_logs",
    energy: Energy = "per_pair",
    same_view_negatives: bool = False,
    predictions: Tensor | None = None,
    present: Tensor | None = None,
    logit_limit: float | None = None,
) -> Tensor:
    """Multi-view InfoNCE in nats (arXiv:2507.06979).

    With `s[l>m,i,j] = p[l>m,i] . u[m,j] / tau`, where `u` are the normalised embeddings and `p[l>m]` the normalised
    predictions (the anchors `u[l]` themselves if there are none), `A[p,i] = s[p,i,i]` and
    `E[p,i] = sum_j exp s[p,i,j]`:

    | alignment | energy | loss of video i | chance level |
    |---|---|---|---|
    | mean_of_logs | per_pair | `mean_P log E[p,i] - mean_P A[p,i]`: the mean of P InfoNCEs | log B |
    | mean_of_logs | joint | `log sum_P E[p,i] - mean_P A[p,i]` | log(P B) |
    | log_of_sum | joint | `log sum_P E[p,i] - log sum_P exp A[p,i]`: as printed | log B |
    | mean_of_logs | per_anchor | the joint form for the pairs of each anchor view, mean over anchors | log(P B / A) |
    | log_of_sum | per_anchor | the printed form likewise: the ablation `CL_1` of the authors' code | log B |

    (The chance level of mean_of_logs with per_anchor is that of graphs in which all A anchors have equally many pairs.)
    For a graph of one pair all are the same. The printed form is winner-takes-all: the softmax over pairs gives the
    gradient to the pair that is aligned best already, on temporal views the one closest in time.

    The positive is inside the denominator in every form. `log_of_sum` with `joint` over all pairs is the formula
    printed in arXiv:2507.06979; with `same_view_negatives` it is the authors' code, which adds to the denominator
    `sum_l sum_{j != i} exp(u[l,i].u[l,j] / tau)`, l over the views that are anchors. With one energy a pair,
    `same_view_negatives` adds the anchor's own view of the other videos to every pair's energy: NT-Xent averaged
    over pairs of views, and for two views with predictions the loss of AdaSSL, arXiv:2602.02381; the authors' code of
    it clips the logits, `logit_limit=20`. Chance levels are then log(2B - 1) with per_pair, and with joint
    log(B + (B-1) A/P) for log_of_sum and log(P B + (B-1) A) for mean_of_logs, for A views that are anchors.

    Values are exact under permutation of the videos, and of the views together with the graph. The extra memory is
    linear in B: logits are computed a tile at a time, in the backward pass once more.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0: a number, or learned (a tensor or a `LearnedTemperature`). One of shape (D,) weighs the
            dimensions of the similarity by 1 / tau_d.
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        alignment: "mean_of_logs" or "log_of_sum".
        energy: "per_pair", "per_anchor" or "joint".
        same_view_negatives: Whether other videos' embeddings of the anchor's own view are negatives too.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`; L2-normalised here.
            None: the views themselves.
        present: (V, B) bool: a view that a video does not have is neither positive nor negative. The mean is over
            what is there; in the joint and per_anchor forms an anchor's negatives in a view count also where its own
            positive there is missing. None: all are there.
        logit_limit: Clip logits to [-limit, limit], without gradient outside; None for exact logits.

    Returns:
        Tensor of shape (), float32 or float64, mean over videos.

    Raises:
        UsageError: Wrong shapes, graph, temperature, fewer than two videos, or log_of_sum with per_pair.
    """
    _check_form(alignment, energy, logit_limit)
    pairs = check_views(embeddings, predictions, graph, temperature, present)
    with full_precision(embeddings.device):
        contrast = _contrast(
            embeddings,
            predictions,
            pairs,
            temperature=temperature,
            same_view=same_view_negatives,
            logit_limit=logit_limit,
            present=present,
        )
        return _total(contrast, pairs, alignment, energy)


class MVInfoNCE(MultiViewObjective):
    """MV-InfoNCE with its pairs watched. See `mv_infonce` for the arguments and the mathematics.

    Terms: `mv_infonce` (); `info_nce_per_pair` (P,), the InfoNCE of every pair alone, whatever the form;
    `gradient_share_per_pair` (P,), which sums to 1: the norm over the batch of the gradient of the loss in the
    pair's aligned logits A[p], in closed form. For video i that gradient is `-(1 - exp A[p,i] / E[p,i]) / P` with one
    energy a pair, `-w[p,i] (1 - sum_P exp A[p,i] / sum_P E[p,i])` as printed, w the softmax of A[:,i] over pairs (the
    winner takes all), and `-(1/P - exp A[p,i] / sum_P E[p,i])` for the mean of logs with the joint energy.

    Args:
        temperature: tau > 0, what the cosines are divided by: a number, or a `LearnedTemperature`.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
        alignment: How the positives of the pairs of views add up: "mean_of_logs", in which all pairs count alike, or
            "log_of_sum" as printed, in which the nearest pairs take the gradient.
        energy: Which negatives stand under one logarithm: those of a pair of views ("per_pair": the mean of InfoNCEs),
            of all pairs of an anchor view ("per_anchor"), or of all pairs ("joint", as printed).
        same_view_negatives: Whether other videos' embeddings of the anchor's own view are negatives too.
        logit_limit: Clip logits to [-limit, limit], without gradient outside; null for exact logits.
    """

    def __init__(
        self,
        temperature: float | LearnedTemperature = 0.1,
        graph: Graph = "all",
        alignment: Alignment = "mean_of_logs",
        energy: Energy = "per_pair",
        same_view_negatives: bool = False,
        logit_limit: float | None = None,
    ) -> None:
        super().__init__()
        _check_form(alignment, energy, logit_limit)
        check_temperature(temperature)
        self.temperature: Temperature = temperature
        self.graph: Graph = graph
        self.alignment: Alignment = alignment
        self.energy: Energy = energy
        self.same_view_negatives = same_view_negatives
        self.logit_limit = logit_limit

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, present: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        pairs = check_views(embeddings, predictions, self.graph, self.temperature, present)
        with full_precision(embeddings.device):
            contrast = _contrast(
                embeddings,
                predictions,
                pairs,
                temperature=self.temperature,
                same_view=self.same_view_negatives,
                logit_limit=self.logit_limit,
                present=present,
            )
            total = _total(contrast, pairs, self.alignment, self.energy)
            with torch.no_grad():
                losses = softplus(contrast.negatives - contrast.aligned)  # (P, B)
                info_nce_per_pair = mean_along(1, losses, contrast.present)
            terms = {
                "mv_infonce": total.detach(),
                "info_nce_per_pair": info_nce_per_pair,
                "gradient_share_per_pair": _gradient_shares(contrast, pairs, self.alignment, self.energy),
            }
        return Loss(total, terms)

    def closeness(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The aligned logit, cosine / tau, in nats."""
        return aligned_logits(scaled(predictions, self.temperature), scaled(targets, self.temperature))

    def losses(self, embeddings: Tensor, predictions: Tensor, targets: Tensor | None = None) -> Tensor | None:
        """InfoNCE of every guess, (C, P, B), in the default form; None in the others. See `MultiViewObjective`."""
        if (self.alignment, self.energy) != ("mean_of_logs", "per_pair") or self.same_view_negatives:
            return None
        del targets
        rights = [right for _, right in ViewGraph.of(self.graph, len(embeddings)).pairs]
        with full_precision(embeddings.device):
            aligned, negatives = logits_of_pairs(
                scaled(predictions.flatten(0, 1), self.temperature),
                scaled(embeddings, self.temperature),
                [(row, right) for row, right in enumerate(rights * len(predictions))],
                bound=logit_bound(self.temperature),
                logit_limit=self.logit_limit,
            )
            return softplus(negatives - aligned).view(predictions.shape[:-1])

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"temperature={self.temperature}, graph={self.graph!r}, alignment={self.alignment!r}, "
            f"energy={self.energy!r}, same_view_negatives={self.same_view_negatives}, logit_limit={self.logit_limit}"
        )
