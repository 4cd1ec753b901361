"""MV-InfoNCE: contrast any number of views at once (arXiv:2507.06979), with plain or edited anchors.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
Not here: the latent and the editor (adassl.py), gathering over devices (training/).

With `s[l>m,i,j] = p[l>m,i] . u[m,j] / tau`, where `u` are the normalised embeddings and `p[l>m]` the normalised
predictions (the anchors `u[l]` themselves if there are none), `A[p,i] = s[p,i,i]` and `E[p,i] = sum_j exp s[p,i,j]`:

| alignment | energy | loss of video i | chance level |
|---|---|---|---|
| mean_of_logs | per_pair | `mean_P log E[p,i] - mean_P A[p,i]`: the mean of P InfoNCEs | log B |
| mean_of_logs | joint | `log sum_P E[p,i] - mean_P A[p,i]` | log(P B) |
| log_of_sum | joint | `log sum_P E[p,i] - log sum_P exp A[p,i]`: as printed | log B |

For a graph of one pair the three are the same. The printed form is winner-takes-all: the softmax over pairs gives the
gradient to the pair that is aligned best already, on temporal views the one closest in time.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import (
    aligned_logits,
    check_batch,
    full_precision,
    log_negatives,
    softplus,
    unit,
)
from videossl.objectives.temperature import check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take

Alignment = Literal["mean_of_logs", "log_of_sum"]
Energy = Literal["per_pair", "joint"]


@dataclass(frozen=True)
class _Contrast:
    """Logits of the positives and log-energies of the negatives, (P, B) each, in nats."""

    aligned: Tensor
    negatives: Tensor  # of this pair alone
    joint_negatives: Tensor  # (B,) of all pairs together


def _contrast(
    embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: float | Tensor, same_view: bool
) -> _Contrast:
    views = unit(embeddings)  # (V, B, D)
    targets = graph.targets(views)  # (P, B, D)
    anchors = graph.anchors(views) if predictions is None else unit(predictions)
    aligned = aligned_logits(anchors, targets, temperature)
    negatives = log_negatives(anchors, targets, temperature)
    if not same_view:
        return _Contrast(aligned, negatives, torch.logsumexp(negatives, dim=0))
    if predictions is None:  # the same for all pairs of an anchor: compute it once
        sources = take(views, graph.anchor_views)
        same = take(log_negatives(sources, sources, temperature), graph.anchor_rows)
    else:
        same = log_negatives(anchors, graph.anchors(views), temperature)
    # Jointly, the own view of an anchor counts once however many pairs start there, as in the authors' code.
    shares = torch.stack([same[pair] - math.log(count) for pair, count in enumerate(graph.pairs_per_anchor)])
    return _Contrast(aligned, torch.logaddexp(negatives, same), torch.logsumexp(torch.cat([negatives, shares]), dim=0))


def _total(contrast: _Contrast, alignment: Alignment, energy: Energy) -> Tensor:
    if energy == "per_pair":
        return softplus(contrast.negatives - contrast.aligned).mean()
    best = torch.logsumexp(contrast.aligned, dim=0)  # (B,)
    printed = softplus(contrast.joint_negatives - best).mean()
    if alignment == "log_of_sum":
        return printed
    # log sum_P exp A - mean_P A, >= log P: taken of the differences, which stay small where the logits are large.
    return printed + torch.logsumexp(contrast.aligned - contrast.aligned.mean(dim=0), dim=0).mean()


@torch.no_grad()
def _gradient_shares(contrast: _Contrast, alignment: Alignment, energy: Energy) -> Tensor:
    """||d loss / d A[p]|| over the batch, divided by its sum over the pairs: (P,)."""
    aligned = contrast.aligned
    if energy == "per_pair":
        pull = torch.sigmoid(contrast.negatives - aligned)
    else:
        best = torch.logsumexp(aligned, dim=0)
        if alignment == "log_of_sum":
            pull = torch.softmax(aligned, dim=0) * torch.sigmoid(contrast.joint_negatives - best)
        else:
            pull = 1 / len(aligned) - torch.exp(aligned - torch.logaddexp(best, contrast.joint_negatives))
    norms = pull.norm(dim=1)
    return norms / norms.sum().clamp_min(torch.finfo(norms.dtype).tiny)


def _check(embeddings: Tensor, predictions: Tensor | None, graph: Graph, temperature: float | Tensor) -> ViewGraph:
    if embeddings.ndim != 3:
        raise UsageError(
            f"expected embeddings of shape (V, B, D), got {tuple(embeddings.shape)}. Stack the views on the first axis."
        )
    check_temperature(temperature)
    check_batch(embeddings.shape[1])
    pairs = ViewGraph.of(graph, embeddings.shape[0])
    wanted = (len(pairs), *embeddings.shape[1:])
    if predictions is not None and tuple(predictions.shape) != wanted:
        raise UsageError(
            f"expected one prediction a pair of the view graph, shape (P, B, D) = {wanted}, got "
            f"{tuple(predictions.shape)}. Predict in the order of ViewGraph.pairs."
        )
    return pairs


def _check_form(alignment: str, energy: str) -> None:
    forms = ("mean_of_logs", "per_pair"), ("mean_of_logs", "joint"), ("log_of_sum", "joint")
    if (alignment, energy) not in forms:
        raise UsageError(
            f"expected (alignment, energy) to be one of {', '.join(' + '.join(form) for form in forms)}, got "
            f"{alignment} + {energy}. The printed form is log_of_sum + joint."
        )


def mv_infonce(
    embeddings: Tensor,
    *,
    temperature: float | Tensor,
    graph: Graph = "all",
    alignment: Alignment = "mean_of_logs",
    energy: Energy = "per_pair",
    same_view_negatives: bool = False,
    predictions: Tensor | None = None,
) -> Tensor:
    """Multi-view InfoNCE in nats; the formulas and chance levels stand at the head of this file.

    The positive is inside the denominator in every form. `log_of_sum` with `joint` over all pairs is the formula
    printed in arXiv:2507.06979; with `same_view_negatives` it is the authors' code, which adds to the denominator
    `sum_l sum_{j != i} exp(u[l,i].u[l,j] / tau)`, l over the views that are anchors. With one energy a pair,
    `same_view_negatives` adds the anchor's own view of the other videos to every pair's energy: NT-Xent averaged
    over pairs of views, and for two views with predictions the (unclipped) loss of AdaSSL, arXiv:2602.02381.
    Chance levels are then log(2B - 1) with per_pair, and with joint log(B + (B-1) A/P) for log_of_sum and
    log(P B + (B-1) A) for mean_of_logs, for A views that are anchors.

    Values are exact under permutation of the videos, and of the views together with the graph.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0. A tensor of shape () may be learned.
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        alignment: "mean_of_logs" or "log_of_sum".
        energy: "per_pair" or "joint".
        same_view_negatives: Whether other videos' embeddings of the anchor's own view are negatives too.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`; L2-normalised here.
            None: the views themselves.

    Returns:
        Tensor of shape (), float32 or float64, mean over videos.

    Raises:
        UsageError: Wrong shapes, graph, temperature, fewer than two videos, or log_of_sum with per_pair.
    """
    _check_form(alignment, energy)
    pairs = _check(embeddings, predictions, graph, temperature)
    with full_precision(embeddings.device):
        return _total(_contrast(embeddings, predictions, pairs, temperature, same_view_negatives), alignment, energy)


class MVInfoNCE(MultiViewObjective):
    """MV-InfoNCE with its pairs watched. See `mv_infonce` for the arguments and the mathematics.

    Terms: `mv_infonce` (); `info_nce_per_pair` (P,), the InfoNCE of every pair alone, whatever the form;
    `gradient_share_per_pair` (P,), which sums to 1: the norm over the batch of the gradient of the loss in the
    pair's aligned logits A[p], in closed form. For video i that gradient is `-(1 - exp A[p,i] / E[p,i]) / P` with one
    energy a pair, `-w[p,i] (1 - sum_P exp A[p,i] / sum_P E[p,i])` as printed, w the softmax of A[:,i] over pairs (the
    winner takes all), and `-(1/P - exp A[p,i] / sum_P E[p,i])` for the mean of logs with the joint energy.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        graph: Graph = "all",
        alignment: Alignment = "mean_of_logs",
        energy: Energy = "per_pair",
        same_view_negatives: bool = False,
    ) -> None:
        super().__init__()
        _check_form(alignment, energy)
        check_temperature(temperature)
        self.temperature = temperature
        self.graph: Graph = graph
        self.alignment: Alignment = alignment
        self.energy: Energy = energy
        self.same_view_negatives = same_view_negatives

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and perhaps edited anchors (P, B, D) -> Loss."""
        pairs = _check(embeddings, predictions, self.graph, self.temperature)
        with full_precision(embeddings.device):
            contrast = _contrast(embeddings, predictions, pairs, self.temperature, self.same_view_negatives)
            total = _total(contrast, self.alignment, self.energy)
            with torch.no_grad():
                info_nce_per_pair = softplus(contrast.negatives - contrast.aligned).mean(dim=1)
            terms = {
                "mv_infonce": total.detach(),
                "info_nce_per_pair": info_nce_per_pair,
                "gradient_share_per_pair": _gradient_shares(contrast, self.alignment, self.energy),
            }
        return Loss(total, terms)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"temperature={self.temperature}, graph={self.graph!r}, alignment={self.alignment!r}, "
            f"energy={self.energy!r}, same_view_negatives={self.same_view_negatives}"
        )
