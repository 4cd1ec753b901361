"""Latent prediction: guess the target's embedding itself, and keep the embeddings from collapsing by a regulariser.

With `VarianceCovariance` (arXiv:2105.04906) or `SIGReg` (LeJEPA, arXiv:2511.08544). Embeddings are raw here: the
regulariser gives them their scale, so nothing is normalised.
Shapes: V views, B videos, D embedding, P ordered pairs of the view graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import Loss, TeacherObjective
from videossl.objectives.contrast import at_least_float32, full_precision
from videossl.objectives.view_graph import Graph, ViewGraph

Regulariser = Callable[[Tensor], Loss]
"""Raw embeddings (V, B, D) -> Loss: a `VarianceCovariance` or a `SIGReg`."""


def check_pairs(
    embeddings: Tensor, predictions: Tensor | None, graph: Graph, *, targets: Tensor | None = None
) -> ViewGraph:
    """The view graph of these embeddings, if predictions and targets fit them.

    Args:
        embeddings: (V, B, D), V >= 2.
        predictions: (P, B, D) or None.
        graph: See `ViewGraph`.
        targets: (V, B, D) or None.

    Raises:
        UsageError: Wrong shapes or graph.
    """
    if embeddings.ndim != 3:
        raise UsageError(
            f"expected embeddings of shape (V, B, D), got {tuple(embeddings.shape)}. Stack the views on the first axis."
        )
    if targets is not None and targets.shape != embeddings.shape:
        raise UsageError(
            f"expected targets of the shape of the embeddings (V, B, D) = {tuple(embeddings.shape)}, got "
            f"{tuple(targets.shape)}. Give the teacher's embedding of every view."
        )
    pairs = ViewGraph.of(graph, embeddings.shape[0])
    wanted = (len(pairs), *embeddings.shape[1:])
    if predictions is not None and tuple(predictions.shape) != wanted:
        raise UsageError(
            f"expected one prediction a pair of the view graph, shape (P, B, D) = {wanted}, got "
            f"{tuple(predictions.shape)}. Predict in the order of ViewGraph.pairs."
        )
    return pairs


def squared_errors(embeddings: Tensor, predictions: Tensor | None, targets: Tensor, pairs: ViewGraph) -> Tensor:
    """Mean squared error of every pair, over videos and dimensions: (P,), in float32 at least.

    Args:
        embeddings: (V, B, D), raw: the anchors where there are no predictions.
        predictions: (P, B, D), raw, or None.
        targets: (V, B, D), raw; gradient flows into them unless they are detached.
        pairs: The view graph.
    """
    # One pair after another: targets are shared by pairs, and stacking them would hold each V - 1 times.
    wanted = at_least_float32(targets).unbind(0)
    guesses = at_least_float32(embeddings if predictions is None else predictions).unbind(0)
    errors = []
    for place, (left, right) in enumerate(pairs.pairs):
        guess = guesses[left if predictions is None else place]
        errors.append(F.mse_loss(guess, wanted[right]))
    return torch.stack(errors)


def prediction(
    embeddings: Tensor,
    *,
    predictions: Tensor | None = None,
    targets: Tensor | None = None,
    graph: Graph = "all",
    stop_gradient: bool = True,
    regulariser: Regulariser | None = None,
    prediction_weight: float = 1.0,
    regulariser_weight: float = 1.0,
) -> Loss:
    """`prediction_weight * mean_P mean_{i,d} (p[l>m,i,d] - z[m,i,d])^2 + regulariser_weight * regulariser(z)`.

    Nothing is normalised, there is no logarithm and no negative. Chance level: a collapsed batch has error 0, the
    best there is, so without a regulariser (or a teacher and a predictor) collapse is the optimum; embeddings
    distributed as N(0, I) that predict nothing have 2, and 1 if the prediction is their mean.

    Relation to the authors' code of LeJEPA (arXiv:2511.08544), whose prediction term is the mean over views of the mean
    squared distance to the mean of the views: over all pairs without predictions and with `stop_gradient=False` ours
    is 2V / (V - 1) times theirs. They weigh `(1 - lambda)` and `lambda` (0.02 to 0.05) with `SIGReg`. With
    `stop_gradient=False`, `prediction_weight=25` and `VarianceCovariance()` it is VICReg (see `vicreg`).

    Args:
        embeddings: (V, B, D), raw.
        predictions: (P, B, D), edited anchors p[l>m] in the order of `ViewGraph.pairs`, raw. None: the anchors.
        targets: (V, B, D), the teacher's embeddings, raw; no gradient reaches them. None: the embeddings.
        graph: "all" ordered pairs, "forward" in time (l < m), or a list of pairs (l, m).
        stop_gradient: Whether the targets are fixed where they are the embeddings themselves. False is what VICReg and
            LeJEPA do: both sides move. For anchors without predictions over all pairs it doubles the gradient of
            the prediction term and changes nothing else.
        regulariser: Keeps the embeddings (all V views, never predictions or targets) from collapsing.
        prediction_weight: Weight of the error.
        regulariser_weight: Weight of the regulariser's total.

    Returns:
        Loss, float32 or float64. Terms: `prediction`, `prediction_per_pair` (P,), and the regulariser's own.

    Raises:
        UsageError: Wrong shapes or graph, or what the regulariser refuses.
    """
    pairs = check_pairs(embeddings, predictions, graph, targets=targets)
    wanted = embeddings if targets is None else targets.detach()
    with full_precision(embeddings.device):
        errors = squared_errors(embeddings, predictions, wanted.detach() if stop_gradient else wanted, pairs)
        error = errors.mean()
        total, terms = prediction_weight * error, {}
        if regulariser is not None:
            price = regulariser(embeddings)
            if not isinstance(price, Loss):
                raise UsageError(
                    f"expected a regulariser that returns a Loss, like VarianceCovariance() or SIGReg(), got "
                    f"{type(regulariser).__name__}."
                )
            total, terms = total + regulariser_weight * price.total, price.terms
    return Loss(total, {**terms, "prediction": error.detach(), "prediction_per_pair": errors.detach()})


class Prediction(TeacherObjective):
    """Latent prediction with a regulariser. See `prediction` for the arguments, the mathematics and the terms.

    Under `AdaSSL`, `AdaSSL(normalise=False)` is meant: the editor then moves raw embeddings, as the targets are raw.
    With `normalise=True` it would have to guess the targets' norm from states that have lost theirs.

    Args:
        regulariser: `VarianceCovariance(...)` or `SIGReg(...)`, or any module that takes (V, B, D) and returns a
            `Loss`; in a config by class_path. None: only with a teacher.
        prediction_weight: Weight of the error.
        regulariser_weight: Weight of the regulariser's total. LeJEPA: 0.05 beside a prediction_weight of 0.95.
        graph: The view graph.
        stop_gradient: See `prediction`.
    """

    reads_scale = True
    teacher_decay = None  # a regulariser keeps it from collapsing

    def __init__(
        self,
        regulariser: nn.Module | None = None,
        prediction_weight: float = 1.0,
        regulariser_weight: float = 1.0,
        graph: Graph = "all",
        stop_gradient: bool = True,
    ) -> None:
        super().__init__()
        if regulariser is not None and not isinstance(regulariser, nn.Module):
            raise UsageError("expected a regulariser like VarianceCovariance() or SIGReg(): the module, made.")
        self.regulariser = regulariser
        self.prediction_weight = prediction_weight
        self.regulariser_weight = regulariser_weight
        self.graph: Graph = graph
        self.stop_gradient = stop_gradient

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, targets: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D), perhaps edited anchors (P, B, D) and a teacher's targets (V, B, D) -> Loss."""
        return prediction(
            embeddings,
            predictions=predictions,
            targets=targets,
            graph=self.graph,
            stop_gradient=self.stop_gradient,
            regulariser=self.regulariser,
            prediction_weight=self.prediction_weight,
            regulariser_weight=self.regulariser_weight,
        )

    def closeness(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Minus the weighted squared error, mean over dimensions."""
        return -self.prediction_weight * (predictions - targets).square().mean(-1)

    def losses(self, embeddings: Tensor, predictions: Tensor, targets: Tensor | None = None) -> Tensor | None:
        """The weighted error of every guess, (C, P, B); the regulariser asks no guess. See `MultiViewObjective`."""
        wanted = embeddings if targets is None else targets.detach()
        wanted = ViewGraph.of(self.graph, len(embeddings)).targets(wanted.detach() if self.stop_gradient else wanted)
        errors = (at_least_float32(predictions) - at_least_float32(wanted)).square().mean(-1)
        return self.prediction_weight * errors

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"prediction_weight={self.prediction_weight}, regulariser_weight={self.regulariser_weight}, "
            f"graph={self.graph!r}, stop_gradient={self.stop_gradient}"
        )
