"""NT-Xent on two views, the loss of SimCLR (arXiv:2002.05709, equation 1), with plain or edited anchors.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
Not here: more than two views (mv_infonce.py, or by aggregation pairwise.py, average.py, multi_positive.py).
"""

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.contrast import full_precision, logit_bound, scaled, softplus
from videossl.objectives.energies import logits_of_pairs
from videossl.objectives.info_nce import anchor_rows
from videossl.objectives.multi_view import check_views
from videossl.objectives.temperature import LearnedTemperature, Temperature, check_temperature
from videossl.objectives.view_graph import Graph, ViewGraph, take


def nt_xent_of_pairs(
    embeddings: Tensor, predictions: Tensor | None, graph: ViewGraph, temperature: Temperature
) -> Tensor:
    """-log of the probability of the positive, each ordered pair (l, m) alone with its two views: (P, B)."""
    views = scaled(embeddings, temperature)
    if predictions is None:
        anchors, own = views, [(view, view) for view in graph.anchor_views]  # once an anchor, not once a pair
    else:
        anchors, own = scaled(predictions, temperature), [(pair, left) for pair, (left, _) in enumerate(graph.pairs)]
    asked = [*anchor_rows(graph, predictions), *own]
    aligned, energies = logits_of_pairs(anchors, views, asked, bound=logit_bound(temperature))
    of_target, of_own = energies[: len(graph)], energies[len(graph) :]
    if predictions is None:
        of_own = take(of_own, graph.anchor_rows)
    return softplus(torch.logaddexp(of_target, of_own) - aligned[: len(graph)])


def _losses(embeddings: Tensor, predictions: Tensor | None, temperature: Temperature) -> Tensor:
    if embeddings.ndim == 3 and embeddings.shape[0] > 2:
        raise UsageError(
            f"expected two views, shape (2, B, D), got {tuple(embeddings.shape)}. Use mv_infonce, or pairwise for "
            f"NT-Xent averaged over pairs of views."
        )
    graph = check_views(embeddings, predictions, "all", temperature)
    with full_precision(embeddings.device):
        return nt_xent_of_pairs(embeddings, predictions, graph, temperature)


def nt_xent(embeddings: Tensor, *, temperature: Temperature, predictions: Tensor | None = None) -> Tensor:
    """Normalised-temperature cross-entropy of two views, in nats (arXiv:2002.05709, equation 1).

    With `u` the L2-normalised embeddings and `s(a, b) = a.b / tau`, the mean over the 2B anchors `u[l,i]` of
    `-log( exp s(u[l,i], u[m,i]) / sum_{(n,j) != (l,i)} exp s(u[l,i], u[n,j]) )`, m the other view. Both directions
    count; in the denominator are the positive and the other 2B - 2 points of both views, the anchor itself is not.
    The value is >= 0; chance level, all embeddings equal, is log(2B - 1).

    Equals the value of the code of arXiv:2507.06979 (golden `ntxent`) exactly; beyond two views that code pairs view l
    only with view l + V/2, and for odd V with other videos, so it is not followed there. With `predictions` it is the
    contrastive loss of AdaSSL (arXiv:2602.02381) without its clip: the edited anchor p[l>m,i] stands where u[l,i]
    did, on the left only, and u[l,i] is not among its candidates.

    Args:
        embeddings: (2, B, D), B >= 2. L2-normalised here, so any scale.
        temperature: tau > 0; may be learned.
        predictions: (2, B, D), edited anchors p[0>1], p[1>0]; L2-normalised here. None: the views themselves.

    Returns:
        Tensor of shape (), float32 or float64.

    Raises:
        UsageError: Not two views, wrong shapes or temperature, or fewer than two videos.
    """
    return _losses(embeddings, predictions, temperature).mean()


class NTXent(MultiViewObjective):
    """NT-Xent. See `nt_xent` for the arguments and the mathematics.

    Terms: `nt_xent` (); `nt_xent_per_pair` (2,), the mean over the anchors of one view, in the order of the pairs
    (0, 1), (1, 0).

    Args:
        temperature: tau > 0, what the cosines are divided by: a number, or a `LearnedTemperature`.
    """

    def __init__(self, temperature: float | LearnedTemperature = 0.1) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature: Temperature = temperature
        self.graph: Graph = "all"

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (2, B, D) and perhaps edited anchors (2, B, D) -> Loss."""
        losses = _losses(embeddings, predictions, self.temperature)
        total = losses.mean()
        return Loss(total, {"nt_xent": total.detach(), "nt_xent_per_pair": losses.detach().mean(1)})

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"temperature={self.temperature}"
