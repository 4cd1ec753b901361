"""Distillation: predict the direction of a teacher's embedding (BYOL, arXiv:2006.07733), over any view graph.

Shapes: V views, B videos, D embedding, P ordered pairs of the view graph. Not here: the teacher (ema.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss, TeacherObjective
from videossl.objectives.contrast import at_least_float32, full_precision, unit
from videossl.objectives.prediction import check_pairs
from videossl.objectives.view_graph import Graph, ViewGraph, take


def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """`-mean_i cos(predictions[i], targets[i])`, with no gradient into the targets.

    Args:
        predictions: (..., B, D), raw: L2-normalised here, so any scale.
        targets: (..., B, D), raw; broadcast against the predictions.

    Returns:
        Tensor of shape (...), in [-1, 1], float32 or float64: -1 where all directions agree, 0 on average for
        independent ones. In float32 directions are known to 1e-7, so the gradient between two that differ by less
        than 1e-4 (where it vanishes) has a relative error above 1e-3.
    """
    with full_precision(predictions.device):
        return -(unit(predictions) * unit(targets.detach())).sum(-1).mean(-1)


def _negative_cosines(
    embeddings: Tensor, targets: Tensor | None, graph: Graph, predictions: Tensor | None, predictor: nn.Module | None
) -> Tensor:
    """-mean_i cos of every pair: (P,)."""
    pairs = check_pairs(embeddings, predictions, graph, targets=targets)
    with full_precision(embeddings.device):
        # An anchor that starts several pairs is predicted from once, an edited one for every pair.
        guesses = at_least_float32(take(embeddings, pairs.anchor_views) if predictions is None else predictions)
        rows = pairs.anchor_rows if predictions is None else range(len(pairs))
        if predictor is not None:  # one call a pair: batch normalisation sees one direction at a time, as published
            guesses = torch.stack([predictor(guess) for guess in guesses.unbind(0)])
        guessed = unit(guesses).unbind(0)
        wanted = unit((embeddings if targets is None else targets).detach()).unbind(0)
        # One pair after another: stacking the targets of all pairs would hold each view V - 1 times.
        cosines = [
            (guessed[row] * wanted[right]).sum(-1).mean() for row, (_, right) in zip(rows, pairs.pairs, strict=True)
        ]
        return -torch.stack(cosines)


def distillation(
    embeddings: Tensor,
    *,
    targets: Tensor | None = None,
    graph: Graph = "all",
    predictions: Tensor | None = None,
    predictor: nn.Module | None = None,
) -> Tensor:
    """`-mean_P mean_i cos(predictor(p[l>m,i]), sg(target[m,i]))`: negative cosine, with stop-gradient targets.

    Predictor outputs and targets are L2-normalised; the predictor sees raw embeddings. There is no logarithm, no
    negative and so no denominator. Range [-1, 1]. Independent directions give 0; at collapse the value is -1, the best
    there is, so the value says nothing about collapse: watch the spread of the embeddings.

    Relation to published values, for two views and all pairs: the authors' code of AdaSSL (arXiv:2602.02381) adds the
    two directions, 2 times this (`byol`); the loss printed in BYOL (arXiv:2006.07733, eq. 2) is the sum of two
    `2 - 2 cos`, 4 + 4 times this.

    Args:
        embeddings: (V, B, D), V >= 2, raw.
        targets: (V, B, D), the teacher's embeddings, raw; no gradient reaches them. None: the embeddings themselves,
            without gradient (SimSiam, arXiv:2011.10566, if there is a predictor).
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`, raw. None: the anchors.
        predictor: Applied to (B, D) of one anchor (or one prediction) at a time, in float32 at least. None: identity.

    Returns:
        Tensor of shape (), float32 or float64, mean over pairs and videos.

    Raises:
        UsageError: Wrong shapes or graph.
    """
    return _negative_cosines(embeddings, targets, graph, predictions, predictor).mean()


def byol(
    embeddings: Tensor,
    *,
    targets: Tensor | None = None,
    predictions: Tensor | None = None,
    predictor: nn.Module | None = None,
) -> Tensor:
    """BYOL's loss of two views: the negative cosines of both directions, added up.

    Exactly the value of the authors' code of AdaSSL (arXiv:2602.02381). The loss printed in BYOL (arXiv:2006.07733,
    eq. 2, symmetrised) is 4 + 2 times this value. Twice `distillation` over both pairs; for more views use that.

    Args:
        embeddings: (2, B, D), raw.
        targets: (2, B, D), the teacher's embeddings, raw; no gradient reaches them. None: the embeddings.
        predictions: (2, B, D), raw: the guess of view 1 from view 0, then that of view 0 from view 1. None: anchors.
        predictor: See `distillation`.

    Returns:
        Tensor of shape (), in [-2, 2]: -2 at collapse and at the optimum, 0 for independent directions.

    Raises:
        UsageError: Not two views, or wrong shapes.
    """
    if embeddings.ndim != 3 or len(embeddings) != 2:
        raise UsageError(
            f"expected the embeddings of two views, shape (2, B, D), got {tuple(embeddings.shape)}. "
            f"For more views use distillation."
        )
    return 2 * distillation(embeddings, targets=targets, predictions=predictions, predictor=predictor)


class Distillation(TeacherObjective):
    """Distillation with its predictor. See `distillation` for the mathematics.

    Terms: `distillation` (), `distillation_per_pair` (P,).

    Args:
        embedding_dim: D: the predictor is built, Linear (D, hidden) - BatchNorm - ReLU - Linear (hidden, D), both
            linear layers without a bias, as in the authors' code of AdaSSL. None: none is built.
        hidden_dim: Width of the built predictor. 4096 is BYOL's.
        graph: The view graph.
        predictor: A predictor of your own, (B, D) -> (B, D). With None here and for embedding_dim there is none
            (AdaSSL's editor may do its work).

    Raises:
        UsageError: Both embedding_dim and predictor, or a size below 1.
    """

    reads_scale = True

    def __init__(
        self,
        embedding_dim: int | None = None,
        hidden_dim: int = 4096,
        graph: Graph = "all",
        predictor: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if embedding_dim is not None and (predictor is not None or embedding_dim < 1 or hidden_dim < 1):
            raise UsageError(
                f"expected embedding_dim >= 1 and hidden_dim >= 1, or a predictor, not both, got embedding_dim="
                f"{embedding_dim}, hidden_dim={hidden_dim}, predictor={type(predictor).__name__}."
            )
        if embedding_dim is not None:
            predictor = nn.Sequential(
                nn.Linear(embedding_dim, hidden_dim, bias=False),
                nn.BatchNorm1d(hidden_dim),
                nn.ReLU(),
                nn.Linear(hidden_dim, embedding_dim, bias=False),
            )
        self.embedding_dim = embedding_dim
        self.graph: Graph = graph
        self.predictor = predictor

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, targets: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D), perhaps edited anchors (P, B, D) and a teacher's targets (V, B, D) -> Loss."""
        if self.embedding_dim not in (None, embeddings.shape[-1]):
            raise UsageError(
                f"expected embeddings of {self.embedding_dim} dimensions, got {embeddings.shape[-1]}. "
                f"Set embedding_dim of the objective."
            )
        per_pair = _negative_cosines(embeddings, targets, self.graph, predictions, self.predictor)
        total = per_pair.mean()
        return Loss(total, {"distillation": total.detach(), "distillation_per_pair": per_pair.detach()})

    def losses(self, embeddings: Tensor, predictions: Tensor, targets: Tensor | None = None) -> Tensor | None:
        """Negative cosine of every guess, (C, P, B); None with a predictor. See `MultiViewObjective`."""
        if self.predictor is not None:
            return None
        graph = ViewGraph.of(self.graph, len(embeddings))
        wanted = graph.targets((embeddings if targets is None else targets).detach())
        return -F.cosine_similarity(at_least_float32(predictions), at_least_float32(wanted), dim=-1)

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"graph={self.graph!r}"
