"""The latent variable r: what the future has that the context cannot tell (AdaSSL-V, arXiv:2602.02381, section 4)."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.gaussian_prior import GaussianPrior
from videossl.transition.networks import mlp, reset_mlp, start_anew
from videossl.transition.protocols import Distribution


class GaussianLatent(nn.Module):
    """Posterior q(r | context, future), a diagonal Gaussian from an MLP, and any prior p(r | context).

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
        prior: Made with the dimensions of embedding and latent; None: a `GaussianPrior` of the same hidden layers.
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        latent_dim: int = 8,
        hidden_dim: int = 256,
        num_hidden: int = 2,
        prior: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UsageError(
                f"expected a latent_dim of at least 1, got {latent_dim}. For no latent set model.latent to null."
            )
        self.latent_dim = latent_dim
        # Embeddings have unit norm, so a coordinate is about 1/sqrt(D); the nets want inputs of about 1.
        self.scale = math.sqrt(embedding_dim)
        self.posterior_net = mlp(2 * embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden)
        prior = prior or partial(GaussianPrior, hidden_dim=hidden_dim, num_hidden=num_hidden)
        self.prior_net = prior(embedding_dim, latent_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with a posterior that reads the future, and a prior that is the same for every context."""
        reset_mlp(self.posterior_net, zero_output=False)
        start_anew(self.prior_net)

    def posterior(self, context: Tensor, future: Tensor) -> DiagonalGaussian:
        """q(r | context, future); both (..., D) of unit norm."""
        return DiagonalGaussian.of(self.posterior_net(self.scale * torch.cat([context, future], dim=-1)))

    def prior(self, context: Tensor) -> Distribution:
        """p(r | context); context (..., D) of unit norm."""
        distribution: Distribution = self.prior_net(context)
        return distribution
