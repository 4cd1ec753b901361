"""A Gaussian with independent coordinates, as a distribution of the latent r."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from videossl.transition.distributions import LOG_VARIANCE_LIMIT, gaussian_sample
from videossl.transition.precision import at_least_float32
from videossl.transition.stratified import stratified_normals


class DiagonalGaussian(NamedTuple):
    """A Gaussian with independent coordinates.

    Attributes:
        mean: (..., R).
        log_variance: (..., R), within [-10, 10].
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "DiagonalGaussian":
        """From the output of a network, (..., 2R): means, then log variances, which are clipped."""
        # Distributions in float32 at least: under autocast, bf16 noise would be as coarse as a narrow posterior.
        mean, log_variance = at_least_float32(parameters).chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))

    @property
    def variance(self) -> Tensor:
        """(..., R)."""
        return self.log_variance.exp()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One reparameterised draw: mean + noise * standard deviation, (..., R)."""
        return gaussian_sample(self.mean, self.log_variance, generator=generator)

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """As `sample`, parameters (K, R), the K draws spread evenly in each coordinate."""
        return gaussian_sample(self.mean, self.log_variance, noise=stratified_normals(self.mean, generator=generator))

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of r (..., R), summed over its coordinates: (...), in nats."""
        squares = (latent - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance + math.log(2 * math.pi)).sum(-1)
