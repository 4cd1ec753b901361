"""A mixture of Gaussians that is the same for all contexts, as the prior of the latent r."""

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.mixture_prior import (
    GaussianMixture,
    mixture_of,
    mixture_size,
    start_mixture,
    start_mixture_at,
)


class SharedMixturePrior(nn.Module):
    """p(r) = `sum_m weight[m] N(r; mean[m], diag variance[m])`: the context is not asked.

    As with `StandardNormalPrior`, what the context knows of r already is paid for, so that the cheapest r says the same
    change by the same value in every context: r of one video can then steer another. Unlike a single Gaussian it has
    modes, and r may be as sharp as changes are few. Samples of a context want a prior of that context: fit one
    afterwards (`training.refit`, `videossl refit-prior`). Mixture priors that all share: Tomczak and Welling,
    arXiv:1705.07120, section 3.

    Args:
        embedding_dim: Not used; every prior is made with it.
        latent_dim: Dimension R of the latent.
        num_components: Number M of Gaussians: at least as many as there are kinds of change.
    """

    def __init__(self, embedding_dim: int, latent_dim: int, *, num_components: int = 16) -> None:  # noqa: ARG002
        super().__init__()
        if num_components < 1:
            raise UsageError(f"expected num_components of at least 1, got {num_components}.")
        self.num_components = num_components
        self.latent_dim = latent_dim
        # In one row, as the biases of `MixturePrior`: the decay of weights, which are matrices, is not for them.
        self.mixture = nn.Parameter(torch.empty(mixture_size(num_components, latent_dim)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start about as wide as a standard normal."""
        start_mixture(self.mixture, self.latent_dim)

    def standardise(self, latent: Tensor) -> None:
        """Start at these draws of r, (n, R): a component at each of some of them, as wide as half of their variance."""
        start_mixture_at(self.mixture, latent)

    def forward(self, context: Tensor) -> GaussianMixture:
        """Context (..., D) -> the one distribution of r (..., R)."""
        return GaussianMixture(
            *(part.expand(*context.shape[:-1], *part.shape) for part in mixture_of(self.mixture, self.latent_dim))
        )
