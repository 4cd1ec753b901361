"""Futures of a world model: the transition, chained, with r given or from the prior."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.errors import UsageError
from videossl.models.checks import described
from videossl.transition import Stratified

if TYPE_CHECKING:
    from videossl.models.world_model import WorldModel


def sample_futures(
    model: "WorldModel",
    states: Tensor,
    *,
    num_samples: int,
    horizon: int,
    seed: int,
    latent: Tensor | None,
    stratified: bool,
) -> Tensor:
    """Futures of states (B, D) of unit norm, (B, K, S, D); see `WorldModel.sample_futures`."""
    given = _given(model, latent, states, horizon=horizon)
    generators = [
        torch.Generator(device=states.device).manual_seed(hash((seed, row)) % 2**63) for row in range(len(states))
    ]
    state = repeat(states, "b d -> b k d", k=num_samples)
    futures = []
    for step in range(horizon):
        if step < len(given):
            r: Tensor | None = repeat(given[step], "b r -> b k r", k=num_samples)
        else:
            r = _drawn(model, state, generators, stratified=stratified)
        state = model.transition(state, r)
        futures.append(state)
    return torch.stack(futures, dim=2)


def _drawn(
    model: "WorldModel", states: Tensor, generators: Sequence[torch.Generator], *, stratified: bool
) -> Tensor | None:
    """r from the prior: states (B, K, D) -> (B, K, R), every context by a generator of its own."""
    drawn = []
    for state, generator in zip(states, generators, strict=True):
        prior = model.prior(state)
        if prior is None:
            return None
        if not stratified:
            drawn.append(prior.sample(generator))
        elif isinstance(prior, Stratified):
            drawn.append(prior.stratified_sample(generator))
        else:
            raise UsageError(
                f"stratified futures need a prior whose distribution has stratified_sample, {type(prior).__name__} "
                "has none. Leave stratified out, or write it (videossl.transition.Stratified)."
            )
    return torch.stack(drawn)


def _given(model: "WorldModel", latent: Tensor | None, states: Tensor, *, horizon: int) -> Tensor:
    """Latents that were given for the first steps, (S', B, R), of the type and device of states (B, D)."""
    if latent is None:
        return torch.empty(0)
    if model.latent is None:
        raise UsageError("this model has no latent to steer by: it was trained with model.latent null.")
    axes = latent.ndim if isinstance(latent, Tensor) else 0
    steps = latent[None, None] if axes == 1 else latent[:, None] if axes == 2 else latent
    if axes not in (1, 2, 3) or len(steps) not in (1, len(states)) or steps.shape[2] != model.latent_dim:
        raise UsageError(
            f"expected latent (B, R) or (B, S, R) with B = {len(states)}, or 1 or (R,) to steer all contexts alike, "
            f"and R = {model.latent_dim}, got {described(latent)}."
        )
    if steps.shape[1] > horizon:
        raise UsageError(f"expected latents of at most horizon = {horizon} steps, got {steps.shape[1]}. Raise horizon.")
    return rearrange(steps.to(states).expand(len(states), -1, -1), "b s r -> s b r")
