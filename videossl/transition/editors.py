"""Editors t(e, r): move the context embedding to the predicted future embedding (arXiv:2602.02381, section 4)."""

import math

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.transition.networks import mlp, reset_mlp


def _check_latent(latent: Tensor | None, latent_dim: int) -> None:
    got = 0 if latent is None else latent.shape[-1]
    if got != latent_dim:
        raise UsageError(
            f"expected a latent of {latent_dim} dimensions, got {got}. Give the r that this editor was made for."
        )


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
        _check_latent(latent, self.latent_dim)
        inputs = self.scale * state
        if latent is not None:
            inputs = torch.cat([inputs, latent.to(state.dtype)], dim=-1)
        return state + self.net(inputs) / self.scale


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
        _check_latent(latent, self.latent_dim)
        assert latent is not None  # it has been checked; for the type checker
        return state + self.change(latent.to(state.dtype))


class LowRankEditor(nn.Module):
    """t(e, r) = e + B (tanh(r) * (A e + a)): one rank-1 change of the context for every coordinate of r.

    Modular: coordinate k of r does nothing but switch on, weigh and turn around the change `B[:, k] (A[k] e + a[k])`,
    so a sparse r chooses a few changes. The published editor of AdaSSL-S (arXiv:2602.02381, eq. 11). It starts as the
    identity: B is zero.

    Args:
        embedding_dim: Dimension D.
        latent_dim: Dimension R of the latent, > 0.
    """

    def __init__(self, embedding_dim: int, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UsageError(
                "a low-rank editor without a latent does nothing. Use MLPEditor, or give the model a latent."
            )
        self.latent_dim = latent_dim
        self.read = nn.Linear(embedding_dim, latent_dim)  # A, a
        self.write = nn.Linear(latent_dim, embedding_dim, bias=False)  # B
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity, and with coordinates `A e` of about 1 for states of unit norm."""
        self.read.reset_parameters()
        with torch.no_grad():
            self.read.weight *= math.sqrt(self.read.in_features)  # torch's start is for coordinates of about 1
        nn.init.zeros_(self.write.weight)

    def forward(self, state: Tensor, latent: Tensor | None) -> Tensor:
        """state (..., D) of unit norm, latent (..., R) -> (..., D), not normalised."""
        _check_latent(latent, self.latent_dim)
        assert latent is not None  # it has been checked; for the type checker
        return state + self.write(torch.tanh(latent.to(state.dtype)) * self.read(state))
