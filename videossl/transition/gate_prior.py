"""A prior over gates and the values behind them: which few coordinates of a sparse r are open, given the context."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.distributions import LOG_VARIANCE_LIMIT
from videossl.transition.networks import mlp
from videossl.transition.precision import at_least_float32, full_precision
from videossl.transition.stratified import nearby_order, stratified_choice, stratified_normals, stratified_uniforms

SMALLEST_VARIANCE = 1e-4
START_LOG_ODDS = 2.0  # that a gate is as it was in the draw that a component starts at


class GateMixture(NamedTuple):
    """`sum_m weight[m] prod_k ( r_k = 0: 1 - open[m, k];  else: open[m, k] N(r_k; mean[m, k], variance[m, k]) )`.

    Spikes and slabs (Mitchell and Beauchamp 1988), in a mixture so that gates can depend on each other: "one of these,
    but never two" takes components. Its log density is relative to the sum of a point mass at 0 and length, coordinate
    by coordinate: only differences between two of these are comparable, and those are what is used.

    Attributes:
        logits: (..., M), of the weights, any offset.
        gate_logits: (..., M, R), log-odds that a gate is open.
        means: (..., M, R), of the values behind open gates.
        log_variances: (..., M, R), within [-10, 10].
    """

    logits: Tensor
    gate_logits: Tensor
    means: Tensor
    log_variances: Tensor

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        return (self._weights * torch.sigmoid(self.gate_logits) * self.means).sum(-2)

    @property
    def variance(self) -> Tensor:
        """(..., R)."""
        squares = self.log_variances.exp() + self.means.square()
        return (self._weights * torch.sigmoid(self.gate_logits) * squares).sum(-2) - self.mean.square()

    @property
    def _weights(self) -> Tensor:
        return torch.softmax(self.logits, dim=-1)[..., None]  # (..., M, 1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, (..., R): a component, its gates, the values behind the open ones. No gradients to the gates."""
        waiting = torch.empty_like(self.logits).exponential_(generator=generator)
        chosen = (waiting.log() - torch.log_softmax(self.logits, dim=-1)).argmin(-1)
        uniforms = torch.empty_like(self.means[..., 0, :]).uniform_(generator=generator)
        normals = torch.empty_like(uniforms).normal_(generator=generator)
        return self._through(chosen, uniforms, normals)

    def stratified_sample(self, generator: torch.Generator | None = None) -> Tensor:
        """As `sample`, parameters (K, M, ...), the K draws spread evenly over components, gates and values."""
        order = nearby_order((torch.sigmoid(self.gate_logits) * self.means).mean(0))
        chosen = order[stratified_choice(self._weights.squeeze(-1)[:, order], generator)]
        uniforms = stratified_uniforms(self.means[:, 0], groups=chosen, generator=generator)
        return self._through(chosen, uniforms, stratified_normals(uniforms, groups=chosen, generator=generator))

    def _through(self, chosen: Tensor, uniforms: Tensor, normals: Tensor) -> Tensor:
        """r (..., R) of chosen components (...), given the noise of the gates and of the values (..., R)."""
        rows = chosen[..., None, None].expand(*chosen.shape, 1, self.means.shape[-1])
        gate_logits, mean, log_variance = (
            part.gather(-2, rows).squeeze(-2) for part in (self.gate_logits, self.means, self.log_variances)
        )
        values = mean + normals * torch.exp(0.5 * log_variance)
        return torch.where(uniforms < torch.sigmoid(gate_logits), values, torch.zeros_like(values))

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of r (..., R), in nats: (...)."""
        with full_precision(latent.device):
            r = at_least_float32(latent)[..., None, :]
            squares = (r - self.means).square() * torch.exp(-self.log_variances)
            slab = -0.5 * (squares + self.log_variances + math.log(2 * math.pi)) + F.logsigmoid(self.gate_logits)
            each = torch.where(r != 0, slab, F.logsigmoid(-self.gate_logits)).sum(-1)  # (..., M)
            return torch.logsumexp(torch.log_softmax(self.logits, dim=-1) + each, dim=-1)


class GatePrior(nn.Module):
    """p(r | context) of a sparse r: a `GateMixture` whose parameters one MLP sets.

    As in `MixturePrior`, what the context changes is added to what holds for all contexts, and starts at zero.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent: number of gates.
        num_components: Number M of components: at least as many as there are ways on from one context.
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
        outputs = num_components * (1 + 3 * latent_dim)
        self.net = mlp(embedding_dim, hidden_dim, outputs, num_hidden=num_hidden, dropout=dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with gates that are open half of the time, and values about as wide as a standard normal."""
        last = self._last_layer()
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            logits, gate_logits, means, log_variances = self._split(last.bias)
            logits.zero_()
            gate_logits.normal_()
            means.normal_(std=math.sqrt(0.5))
            log_variances.fill_(math.log(0.5))

    @torch.no_grad()
    def standardise(self, latent: Tensor) -> None:
        """Start at these draws of r, (n, R): a component at each of some of them."""
        _, gate_logits, means, log_variances = self._split(self._last_layer().bias)
        chosen = latent[torch.linspace(0, len(latent) - 1, self.num_components, device=latent.device).round().long()]
        is_open = latent != 0
        count = is_open.sum(0).clamp(min=1)
        mean = latent.sum(0) / count
        variance = (torch.where(is_open, latent - mean, 0.0).square().sum(0) / count).clamp(min=SMALLEST_VARIANCE)
        gate_logits.copy_(torch.where(chosen != 0, START_LOG_ODDS, -START_LOG_ODDS))
        means.copy_(torch.where(chosen != 0, chosen, mean))
        log_variances.copy_((0.5 * variance).log().expand_as(log_variances))

    def forward(self, context: Tensor) -> GateMixture:
        """Context (..., D) of unit norm -> distribution of r (..., R)."""
        logits, gates, means, log_variances = self._split(at_least_float32(self.net(self.scale * context)))
        return GateMixture(logits, gates, means, log_variances.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))

    def _last_layer(self) -> nn.Linear:
        last = self.net[-1]
        assert isinstance(last, nn.Linear)  # it was made so; for the type checker
        return last

    def _split(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs of the net (..., M (1 + 3R)) -> views on its four parts."""
        shape = (*outputs.shape[:-1], self.num_components, self.latent_dim)
        size = self.num_components * self.latent_dim
        logits, *parts = torch.split(outputs, [self.num_components, size, size, size], dim=-1)
        gates, means, log_variances = (part.view(shape) for part in parts)
        return logits, gates, means, log_variances
