"""A mixture of Gaussians as the prior of the latent r: several modes, so that futures between them are not drawn."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.distributions import LOG_VARIANCE_LIMIT, gaussian_sample
from videossl.transition.networks import mlp
from videossl.transition.precision import at_least_float32, full_precision
from videossl.transition.stratified import nearby_order, stratified_choice, stratified_normals

SMALLEST_VARIANCE = 1e-4


class GaussianMixture(NamedTuple):
    """`sum_m weight[m] N(r; mean[m], diag variance[m])`, with weights `softmax(logits)`.

    Attributes:
        logits: (..., M), any scale and offset.
        means: (..., M, R).
        log_variances: (..., M, R), within [-10, 10].
    """

    logits: Tensor
    means: Tensor
    log_variances: Tensor

    @property
    def mean(self) -> Tensor:
        """`sum_m weight[m] mean[m]`, (..., R): it may lie where nothing is likely."""
        return (self._weights * self.means).sum(-2)

    @property
    def variance(self) -> Tensor:
        """`sum_m weight[m] (variance[m] + (mean[m] - mean)^2)`, (..., R)."""
        spread = (self.means - self.mean[..., None, :]).square()
        return (self._weights * (self.log_variances.exp() + spread)).sum(-2)

    @property
    def _weights(self) -> Tensor:
        return torch.softmax(self.logits, dim=-1)[..., None]  # (..., M, 1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, (..., R): a component by its weight, then r from it. No gradient to the weights."""
        noise = torch.empty_like(self.logits).exponential_(generator=generator)
        # The smallest of exponential waiting times with rates softmax(logits) is m with probability weight[m].
        chosen = (noise.log() - torch.log_softmax(self.logits, dim=-1)).argmin(-1)
        mean, log_variance = self._components(chosen)
        return gaussian_sample(mean, log_variance, generator=generator)

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """As `sample`, parameters (K, M, ...), the K draws spread evenly over the components and within each."""
        order = nearby_order(self.means.mean(0) * torch.exp(-0.5 * self.log_variances.mean((0, 1))))
        chosen = order[stratified_choice(self._weights.squeeze(-1)[:, order], generator)]
        mean, log_variance = self._components(chosen)
        return gaussian_sample(mean, log_variance, noise=stratified_normals(mean, groups=chosen, generator=generator))

    def _components(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (..., R) each, of the component of each number (...)."""
        rows = chosen[..., None, None].expand(*chosen.shape, 1, self.means.shape[-1])
        return self.means.gather(-2, rows).squeeze(-2), self.log_variances.gather(-2, rows).squeeze(-2)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of r (..., R), in nats: (...)."""
        with full_precision(latent.device):
            squares = (at_least_float32(latent)[..., None, :] - self.means).square() * torch.exp(-self.log_variances)
            each = -0.5 * (squares + self.log_variances + math.log(2 * math.pi)).sum(-1)  # (..., M)
            return torch.logsumexp(torch.log_softmax(self.logits, dim=-1) + each, dim=-1)


class MixturePrior(nn.Module):
    """p(r | context): a mixture of Gaussians whose weights, means and variances one MLP sets.

    `sum_m softmax(a(context))[m] N(r; mu[m] + b(context)[m], exp(s[m] + c(context)[m]))`: what the context changes (a,
    b, c) is added to what holds for all contexts (mu, s), and starts at zero: a mixture density network (Bishop 1994,
    "Mixture Density Networks", section 3). Its KL is estimated at the drawn r.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent.
        num_components: Number M of Gaussians: at least as many as there are ways on from one context.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
        dropout: Share of the hidden units that are left out at random in training.
    """

    def __init__(
        self,
        embedding_dim: int,
        latent_dim: int,
        *,
        num_components: int = 16,
        hidden_dim: int = 128,
        num_hidden: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_components < 1:
            raise UsageError(f"expected num_components of at least 1, got {num_components}.")
        self.num_components = num_components
        self.latent_dim = latent_dim
        self.scale = math.sqrt(embedding_dim)
        outputs = mixture_size(num_components, latent_dim)
        self.net = mlp(embedding_dim, hidden_dim, outputs, num_hidden=num_hidden, dropout=dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the same mixture for every context, about as wide as a standard normal."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear)  # it was made so; for the type checker
        nn.init.zeros_(last.weight)
        start_mixture(last.bias, self.latent_dim)

    def standardise(self, latent: Tensor) -> None:
        """Start at these draws of r, (n, R): a component at each of some of them, as wide as half of their variance."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear)  # it was made so; for the type checker
        start_mixture_at(last.bias, latent)

    def forward(self, context: Tensor) -> GaussianMixture:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        return mixture_of(self.net(self.scale * context), self.latent_dim)


def mixture_size(num_components: int, latent_dim: int) -> int:
    """How many numbers say a mixture of M components over r of R dimensions: M (1 + 2R)."""
    return num_components * (1 + 2 * latent_dim)


def mixture_of(numbers: Tensor, latent_dim: int) -> GaussianMixture:
    """(..., M (1 + 2R)), logits, then means, then log variances, which are clipped -> the mixture."""
    logits, means, log_variances = _split(at_least_float32(numbers), latent_dim)
    return GaussianMixture(logits, means, log_variances.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))


@torch.no_grad()
def start_mixture(numbers: Tensor, latent_dim: int) -> None:
    """Set (M (1 + 2R),) to a mixture that is about as wide as a standard normal."""
    logits, means, log_variances = _split(numbers, latent_dim)
    logits.zero_()
    # Components in the same place would get the same gradient for ever: they are spread, and narrower by as much as
    # leaves the whole with variance 1.
    means.normal_(std=math.sqrt(0.5))
    log_variances.fill_(math.log(0.5))


@torch.no_grad()
def start_mixture_at(numbers: Tensor, latent: Tensor) -> None:
    """Set (M (1 + 2R),) to components at some of these draws of r (n, R), as wide as half of their variance."""
    _, means, log_variances = _split(numbers, latent.shape[1])
    chosen = torch.linspace(0, len(latent) - 1, len(means), device=latent.device).round().long()
    means.copy_(latent[chosen])
    log_variances.copy_((0.5 * latent.var(0)).clamp(min=SMALLEST_VARIANCE).log().expand_as(log_variances))


def _split(numbers: Tensor, latent_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """(..., M (1 + 2R)) -> views on logits (..., M), means and log variances (..., M, R)."""
    num_components = numbers.shape[-1] // (1 + 2 * latent_dim)
    shape, size = (*numbers.shape[:-1], num_components, latent_dim), num_components * latent_dim
    logits, means, log_variances = torch.split(numbers, [num_components, size, size], dim=-1)
    return logits, means.view(shape), log_variances.view(shape)
