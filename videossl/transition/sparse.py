"""The sparse latent variable r: a few open gates say how the future differs (AdaSSL-S, arXiv:2602.02381, section 4)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.distributions import gate_sample
from videossl.transition.networks import mlp, reset_mlp
from videossl.transition.precision import at_least_float32


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

    def most_likely(self) -> Tensor:
        """r with every gate open whose odds are above even, the others shut: (..., R)."""
        values = at_least_float32(self.values)
        return torch.where(self.logits > 0, values, torch.zeros_like(values))


class SparseGate(nn.Module):
    """Gates and values of r from one MLP on [context, future].

    There is no prior: r can be inferred from a future, but not sampled without one.

    Args:
        embedding_dim: Dimension D of the embeddings that it reads.
        latent_dim: Dimension R of the latent: number of gates.
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
        self.scale = math.sqrt(embedding_dim)  # embeddings have unit norm, the net wants coordinates of about 1
        self.net = mlp(2 * embedding_dim, hidden_dim, 2 * latent_dim, num_hidden=num_hidden)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with gates about half open, whatever comes in."""
        reset_mlp(self.net, zero_output=False)

    def gates(self, context: Tensor, future: Tensor) -> Gates:
        """Gates and values given context and future; both (..., D) of unit norm."""
        outputs = at_least_float32(self.net(self.scale * torch.cat([context, future], dim=-1)))
        logits, values = outputs.chunk(2, dim=-1)
        return Gates(logits, values)
