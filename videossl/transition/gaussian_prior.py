"""Gaussian priors of the latent r: one that the context sets, and one that is the same for all contexts."""

import math

from torch import Tensor, nn

from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.networks import mlp


class GaussianPrior(nn.Sequential):
    """p(r | context) = N(r; mean(context), diag variance(context)), both from one MLP. The KL of it is exact.

    It has one mode: where several futures are possible it covers them and what lies between them.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
        dropout: Share of the hidden units that are left out at random in training.
    """

    def __init__(
        self,
        embedding_dim: int,
        latent_dim: int,
        *,
        hidden_dim: int = 256,
        num_hidden: int = 2,
        dropout: float = 0.0,
    ) -> None:
        # It is its own MLP, not a module that has one: so its weights have the names that they had before there were
        # other priors, and runs from then can be loaded.
        super().__init__(*mlp(embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden, dropout=dropout))
        self.scale = math.sqrt(embedding_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the standard normal, whatever the context."""
        for parameter in self[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, context: Tensor) -> DiagonalGaussian:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        outputs = self.scale * context
        for layer in self:
            outputs = layer(outputs)
        return DiagonalGaussian.of(outputs)


class StandardNormalPrior(nn.Module):
    """p(r | context) = N(r; 0, I): the context is not asked. The KL of it is exact.

    What the context knows of r already is then paid for: the KL is I(r; context, future), not what only the future
    says.

    Args:
        embedding_dim: Not used; every prior is made with it.
        latent_dim: Dimension R of the latent.
    """

    def __init__(self, embedding_dim: int, latent_dim: int) -> None:  # noqa: ARG002 - see its docstring
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, context: Tensor) -> DiagonalGaussian:
        """Context (..., D) -> the standard normal of r (..., R)."""
        zeros = context.new_zeros(*context.shape[:-1], 2 * self.latent_dim)
        return DiagonalGaussian.of(zeros)
