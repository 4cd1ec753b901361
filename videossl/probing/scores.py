"""What a probe is scored by: accuracy for classes, R² for quantities, each with its interval and its chance level."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from videossl.probing.bootstrap import Bootstrap, Interval

Metric = Literal["accuracy", "r2"]


@dataclass(frozen=True)
class Scores:
    """How well a probe reads a target from rows that it was not fitted on.

    Attributes:
        metric: "accuracy", in [0, 1], or "r2", at most 1.
        score: Over all test rows.
        balanced: Mean accuracy of a class, for classes.
        chance: Score of a guess that looks at no features: see `chance_accuracy`; 0 for R².
    """

    metric: Metric
    score: Interval
    balanced: Interval | None
    chance: float


def r_squared(predicted: Tensor, true: Tensor) -> float:
    """Mean over quantities of `1 - squared error / variance`, (n, A) each; 0 for the mean, negative for worse."""
    return float(_r_squared(_r_squared_sums(predicted, true).sum(dim=0)))


def accuracy(predicted: Tensor, true: Tensor) -> float:
    """Share of rows whose class is the true one, (n,) int64 each."""
    return float((predicted == true).double().mean())


def chance_accuracy(classes: Tensor, test: Tensor, before: Tensor) -> float:
    """Accuracy of the better of two guesses that look at no features.

    One says always the commonest class of the other parts, which is worse than 1 / C where the test has few of it. The
    other draws one of their C classes.

    Args:
        classes: (n,) int64 of all rows.
        test: (n_test,) row numbers.
        before: Row numbers of the other parts.
    """
    counts = classes[before].bincount()
    return max(accuracy(counts.argmax(), classes[test]), 1 / int((counts > 0).sum()))


def scores(predicted: Tensor, targets: Tensor, test: Tensor, before: Tensor, bootstrap: Bootstrap) -> Scores:
    """Score predictions of the test rows.

    Args:
        predicted: (n_test, A) quantities or (n_test,) int64 classes.
        targets: (n, A) or (n,) of all rows.
        test: (n_test,) row numbers.
        before: Row numbers of the other parts, from which the commonest class is known.
        bootstrap: Of the test rows.
    """
    true = targets[test]
    if targets.ndim == 2:
        return Scores("r2", bootstrap.of_sums(_r_squared_sums(predicted, true), _r_squared), None, 0.0)
    right = (predicted == true).double()
    of_class = F.one_hot(true, int(targets.max()) + 1).double()  # (n_test, C)
    sums = torch.cat([of_class * right[:, None], of_class], dim=1)
    return Scores(
        "accuracy",
        bootstrap.mean(right),
        bootstrap.of_sums(sums, _mean_of_ratios),
        chance_accuracy(targets, test, before),
    )


def _r_squared_sums(predicted: Tensor, true: Tensor) -> Tensor:
    """(n, 3A + 1): squared error, truth and its square, about a centre so that squares lose no digits; ones.

    In units of the deviation of each quantity, so that what is measured in 1e-9 is scored like all else.
    """
    predicted, true = predicted.double(), true.double()
    away = true - true.mean(dim=0)
    scale = away.square().mean(dim=0).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    error, away = (predicted - true) / scale, away / scale
    return torch.cat([error.square(), away, away.square(), torch.ones(len(true), 1)], dim=1)


def _r_squared(sums: Tensor) -> Tensor:
    error, total, squares = sums[..., :-1].tensor_split(3, dim=-1)
    variance = squares - total.square() / sums[..., -1:]
    return (1 - error / variance.clamp_min(1e-12)).mean(dim=-1)


def _mean_of_ratios(sums: Tensor) -> Tensor:
    """Mean over the columns (..., C) above / (..., C) below of those with anything below."""
    above, below = sums.tensor_split(2, dim=-1)
    present = below > 0
    return (above / below.clamp_min(1)).mul(present).sum(dim=-1) / present.sum(dim=-1)
