"""The latent variable r: what the future has that the context cannot tell (AdaSSL-V, arXiv:2602.02381, section 4)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.distributions import LOG_VARIANCE_LIMIT, gaussian_sample
from videossl.transition.networks import mlp, reset_mlp
from videossl.transition.precision import at_least_float32


class DiagonalGaussian(NamedTuple):
    """A Gaussian with independent coordinates.

    Attributes:
        mean: (..., R).
        log_variance: (..., R), within [-10, 10].
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One reparameterised draw: mean + noise * standard deviation, (..., R)."""
        return gaussian_sample(self.mean, self.log_variance, generator=generator)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of r (..., R), summed over its coordinates: (...), in nats."""
        squares = (latent - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance + math.log(2 * math.pi)).sum(-1)


class GaussianLatent(nn.Module):
    """Posterior q(r | context, future) and prior p(r | context), diagonal Gaussians from MLPs.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
    """

    def __init__(self, embedding_dim: int, *, latent_dim: int = 8, hidden_dim: int = 256, num_hidden: int = 2) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UsageError(
                f"expected a latent_dim of at least 1, got {latent_dim}. For no latent set model.latent to null."
            )
        self.latent_dim = latent_dim
        # Embeddings have unit norm, so a coordinate is about 1/sqrt(D); the nets want inputs of about 1.
        self.scale = math.sqrt(embedding_dim)
        self.posterior_net = mlp(2 * embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden)
        self.prior_net = mlp(embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with a prior that is standard normal for every context."""
        reset_mlp(self.posterior_net, zero_output=False)
        reset_mlp(self.prior_net, zero_output=True)

    def posterior(self, context: Tensor, future: Tensor) -> DiagonalGaussian:
        """q(r | context, future); both (..., D) of unit norm."""
        return self._gaussian(self.posterior_net(self.scale * torch.cat([context, future], dim=-1)))

    def prior(self, context: Tensor) -> DiagonalGaussian:
        """p(r | context); context (..., D) of unit norm."""
        return self._gaussian(self.prior_net(self.scale * context))

    @staticmethod
    def _gaussian(parameters: Tensor) -> DiagonalGaussian:
        # Distributions in float32 at least: under autocast, bf16 noise would be as coarse as a narrow posterior.
        mean, log_variance = at_least_float32(parameters).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
