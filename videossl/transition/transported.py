"""What distributions share that are made by transporting standard normal noise, and whose moments have no formula."""

from typing import Protocol

import torch
from torch import Tensor, nn

from videossl.transition.stratified import stratified_normals

DRAWS_OF_MOMENTS = 128
SMALLEST_SCALE = 1e-3


class Transport(Protocol):
    """An invertible map between r and noise, set by what a network has read from the context."""

    def to_latent(self, noise: Tensor, features: Tensor, /) -> Tensor:
        """Noise (..., R) and features (..., H) -> r (..., R)."""
        ...

    def log_density(self, latent: Tensor, features: Tensor, /) -> Tensor:
        """r (..., R) and features (..., H) -> log density (...), in nats."""
        ...


class Frame(nn.Module):
    """Where r lies and how wide it is, the same for all contexts: r = location + exp(log_scale) * standardised r.

    Without it a net that starts as the standard normal would first have to walk to where r is.

    Args:
        latent_dim: R.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.zeros(latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(latent_dim))

    def reset_parameters(self) -> None:
        """Start at 0, with a scale of 1."""
        nn.init.zeros_(self.location)
        nn.init.zeros_(self.log_scale)

    @torch.no_grad()
    def fit(self, latent: Tensor) -> None:
        """Mean and standard deviation of draws of r (n, R)."""
        self.location.copy_(latent.mean(0))
        self.log_scale.copy_(latent.std(0).clamp(min=SMALLEST_SCALE).log())

    def to_latent(self, standardised: Tensor) -> Tensor:
        """(..., R) -> r (..., R)."""
        return self.location + self.log_scale.exp() * standardised

    def standardised(self, latent: Tensor) -> Tensor:
        """r (..., R) -> (..., R)."""
        return (latent - self.location) * torch.exp(-self.log_scale)

    def log_density(self, of_standardised: Tensor) -> Tensor:
        """Log density of standardised r (...) -> that of r (...)."""
        return of_standardised - self.log_scale.sum()


class Transported:
    """The distribution of r to which standard normal noise is transported.

    Args:
        transport: The map.
        features: (..., H), what was read from the context.
        latent_dim: R.
    """

    def __init__(self, transport: Transport, features: Tensor, latent_dim: int) -> None:
        self.transport = transport
        self.features = features
        self.latent_dim = latent_dim

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, (..., R)."""
        noise = self.features.new_empty(*self.features.shape[:-1], self.latent_dim).normal_(generator=generator)
        return self.transport.to_latent(noise, self.features)

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """As `sample`, features (K, H), the noise of the K draws spread evenly in each coordinate."""
        like = self.features.new_empty(len(self.features), self.latent_dim)
        return self.transport.to_latent(stratified_normals(like, generator=generator), self.features)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of r (..., R), in nats: (...)."""
        return self.transport.log_density(latent.to(self.features.dtype), self.features)

    @property
    def mean(self) -> Tensor:
        """(..., R), of 128 draws that are always the same."""
        return self._draws().mean(0)

    @property
    def variance(self) -> Tensor:
        """(..., R), of the same draws."""
        return self._draws().var(0)

    def _draws(self) -> Tensor:
        """(128, ..., R): the same noise for every context, spread evenly (Sobol points) so that few are enough."""
        engine = torch.quasirandom.SobolEngine(self.latent_dim, scramble=True, seed=0)  # type: ignore[no-untyped-call]
        points = engine.draw(DRAWS_OF_MOMENTS)
        noise = torch.special.ndtri(points.double().clamp(1e-6, 1 - 1e-6)).to(self.features)
        shape = (DRAWS_OF_MOMENTS, *self.features.shape[:-1], -1)
        spread = noise.reshape(DRAWS_OF_MOMENTS, *[1] * (self.features.ndim - 1), self.latent_dim)
        return self.transport.to_latent(spread.expand(shape), self.features.expand(shape))
