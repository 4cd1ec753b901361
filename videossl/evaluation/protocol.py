"""What a model must be able to do to be evaluated; `videossl.load` gives one, other people's models may be another."""

from collections.abc import Iterator
from typing import Protocol, Self

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


class FutureModel(Protocol):
    """A model that embeds clips and samples futures; see `videossl.models.WorldModel` for the meaning of each method.

    States are embeddings (B, D) of unit norm. `latent` is None for a deterministic model; `posterior_futures` and
    `latent_distributions` are then never called.
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

    def latent_distributions(self, context: Tensor, future: Tensor, /) -> tuple[Gaussian, Gaussian]:
        """States (B, D), (B, D) -> posterior, prior."""
        ...

    def reinitialised(self, seed: int) -> Self:
        """The same architecture with fresh weights."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights; where they are is where the model computes."""
        ...


def device_of(model: FutureModel) -> torch.device:
    """Where the model computes; the CPU for a model without weights."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
