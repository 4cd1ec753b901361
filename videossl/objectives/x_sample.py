"""X-Sample: contrastive learning whose targets are soft and come from a graph of similarities (arXiv:2407.18134).

InfoNCE says that an anchor is like its positive and like nothing else in the batch; here a graph from outside (labels,
captions, closeness in time: `similarity_graph.py`) says how like each of the others it is.
Shapes: V views, B videos, D embedding, P ordered pairs of the view graph, A views that are anchors.

The candidates of anchor (l, i) are the views (m, j) of all videos j with (l, m) in the graph, and its own view m = l if
`same_view`. With G the graph of videos, u the normalised embeddings and p[l>m] the normalised predictions (the anchors
u[l] themselves if there are none):
`t[l,i,m,j] = softmax over candidates of G[i,j] / tau_s`, `s[l>m,i,j] = p[l>m,i].u[m,j] / tau`,
`L = -mean_{l,i} sum_{m,j} t[l,i,m,j] (s[l>m,i,j] - log N[l,i])`, `N[l,i] = sum_{m,j} exp s[l>m,i,j]`.
The anchor itself, (l, i), is no candidate, in t and in N, unless `keep_diagonal`.

No logit of two views is held. N goes through `logits_of_pairs`. The targets are the same for all views, so with
`E = softmax_j(G / tau_s)`, (B, B), the sum of t s is `p . (E u[m])` over a sum of targets that is known: the number of
views of the candidates, less E[i,i] where the anchor itself is left out. Entries of the anchor's own video (the
positives) are kept out of both sums and joined at the end, so that hard targets lose no digits.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import full_precision, logit_bound, scaled, softplus
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.info_nce import anchor_rows
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import Temperature, check_temperature
from videossl.objectives.view_graph import Graph


@dataclass(frozen=True)
class _Settings:
    temperature: Temperature
    target_temperature: float
    keep_diagonal: bool
    same_view: bool
    graph: Graph

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_temperature(self.target_temperature)
        if self.keep_diagonal and not self.same_view:
            raise UsageError(
                "expected same_view with keep_diagonal: the anchor itself is in its own view. Set same_view=True."
            )


@dataclass(frozen=True)
class _Targets:
    """E = softmax_j(G[i,j] / tau_s) in two parts; without gradient."""

    own: Tensor  # (B,): of the video itself
    others: Tensor | None  # (B, B): of the others, 0 on the diagonal. None: all alike, (1 - own) / (B - 1) each

    @classmethod
    @torch.no_grad()
    def of(cls, similarity: Tensor | None, temperature: float, like: Tensor) -> "_Targets":
        num_videos = like.shape[1]
        if similarity is None:
            own = 1 / (1 + (num_videos - 1) * math.exp(-1 / temperature))
            return cls(like.new_full((num_videos,), own), None)
        targets = torch.softmax(similarity.to(like) / temperature, dim=1)
        return cls(targets.diagonal().clone(), targets.fill_diagonal_(0.0))

    def mix(self, views: Tensor) -> Tensor:
        """(V, B, D) -> (V, B, D): for every video the sum of the others, weighted by its targets."""
        V, B, D = views.shape
        if self.others is None:
            return (views.sum(dim=1, keepdim=True) - views) * self._rest()[:, None]
        return (self.others @ views.transpose(0, 1).reshape(B, V * D)).view(B, V, D).transpose(0, 1)

    def total(self, counts: "_Counts") -> Tensor:
        """Sum of E over the candidates, (B,): >= 1, what makes E their targets."""
        return counts.own * self.own + counts.others * (1 - self.own)

    def watched(self, counts: "_Counts") -> tuple[Tensor, Tensor]:
        """Entropy of the targets in nats, and the share of them on the video itself; means over videos, ()."""
        if self.others is None:
            others = (len(self.own) - 1) * torch.xlogy(self._rest(), self._rest())
        else:
            others = torch.xlogy(self.others, self.others).sum(dim=1)
        total = self.total(counts)
        mean_log = (counts.own * torch.xlogy(self.own, self.own) + counts.others * others) / total
        return (total.log() - mean_log).mean(), (counts.own * self.own / total).mean()

    def _rest(self) -> Tensor:
        return (1 - self.own) / (len(self.own) - 1)


class _Counts(NamedTuple):
    """How many views of an anchor's own video, and of every other one, are its candidates."""

    own: int
    others: int


def _contrast(
    embeddings: Tensor, predictions: Tensor | None, similarity: Tensor | None, settings: _Settings
) -> tuple[Tensor, _Targets, list[_Counts]]:
    """Losses (A, B), the targets, and the candidates of every view that is an anchor."""
    graph = check_views(embeddings, predictions, settings.graph, settings.temperature)
    num_videos = embeddings.shape[1]
    if similarity is not None and tuple(similarity.shape) != (num_videos, num_videos):
        raise UsageError(
            f"expected a similarity graph of shape (B, B) = ({num_videos}, {num_videos}), got "
            f"{tuple(similarity.shape)}. Give the rows and columns of this batch's videos."
        )
    views = scaled(embeddings, settings.temperature)
    anchors = views if predictions is None else scaled(predictions, settings.temperature)
    targets = _Targets.of(similarity, settings.target_temperature, views)

    pairs = anchor_rows(graph, predictions)  # (row of the anchors, view)
    lefts = [left for left, _ in graph.pairs]
    own_pairs = [(row, left) for (row, _), left in zip(pairs, lefts, strict=True)] if settings.same_view else []
    wanted = list(dict.fromkeys([*pairs, *own_pairs]))  # without predictions an anchor's own view is looked at once
    logits = logits_of_pairs(anchors, views, wanted, bound=logit_bound(settings.temperature))
    aligned = dict(zip(wanted, logits.aligned.unbind(0), strict=True))
    energy = dict(zip(wanted, logits.energies.unbind(0), strict=True))
    rows, mixed = anchors.unbind(0), targets.mix(views).unbind(0)

    def of_anchor(view: int) -> tuple[Tensor, _Counts]:
        chosen = [pair for pair, left in zip(pairs, lefts, strict=True) if left == view]
        negatives = [energy[pair] for pair in chosen]
        positives = [aligned[pair] for pair in chosen]
        from_own = list(positives)
        from_others = [_dot(rows[row], mixed[right]) for row, right in chosen]
        for row, _ in chosen if settings.same_view else []:  # each of them stands for the own view, with equal shares
            negatives.append(energy[row, view] - math.log(len(chosen)))
            from_others.append(_dot(rows[row], mixed[view]) / len(chosen))
            if settings.keep_diagonal:
                positives.append(aligned[row, view] - math.log(len(chosen)))
                from_own.append(aligned[row, view] / len(chosen))
        counts = _Counts(len(chosen) + settings.keep_diagonal, len(chosen) + settings.same_view)
        expected = targets.own * torch.stack(from_own).sum(0) + torch.stack(from_others).sum(0)  # sum of E times s
        best = torch.logsumexp(torch.stack(positives), dim=0)
        # log N - sum t s, log N in two parts: where the targets are hard, the last two terms cancel exactly.
        others = torch.logsumexp(torch.stack(negatives), dim=0)
        return softplus(others - best) + (best - expected / targets.total(counts)), counts

    losses, counts = zip(*[of_anchor(view) for view in graph.anchor_views], strict=True)
    return torch.stack(losses), targets, list(counts)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(-1)


def x_sample(
    embeddings: Tensor,
    similarity: Tensor | None,
    *,
    temperature: Temperature,
    target_temperature: float,
    keep_diagonal: bool = False,
    same_view: bool = True,
    graph: Graph = "all",
    predictions: Tensor | None = None,
) -> Tensor:
    """Cross-entropy between soft targets and the softmax of similarities, in nats; the formula heads this file.

    Denominator: all candidates of an anchor, the positives among them. With graph "all" and `same_view` these are all
    V B views of the batch, less the anchor itself unless `keep_diagonal`. The value is at least the entropy of the
    targets. Chance level is the logarithm of the number of candidates: log(V B - 1), with `keep_diagonal` log(V B), and
    log((V - 1) B) without `same_view`.

    The gradient is a difference of softmax and targets. In float32 it is exact to about 2e-7 of 1 / (tau V B), so a
    batch that has collapsed under targets that are nearly uniform (tau_s of 1) has about 3 digits left.

    With an identity graph and tau_s -> 0 it is, without the diagonal and with two views, NT-Xent; without `same_view`
    and a graph of one pair, InfoNCE.

    Predictions: the logits to view m come from p[l>m]. For the anchor's own view no prediction is meant, so all the
    predictions that start there stand for it with equal shares: 1 / count of exp(p[l>m,i].u[l,j] / tau) each in N, and
    1 / count of the target each. Predictions that are the anchors give the plain value, exactly.

    Authors' code: none was found. arXiv:2407.18134 sums over the batch; whether it leaves the anchor out is not known
    to us. `keep_diagonal=True` is thomaoc1/X-Sample-CTL (unofficial, tau = tau_s = 0.1), `False` the SimCLR form that
    the paper generalises.

    Args:
        embeddings: (V, B, D), V >= 2, B >= 2. L2-normalised here, so any scale.
        similarity: (B, B), row i: how like video i the others are; any real numbers, and gets no gradient. None: the
            identity graph, 1 for the video itself and 0 for others, in memory linear in B.
        temperature: tau > 0 of the embeddings' similarities.
        target_temperature: tau_s > 0 of the graph's.
        keep_diagonal: Whether the anchor itself is one of its candidates.
        same_view: Whether the anchor's own view of all videos is a candidate.
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`; L2-normalised here.

    Returns:
        Tensor of shape (), float32 or float64, mean over the videos and the views that are anchors.

    Raises:
        UsageError: Wrong shapes, graph, temperature, fewer than two videos, or keep_diagonal without same_view.
    """
    settings = _Settings(temperature, target_temperature, keep_diagonal, same_view, graph)
    with full_precision(embeddings.device):
        return _contrast(embeddings, predictions, similarity, settings)[0].mean()


class XSample(MultiViewObjective):
    """X-Sample with its targets watched. See `x_sample` for the arguments and the mathematics.

    Terms: `x_sample` (); `target_entropy` (), the lowest value that the loss can have with these targets, in nats;
    `own_video_share` (), the share of the targets on views of the anchor's own video: near 1 where they are hard.

    Args:
        temperature: tau > 0, what the cosines of embeddings are divided by: a number, or a `LearnedTemperature`.
        target_temperature: tau_s > 0, what the similarities of the graph are divided by.
        keep_diagonal: Whether the anchor itself is one of its candidates.
        same_view: Whether the anchor's own view of all videos is a candidate.
        graph: "all" ordered pairs of views, "forward" in time (l < m), or a list of pairs (l, m).
    """

    def __init__(
        self,
        temperature: Temperature = 0.1,
        target_temperature: float = 0.1,
        keep_diagonal: bool = False,
        same_view: bool = True,
        graph: Graph = "all",
    ) -> None:
        super().__init__()
        _Settings(temperature, target_temperature, keep_diagonal, same_view, graph)  # refuses what cannot be
        self.temperature = temperature
        self.target_temperature = target_temperature
        self.keep_diagonal = keep_diagonal
        self.same_view = same_view
        self.graph: Graph = graph

    def forward(
        self, embeddings: Tensor, predictions: Tensor | None = None, *, similarity: Tensor | None = None
    ) -> Loss:
        """Raw embeddings (V, B, D), perhaps edited anchors (P, B, D), similarity (B, B) or None -> Loss.

        `similarity` None is the identity graph.
        """
        settings = _Settings(self.temperature, self.target_temperature, self.keep_diagonal, self.same_view, self.graph)
        with full_precision(embeddings.device):
            losses, targets, counts = _contrast(embeddings, predictions, similarity, settings)
            total = losses.mean()
            alike = {each: counts.count(each) / len(counts) for each in counts}  # with graph "all" one for all anchors
            watched = [(share, targets.watched(each)) for each, share in alike.items()]
            terms = {
                "x_sample": total.detach(),
                "target_entropy": torch.stack([share * entropy for share, (entropy, _) in watched]).sum(),
                "own_video_share": torch.stack([share * own for share, (_, own) in watched]).sum(),
            }
        return Loss(total, terms)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"temperature={self.temperature}, target_temperature={self.target_temperature}, "
            f"keep_diagonal={self.keep_diagonal}, same_view={self.same_view}, graph={self.graph!r}"
        )
