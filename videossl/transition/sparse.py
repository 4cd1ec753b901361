"""The sparse latent variable r: a few open gates say how the future differs (AdaSSL-S, arXiv:2602.02381, section 4)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.distributions import gate_sample
from videossl.transition.gate_prior import GateMixture, GatePrior
from videossl.transition.networks import mlp, reset_mlp, start_anew
from videossl.transition.precision import at_least_float32

VALUE_WIDTH = 0.1  # of what a prior is fitted to: below it, values behind an open gate count as the same


class Gates(NamedTuple):
    """Values behind gates that are open or shut.

    Attributes:
        logits: (..., R), log-odds that a gate is open.
        values: (..., R), what comes through an open gate.
    """

    logits: Tensor
    values: Tensor

    def sample(self, generator: torch.Generator | None = None, *, noise: Tensor | None = None) -> Tensor:
        """r = gate * value with drawn gates, straight through: (..., R). See `gate_sample` for the noise (uniform)."""
        return gate_sample(self.logits, noise=noise, generator=generator) * at_least_float32(self.values)

    def widened(self, width: float) -> GateMixture:
        """The same gates, with values that are normal around these: what has a density where a prior has one.

        Args:
            width: Standard deviation of a value behind an open gate.
        """
        values = at_least_float32(self.values)[..., None, :]
        log_variances = torch.full_like(values, 2 * math.log(width))
        return GateMixture(
            values.new_zeros(values.shape[:-1]), at_least_float32(self.logits)[..., None, :], values, log_variances
        )

    def most_likely(self) -> Tensor:
        """r with every gate open whose odds are above even, the others shut: (..., R)."""
        values = at_least_float32(self.values)
        return torch.where(self.logits > 0, values, torch.zeros_like(values))


class SparseGate(nn.Module):
    """Gates and values of r from one MLP on [context, future].

    The published form has no prior: r can be inferred from a future, but not sampled without one. A prior over gates
    and values is fitted to what was inferred, beside the training (it has no part in the cost of r, and gives no
    gradient to anything else) or after it (`videossl refit-prior`).

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent: number of gates.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
        prior: Made with the dimensions of embedding and latent: a `GatePrior`. None: no prior yet.

    Raises:
        UsageError: No dimension, or a prior that is no `GatePrior`.
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
        self.scale = math.sqrt(embedding_dim)  # embeddings have unit norm, the net wants coordinates of about 1
        self.net = mlp(2 * embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden)
        self.prior_net = prior(embedding_dim, latent_dim) if prior is not None else None
        if self.prior_net is not None:
            check_gate_prior(self.prior_net)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with gates about half open, whatever comes in."""
        reset_mlp(self.net, zero_output=False)
        if self.prior_net is not None:
            start_anew(self.prior_net)

    def gates(self, context: Tensor, future: Tensor) -> Gates:
        """Gates and values given context and future; both (..., D) of unit norm."""
        outputs = at_least_float32(self.net(self.scale * torch.cat([context, future], dim=-1)))
        logits, values = outputs.chunk(2, dim=-1)
        return Gates(logits, values)


def check_gate_prior(prior: nn.Module) -> None:
    """Refuse a prior that gives shut gates no probability.

    Raises:
        UsageError: It is no `GatePrior`.
    """
    if not isinstance(prior, GatePrior):
        raise UsageError(
            f"expected a GatePrior as the prior of a SparseGate, got a {type(prior).__name__}: r is exactly 0 where a "
            "gate is shut, which a density has no probability for. Set the prior to videossl.models.GatePrior."
        )
