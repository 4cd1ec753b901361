"""What a model must be able to do to be evaluated; `videossl.load` gives one, other people's models may be another."""

from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from videossl.types import Embeddings


class Gaussian(Protocol):
    """A Gaussian with independent coordinates, mean and log variance (..., R)."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def log_variance(self) -> Tensor:
        """(..., R)."""
        ...


class Distribution(Protocol):
    """Any other distribution of r: what can be drawn, and how likely each r is."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def variance(self) -> Tensor:
        """(..., R), of each coordinate."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, (..., R)."""
        ...

    def log_prob(self, latent: Tensor, /) -> Tensor:
        """Log density of r (..., R), in nats: (...)."""
        ...


@runtime_checkable
class ExactKL(Protocol):
    """A distribution that knows its KL to another of its kind."""

    def kl(self, other: Any, /) -> Tensor:
        """In nats, summed over the coordinates of r: (...)."""
        ...


class FutureModel(Protocol):
    """A model that embeds clips and samples futures; see `videossl.models.WorldModel` for the meaning of each method.

    States are embeddings (B, D) of unit norm. `latent` is None for a deterministic model; `posterior_futures` and
    `latent_distributions` are then never called. Where its `parameters()` are, if it has any as `torch.nn.Module` does,
    is where it computes, see `device_of`.
    """

    @property
    def latent(self) -> object | None:
        """The latent variable's networks, None for a deterministic model."""
        ...

    def embed(self, frames: Tensor, /) -> Embeddings:
        """Clips (B, T, C, H, W) uint8."""
        ...

    def sample_futures(self, frames: Tensor, /, *, num_samples: int, horizon: int = 1, seed: int = 0) -> Tensor:
        """States (B, D) -> (B, K, S, D), from the prior only."""
        ...

    def mean_future(self, frames: Tensor, /) -> Tensor:
        """States (B, D) -> (B, D)."""
        ...

    def posterior_futures(self, context: Tensor, future: Tensor, /, *, num_samples: int, seed: int = 0) -> Tensor:
        """States (B, D), (B, D) -> (B, K, D)."""
        ...

    def latent_distributions(
        self, context: Tensor, future: Tensor, /
    ) -> tuple[Gaussian | Distribution, Gaussian | Distribution]:
        """States (B, D), (B, D) -> posterior, prior."""
        ...

    def reinitialised(self, seed: int) -> Self:
        """The same architecture with fresh weights; called only where `evaluate` scores the untrained model, too."""
        ...


@runtime_checkable
class SteerableModel(Protocol):
    """A model whose r can be inferred in one video and applied in another."""

    def infer_latent(self, context: Tensor, future: Tensor, /) -> Tensor:
        """States (B, D), (B, D) -> r (B, R)."""
        ...

    def sample_futures(
        self, frames: Tensor, /, *, num_samples: int, horizon: int = 1, seed: int = 0, latent: Tensor | None = None
    ) -> Tensor:
        """As of `FutureModel`, the first step with r (B, R) if it is given."""
        ...


@runtime_checkable
class StratifiedModel(Protocol):
    """A model that can spread the samples of a context evenly over what it holds possible."""

    @property
    def stratifies(self) -> bool:
        """Whether it can with the prior that it has."""
        ...

    def sample_futures(
        self, frames: Tensor, /, *, num_samples: int, horizon: int = 1, seed: int = 0, stratified: bool = False
    ) -> Tensor:
        """As of `FutureModel`; each sample drawn with the same probabilities if `stratified`, not independently."""
        ...


@runtime_checkable
class LikelihoodModel(Protocol):
    """A model that says how likely a future is."""

    def log_prob(self, context: Tensor, future: Tensor, /, *, num_samples: int = 64, seed: int = 0) -> Tensor:
        """States (B, D), (B, D) -> log density (B,), in nats up to an offset that is the same for all futures."""
        ...


class Surprised(Protocol):
    """Surprise over time."""

    @property
    def frames(self) -> Tensor:
        """(n,) int64, the frame at which each surprising clip begins."""
        ...

    @property
    def nats(self) -> Tensor:
        """(n,)."""
        ...


@runtime_checkable
class SurprisedModel(Protocol):
    """A model that says how little it foresaw each clip of a video."""

    def surprise(self, video: Tensor, /, *, clip_frames: int | None = None, shift: int | None = None) -> Surprised:
        """Frames (T, C, H, W) uint8 of one video, at the pace of training."""
        ...


def device_of(model: object) -> torch.device:
    """Where the model computes; the CPU for a model without weights."""
    parameters = getattr(model, "parameters", None)
    return next((parameter.device for parameter in (parameters() if callable(parameters) else ())), torch.device("cpu"))
