"""A normalising flow as the prior of the latent r: any shape of distribution, with an exact density."""

import math

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.networks import mlp
from videossl.transition.precision import at_least_float32, full_precision
from videossl.transition.spline import rational_quadratic_spline
from videossl.transition.transported import Frame, Transported


class FlowPrior(nn.Module):
    """p(r | context): standard normal noise through L coupling layers of rational-quadratic splines (arXiv:1906.04032).

    Each layer maps some coordinates of r by splines whose parameters a network sets from the others and the context:
    `log p(r | c) = log N(f(r, c); 0, I) + sum_l log |slope of layer l|`. Which coordinates a layer maps changes from
    layer to layer, such that each of them comes to depend on all. Density and draws are exact and take one pass each.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        num_layers: Number L of coupling layers.
        num_bins: Bins K of a spline.
        bound: Splines act within [-bound, bound], in units of the scale of r; farther out r is normal.
        hidden_dim: Width of the hidden layers.
        dropout: Share of the hidden units that are left out at random in training.
    """

    def __init__(
        self,
        embedding_dim: int,
        latent_dim: int,
        *,
        num_layers: int = 6,
        num_bins: int = 8,
        bound: float = 4.0,
        hidden_dim: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_layers < 1 or num_bins < 2 or not 0 < bound < math.inf:
            raise UsageError(
                f"expected num_layers >= 1, num_bins >= 2 and bound > 0, got {num_layers}, {num_bins} and {bound}."
            )
        self.latent_dim = latent_dim
        self.num_bins = num_bins
        self.bound = bound
        self.scale = math.sqrt(embedding_dim)
        self.frame = Frame(latent_dim)
        self.reader = mlp(embedding_dim, hidden_dim, hidden_dim, num_hidden=1, dropout=dropout)
        self.couplings = nn.ModuleList()
        self.is_mapped: list[Tensor] = []
        for layer in range(num_layers):
            mapped = _mapped(layer, latent_dim)
            self.is_mapped.append(mapped)
            outputs = int(mapped.sum()) * (3 * num_bins - 1)
            inputs = int((~mapped).sum()) + hidden_dim
            self.couplings.append(mlp(inputs, hidden_dim, outputs, num_hidden=1, dropout=dropout))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the standard normal, whatever the context."""
        for coupling in self.couplings:
            for parameter in list(coupling.parameters())[-2:]:  # weight and bias of the last layer
                nn.init.zeros_(parameter)

    def standardise(self, latent: Tensor) -> None:
        """Start from the place and scale of these draws of r, (n, R)."""
        self.frame.fit(latent)

    def forward(self, context: Tensor) -> Transported:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        return Transported(self, at_least_float32(self.reader(self.scale * context)), self.latent_dim)

    def to_latent(self, noise: Tensor, features: Tensor) -> Tensor:
        """Noise (..., R) and features (..., H) -> r (..., R)."""
        r = noise
        for layer in reversed(range(len(self.couplings))):
            r, _ = self._couple(layer, r, features, inverse=True)
        return self.frame.to_latent(r)

    def log_density(self, latent: Tensor, features: Tensor) -> Tensor:
        """r (..., R) and features (..., H) -> log density (...), in nats."""
        noise, log_slopes = self.frame.standardised(latent), torch.zeros_like(latent[..., 0])
        for layer in range(len(self.couplings)):
            noise, log_slope = self._couple(layer, noise, features, inverse=False)
            log_slopes = log_slopes + log_slope
        zeros = torch.zeros_like(noise)
        return self.frame.log_density(DiagonalGaussian(zeros, zeros).log_prob(noise) + log_slopes)

    def _couple(self, layer: int, values: Tensor, features: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        """One layer: values (..., R) -> values (..., R) and the log of its volume change (...)."""
        mapped = self.is_mapped[layer].to(values.device)
        with full_precision(values.device):
            seen = torch.cat([values[..., ~mapped], features], dim=-1)
            parameters = self.couplings[layer](seen).unflatten(-1, (int(mapped.sum()), 3 * self.num_bins - 1))
            moved, log_slopes = rational_quadratic_spline(
                values[..., mapped], parameters, bound=self.bound, inverse=inverse
            )
        coupled = values.clone()
        coupled[..., mapped] = moved
        return coupled, log_slopes.sum(-1)


def _mapped(layer: int, latent_dim: int) -> Tensor:
    """(R,) bool: which coordinates a layer maps. Two layers in turn split them by one bit of their number."""
    num_bits = max(1, (latent_dim - 1).bit_length())
    bit = (layer // 2) % num_bits
    mapped = torch.tensor([(coordinate >> bit) & 1 == layer % 2 for coordinate in range(latent_dim)])
    return mapped if bool(mapped.any()) else ~mapped  # a single coordinate is mapped by every layer
