"""Editors t(e, r): move the context embedding to the predicted future embedding (arXiv:2602.02381, section 4)."""

import math

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models.heads import mlp, reset_mlp


def _state_and_latent(state: Tensor, latent: Tensor | None, latent_dim: int) -> Tensor:
    got = 0 if latent is None else latent.shape[-1]
    if got != latent_dim:
        raise UsageError(
            f"expected a latent of {latent_dim} dimensions, got {got}. Give the r that this editor was made for."
        )
    return state if latent is None else torch.cat([state, latent.to(state.dtype)], dim=-1)


class MLPEditor(nn.Module):
    """t(e, r) = e + MLP([e, r]); it starts as the identity.

    With `latent_dim` 0 it is a deterministic predictor of the future embedding.

    Args:
        embedding_dim: Dimension D.
        latent_dim: Dimension R of the latent; 0 for none.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
    """

    def __init__(self, embedding_dim: int, latent_dim: int, *, hidden_dim: int = 256, num_hidden: int = 2) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.scale = math.sqrt(embedding_dim)  # embeddings have unit norm, the net wants coordinates of about 1
        self.net = mlp(embedding_dim + latent_dim, hidden_dim, embedding_dim, num_hidden=num_hidden)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity, so that training begins at the objective without a latent."""
        reset_mlp(self.net, zero_output=True)

    def forward(self, state: Tensor, latent: Tensor | None) -> Tensor:
        """state (..., D) of unit norm, latent (..., R) or None -> (..., D), not normalised."""
        return state + self.net(_state_and_latent(self.scale * state, latent, self.latent_dim)) / self.scale


class AdditiveEditor(nn.Module):
    """t(e, r) = e + W r: the same change for every context.

    Args:
        embedding_dim: Dimension D.
        latent_dim: Dimension R of the latent, > 0.
    """

    def __init__(self, embedding_dim: int, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UsageError(
                "an additive editor without a latent does nothing. Use MLPEditor, or give the model a latent."
            )
        self.latent_dim = latent_dim
        self.change = nn.Linear(latent_dim, embedding_dim, bias=False)

    def forward(self, state: Tensor, latent: Tensor | None) -> Tensor:
        """state (..., D) of unit norm, latent (..., R) -> (..., D), not normalised."""
        if latent is None or latent.shape[-1] != self.latent_dim:
            got = 0 if latent is None else latent.shape[-1]
            raise UsageError(f"expected a latent of {self.latent_dim} dimensions, got {got}.")
        return state + self.change(latent.to(state.dtype))
