"""How likely a given future is: the density of a world model over the embeddings that may follow."""

import math
from typing import TYPE_CHECKING

import torch
from einops import repeat
from torch import Tensor

from videossl.transition import CodebookLatent
from videossl.transition.von_mises_fisher import log_normaliser, most_telling_concentration

if TYPE_CHECKING:
    from videossl.models.world_model import WorldModel

MOST_COMPARED = 128  # contexts, and futures with each


def log_prob(model: "WorldModel", states: Tensor, futures: Tensor, *, num_samples: int, seed: int) -> Tensor:
    """Importance-weighted log density of futures given states, see `WorldModel.log_prob`: (B, D), (B, D) -> (B,)."""
    cosines, log_weights = _weighted_cosines(model, states, futures, num_samples=num_samples, seed=seed)
    kappa = model.concentration.double()
    return torch.logsumexp(kappa * cosines + log_weights, dim=1) - log_normaliser(kappa, model.embedding_dim)


def fitted_concentration(
    model: "WorldModel", states: Tensor, futures: Tensor, *, num_samples: int = 16, seed: int = 0
) -> float:
    """The concentration by which states best tell what came after them from the futures of others that are likest it.

    Args:
        model: Asked for its predictions.
        states: (B, D) of unit norm.
        futures: (B, D) of unit norm, what came after each.
        num_samples: Predictions of each pair.
        seed: Of the draws.
    """
    # Futures at random are told apart by any width, once a model is good.
    likeness = (futures[:MOST_COMPARED] @ futures.T).fill_diagonal_(2.0)  # its own comes first
    likest = likeness.topk(min(MOST_COMPARED, len(futures)), dim=1).indices
    of_contexts = [
        _weighted_cosines(model, state.expand(len(rows), -1), futures[rows], num_samples=num_samples, seed=seed)
        for state, rows in zip(states[:MOST_COMPARED], likest, strict=False)
    ]
    cosines, log_weights = (torch.stack(parts) for parts in zip(*of_contexts, strict=True))
    return most_telling_concentration(cosines, log_weights)


def _weighted_cosines(
    model: "WorldModel", states: Tensor, futures: Tensor, *, num_samples: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Cosines (B, K) of the futures with predictions, and the log weight of each prediction.

    Half of the r are inferred, so that some are right, the others drawn from the prior. Each has the weight
    `p(r) / m(r) / K`, with m the mixture of both in these shares (the balance heuristic of multiple importance
    sampling, Veach and Guibas 1995): none weighs more than 2 / K. By inferred ones alone, a posterior that is narrower
    than p(r) p(future | r), as it becomes where r has a price below 1, would have a few weights that outweigh all
    others, and miss by a nat and more.
    """
    if model.latent is None:
        cosines = (model.transition(states, None).double() * futures.double()).sum(-1)
        return cosines[:, None], torch.zeros_like(cosines)[:, None]
    if isinstance(model.latent, CodebookLatent):  # few enough to add up over all of them
        every = repeat(model.latent.codes(), "c r -> b c r", b=len(states))
        predicted = model.transition(repeat(states, "b d -> b c d", c=every.shape[1]), every)
        cosines = (predicted.double() * futures[:, None].double()).sum(-1)
        return cosines, torch.log_softmax(model.latent.prior(states).logits.double(), dim=-1)
    posterior, prior = model.latent_distributions(
        *(repeat(each, "b d -> b k d", k=num_samples) for each in (states, futures))
    )
    generator = torch.Generator(device=states.device).manual_seed(seed)
    num_drawn = num_samples // 2
    num_inferred = num_samples - num_drawn
    latent = torch.cat([posterior.sample(generator)[:, :num_inferred], prior.sample(generator)[:, :num_drawn]], dim=1)
    predicted = model.transition(repeat(states, "b d -> b k d", k=num_samples), latent)
    cosines = (predicted.double() * futures[:, None].double()).sum(-1)
    of_prior, of_posterior = prior.log_prob(latent).double(), posterior.log_prob(latent).double()
    mixture = of_posterior + math.log(num_inferred)
    if num_drawn:
        mixture = torch.logaddexp(mixture, of_prior + math.log(num_drawn))
    return cosines, of_prior - mixture
