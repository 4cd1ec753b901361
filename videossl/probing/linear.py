"""Linear probes: what can be read from frozen features by a weighted sum of them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videossl.probing.parts import Parts
from videossl.probing.scores import accuracy, r_squared

# Weights of the squared penalty on the weights of standardised features, beside the mean loss over rows.
RIDGE_STRENGTHS = tuple(float(strength) for strength in torch.logspace(-5, 2, 15))
LOGISTIC_STRENGTHS = tuple(float(strength) for strength in torch.logspace(1, -6, 8))
MAX_ITERATIONS = 500


@dataclass(frozen=True)
class Answer:
    """What a probe says of the test rows.

    Attributes:
        predicted: (n_test, A) quantities or (n_test,) int64 classes.
        chosen: Settings that were chosen on their own part, by name.
        note: What the reader must know about the fit; empty if nothing.
    """

    predicted: Tensor
    chosen: dict[str, Any]
    note: str = ""


class Ridge:
    """Linear regression with a squared penalty on standardised features, for many strengths at the cost of one.

    Args:
        features: (n, E).
        targets: (n, A).
    """

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self.centre, self.target_mean = features.mean(dim=0), targets.mean(dim=0)
        self.scale = features.std(dim=0, correction=0).clamp_min(1e-8)
        x = (features - self.centre) / self.scale
        self.values, self.vectors = torch.linalg.eigh(x.T @ x / len(x))
        self.projected = self.vectors.T @ (x.T @ (targets - self.target_mean) / len(x))

    def predict(self, features: Tensor, *, strength: float) -> Tensor:
        """(n, A) for features (n, E); the strength is in units of a feature's variance."""
        weights = self.vectors @ (self.projected / (self.values.clamp_min(0) + strength)[:, None])
        return (features - self.centre) / self.scale @ weights + self.target_mean


class Logistic:
    """Multinomial logistic regression of scikit-learn on standardised features.

    Args:
        features: (n, E).
        classes: (n,) int64, of two kinds at least.
        strengths: Of the penalty, from the strongest: each fit starts where the one before ended.

    Attributes:
        unfinished: Strengths at which the fit did not converge in 500 iterations.
    """

    def __init__(self, features: Tensor, classes: Tensor, strengths: Sequence[float]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.centre = features.mean(dim=0)
        self.scale = features.std(dim=0, correction=0).clamp_min(1e-8)
        self.unfinished: list[float] = []
        self._of_strength: dict[float, tuple[Tensor, Tensor]] = {}
        x, y = self._standardised(features).numpy(), classes.numpy()
        model = LogisticRegression(warm_start=True, max_iter=MAX_ITERATIONS)
        for strength in strengths:
            model.C = 1 / (strength * len(x))  # scikit-learn sums the loss over rows
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x, y)
            if model.n_iter_.max() >= MAX_ITERATIONS:
                self.unfinished.append(strength)
            coefficients = torch.from_numpy(model.coef_.copy()), torch.from_numpy(model.intercept_.copy())
            self._of_strength[strength] = coefficients
        self.classes = torch.from_numpy(model.classes_)

    def predict(self, features: Tensor, *, strength: float) -> Tensor:
        """(n,) int64 classes for features (n, E)."""
        weights, bias = self._of_strength[strength]
        logits = self._standardised(features) @ weights.T + bias
        if len(bias) == 1:  # two classes
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return self.classes[logits.argmax(dim=1)]

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.centre) / self.scale


def linear_probe(features: Tensor, targets: Tensor, parts: Parts) -> Answer:
    """Fit a linear model, choose its strength on a part of its own, refit on both, answer for the test.

    Ridge regression for quantities, logistic regression for classes.

    Args:
        features: (n, E).
        targets: (n, A) float quantities or (n,) int64 classes.
        parts: Of the rows.
    """
    x, both = features.double(), parts.before_test
    if targets.ndim == 2:
        y = targets.double()
        fitted = Ridge(x[parts.fit], y[parts.fit])
        strength = best(
            RIDGE_STRENGTHS, lambda s: r_squared(fitted.predict(x[parts.choose], strength=s), y[parts.choose])
        )
        return Answer(Ridge(x[both], y[both]).predict(x[parts.test], strength=strength), {"strength": strength})
    if len(torch.unique(targets[parts.fit])) < 2:
        only = targets[parts.fit][0]
        return Answer(only.expand(len(parts.test)), {}, "all rows for fitting are of one class")
    logistic = Logistic(x[parts.fit], targets[parts.fit], LOGISTIC_STRENGTHS)
    strength = best(
        LOGISTIC_STRENGTHS,
        lambda s: accuracy(logistic.predict(x[parts.choose], strength=s), targets[parts.choose]),
    )
    path = LOGISTIC_STRENGTHS[: LOGISTIC_STRENGTHS.index(strength) + 1]
    refitted = Logistic(x[both], targets[both], path)
    note = f"not converged in {MAX_ITERATIONS} iterations" if strength in refitted.unfinished else ""
    return Answer(refitted.predict(x[parts.test], strength=strength), {"strength": strength}, note)


def best(settings: Sequence[float], score: Callable[[float], float]) -> float:
    """The setting with the highest score, the first of several."""
    return max(settings, key=score)
