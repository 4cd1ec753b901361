"""Has the model collapsed, and does its latent live? Read this before any score."""

from typing import Any

import torch
from torch import Tensor

from videossl.evaluation.latents import latents
from videossl.evaluation.predictors import posterior_samples, prior_samples
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.shapes import distances, unit
from videossl.evaluation.space import Space
from videossl.objectives.collapse import (
    ACTIVE_NATS,
    COLLAPSED_RANK,
    COLLAPSED_STD,
    DEAD_NATS,
    effective_rank,
    embedding_std,
)


def active_units(kl: Tensor) -> int:
    """Coordinates of r that carry something: mean KL over contexts above 0.01 nats; (n, R) -> count.

    As logged in training. Burda et al. (arXiv:1509.00519, section 5.1) take the variance of the posterior mean, which
    fits a standard normal prior; here the prior depends on the context.
    """
    return int((kl.mean(dim=0) > ACTIVE_NATS).sum())


def posterior_prior_gap(model: FutureModel, space: Space, *, num_samples: int, seed: int) -> float:
    """How much nearer to what happened samples come when r has seen it, in shares of the prior samples' distance.

    `1 - mean || posterior sample - y || / mean || prior sample - y ||`; 0 where the latent tells nothing.
    """
    futures = unit(space.futures)[:, None]
    prior = prior_samples(model, space.contexts, num_samples=num_samples, seed=seed)
    posterior, _ = posterior_samples(model, space, None, num_samples=num_samples, seed=seed)
    far = float(distances(unit(prior), futures).mean())
    return 1 - float(distances(unit(posterior), futures).mean()) / max(far, 1e-12)


@torch.inference_mode()
def health(
    model: FutureModel, space: Space, *, posterior_branch_accuracy: float | None, num_samples: int, seed: int
) -> dict[str, Any]:
    """Everything about collapse, and warnings in plain words.

    Args:
        model: The run's model.
        space: All contexts of the evaluation in its space.
        posterior_branch_accuracy: As the scores have it, None where branches cannot be counted: what blurs there blurs
            in every sample of the prior too.
        num_samples: K.
        seed: Of the draws.

    Returns:
        The entry `health` of `metrics.json`.
    """
    points = torch.cat([space.contexts, space.futures])
    std, rank = float(embedding_std(points)), float(effective_rank(points))
    found: dict[str, Any] = {
        "embedding_std": std,
        "effective_rank": rank,
        "embedding_dim": points.shape[1],
        "kl_nats": None,
        "active_units": None,
        "latent_dim": 0,
        "posterior_prior_gap": None,
        "posterior_branch_accuracy": posterior_branch_accuracy,
    }
    warnings = []
    if std < COLLAPSED_STD or rank < COLLAPSED_RANK:
        warnings.append(
            f"The embeddings have collapsed (spread {std:.2f} of 1, effective rank {rank:.1f} of {points.shape[1]}): "
            "all these clips look nearly the same to the model. Unless they are, no score means anything."
        )
    if model.latent is not None:
        found_latents = latents(model, space.contexts, space.futures, seed=seed)
        kl, per_unit = found_latents.mean_kl, found_latents.kl_per_unit
        found |= {
            "kl_nats": kl,
            "active_units": None if per_unit is None else active_units(per_unit),
            "latent_dim": found_latents.sample.shape[1],
            "posterior_prior_gap": posterior_prior_gap(model, space, num_samples=num_samples, seed=seed),
        }
        if kl < DEAD_NATS:
            warnings.append(
                f"The latent is dead (KL {kl:.3f} nats): r says nothing about the future, so all sampled futures are "
                "one and the same guess with noise. Raise the information budget, start beta lower, or train "
                "longer: in the first steps every latent is."
            )
    return found | {"warnings": warnings}
