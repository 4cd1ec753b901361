"""Flow matching as the prior of the latent r: a velocity field that carries noise to r, fitted without simulation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.divergence import Divergence
from videossl.transition.networks import mlp
from videossl.transition.precision import at_least_float32, full_precision
from videossl.transition.transported import Frame, Transported


class FlowMatchingPrior(nn.Module):
    """p(r | context): where the field `dx/dt = v(x, t, context)` carries standard normal noise from t = 0 to t = 1.

    Fitted by itself (`matching_loss`) it regresses v on the straight paths `x_t = (1 - t) z + t r`, whose velocity is
    `r - z` (conditional flow matching with optimal-transport paths, arXiv:2210.02747, eq. 23 with sigma_min = 0). The
    density is that of the instantaneous change of variables, `log p(r) = log N(x_0; 0, I) - int_0^1 div v(x_t, t) dt`
    (arXiv:1806.07366, theorem 1), with the exact divergence. Both integrals take steps of Runge-Kutta 4, so density
    and draws belong to each other to the error of these steps. Trained jointly with the encoder, gradients go through
    that integral, which costs `4 num_steps` times a few passes of the net (`1 + R` with other than two hidden layers).

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        num_steps: Steps of the integration.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
        dropout: Share of the hidden units that are left out at random in training, of what reads the context.
    """

    def __init__(
        self,
        embedding_dim: int,
        latent_dim: int,
        *,
        num_steps: int = 8,
        hidden_dim: int = 128,
        num_hidden: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_steps < 1:
            raise UsageError(f"expected num_steps of at least 1, got {num_steps}.")
        self.latent_dim = latent_dim
        self.num_steps = num_steps
        self.scale = math.sqrt(embedding_dim)
        self.frame = Frame(latent_dim)
        self.reader = mlp(embedding_dim, hidden_dim, hidden_dim, num_hidden=1, dropout=dropout)
        self.velocity = mlp(latent_dim + NUM_TIME_FEATURES + hidden_dim, hidden_dim, latent_dim, num_hidden=num_hidden)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the standard normal, whatever the context: nothing moves."""
        for parameter in self.velocity[-1].parameters():
            nn.init.zeros_(parameter)

    def standardise(self, latent: Tensor) -> None:
        """Start from the place and scale of these draws of r, (n, R)."""
        self.frame.fit(latent)

    def forward(self, context: Tensor) -> Transported:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        return Transported(self, self._read(context), self.latent_dim)

    def matching_loss(self, context: Tensor, latent: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`|v(x_t, t, c) - (r - z)|^2`, summed over R, at one random time and noise: (...).

        Its minimum over v is what carries the noise to r; the value is no density and no bound of one.

        Args:
            context: (..., D) of unit norm.
            latent: r, (..., R).
            generator: Where times and noise come from.
        """
        r = self.frame.standardised(at_least_float32(latent)).detach()  # or a scale of zero would be the easiest fit
        noise = torch.empty_like(r).normal_(generator=generator)
        time = torch.empty_like(r[..., :1]).uniform_(generator=generator)
        with full_precision(r.device):
            guess = self._velocity((1 - time) * noise + time * r, self._read(context) + self._at(time))
        return (guess - (r - noise)).square().sum(-1)

    def to_latent(self, noise: Tensor, features: Tensor) -> Tensor:
        """Noise (..., R) and features (..., H) -> r (..., R)."""
        x, step = noise, 1 / self.num_steps
        with full_precision(x.device):
            for number in range(self.num_steps):
                begin, middle, end = self._during(number, features)
                first = self._velocity(x, begin)
                second = self._velocity(x + 0.5 * step * first, middle)
                third = self._velocity(x + 0.5 * step * second, middle)
                fourth = self._velocity(x + step * third, end)
                x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
        return self.frame.to_latent(x)

    def log_density(self, latent: Tensor, features: Tensor) -> Tensor:
        """r (..., R) and features (..., H) -> log density (...), in nats: the same path backwards."""
        x, grown, step = self.frame.standardised(latent), torch.zeros_like(latent[..., 0]), 1 / self.num_steps
        with full_precision(x.device):
            velocity = Divergence(self._weights()[0], list(self.velocity)[1:])
            for number in reversed(range(self.num_steps)):
                begin, middle, end = self._during(number, features)
                first, at_first = velocity(x, end)
                second, at_second = velocity(x - 0.5 * step * first, middle)
                third, at_third = velocity(x - 0.5 * step * second, middle)
                fourth, at_fourth = velocity(x - step * third, begin)
                x = x - step / 6 * (first + 2 * second + 2 * third + fourth)
                grown = grown + step / 6 * (at_first + 2 * at_second + 2 * at_third + at_fourth)
        zeros = torch.zeros_like(x)
        return self.frame.log_density(DiagonalGaussian(zeros, zeros).log_prob(x) - grown)

    # The first layer of the velocity is a sum over what goes in: of the context it is worked out once for all times and
    # places, and of the time once for all places.

    @property
    def _first(self) -> nn.Linear:
        first = self.velocity[0]
        assert isinstance(first, nn.Linear)  # as `mlp` makes it; for the type checker
        return first

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the first layer: those of x (H, R), of the features of the time (H, 5), of what is read (H, H)."""
        others = self.latent_dim + NUM_TIME_FEATURES
        weights = self._first.weight
        return weights[:, : self.latent_dim], weights[:, self.latent_dim : others], weights[:, others:]

    def _read(self, context: Tensor) -> Tensor:
        """Context (..., D) -> its part of the first layer (..., H)."""
        read = at_least_float32(self.reader(self.scale * context))
        with full_precision(read.device):
            return F.linear(read, self._weights()[2], self._first.bias)

    def _at(self, time: Tensor) -> Tensor:
        """Time (..., 1) in [0, 1] -> its part of the first layer (..., H)."""
        return F.linear(_time_features(time), self._weights()[1])

    def _during(self, number: int, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the first layer adds at the beginning, middle and end of a step: features (..., H) -> (..., H) each."""
        times = ((number + part) / self.num_steps for part in (0, 0.5, 1))
        begin, middle, end = (features + self._at(features.new_tensor([time])) for time in times)
        return begin, middle, end

    def _velocity(self, x: Tensor, given: Tensor) -> Tensor:
        """x (..., R) and the parts of context and time (..., H) -> velocity (..., R)."""
        velocity: Tensor = self.velocity[1:](F.linear(x, self._weights()[0]) + given)
        return velocity


NUM_TIME_FEATURES = 5


def _time_features(time: Tensor) -> Tensor:
    """Time (..., 1) in [0, 1] -> (..., 5): itself, and two slow waves."""
    angles = 2 * math.pi * torch.cat([0.5 * time, time], dim=-1)
    return torch.cat([2 * time - 1, torch.sin(angles), torch.cos(angles)], dim=-1)
