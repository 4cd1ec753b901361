"""What the distributions of a latent say, Gaussian or not: draws, the innovation, and the KL between them."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from videossl.evaluation.check_model import check_returned
from videossl.evaluation.protocol import Distribution, ExactKL, FutureModel, Gaussian, device_of

DRAWS_FOR_KL = 16
SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Latents:
    """The latent of n contexts and their futures, on the CPU.

    Attributes:
        sample: (n, R), one draw of the posterior, which has seen the future.
        innovation: (n, R), (posterior mean - prior mean) / prior deviation: what the future told that the context did
            not.
        kl: (n,) nats, KL of posterior and prior; exact where both are Gaussian, or of one kind that says it (codes),
            else its estimate from 16 draws, which can be below zero.
        kl_per_unit: (n, R) the same by coordinate; None where they are not Gaussian.
    """

    sample: Tensor
    innovation: Tensor
    kl: Tensor
    kl_per_unit: Tensor | None

    @property
    def mean_kl(self) -> float:
        """Mean over contexts, nats; zero where the estimate is below, as no KL is."""
        return max(float(self.kl.mean()), 0.0)


def kl_per_unit(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """KL divergence of diagonal Gaussians in nats, for each coordinate: four times (n, R) -> (n, R)."""
    log_ratio = log_variance - prior_log_variance
    return 0.5 * (log_ratio.exp() + (mean - prior_mean).square() / prior_log_variance.exp() - 1 - log_ratio)


@torch.inference_mode()
def latents(model: FutureModel, states: Tensor, futures: Tensor, *, seed: int) -> Latents:
    """Ask a model with a latent for r of states (n, D) and their futures (n, D).

    Args:
        model: With a latent.
        states: Of contexts.
        futures: Of what followed.
        seed: Of the draws.

    Raises:
        UsageError: Distributions of other shapes.
        WorkError: NaN or infinity in them.
    """
    found = _asked(model, states, futures, seed=seed)
    num_units = found.sample.shape[-1]
    for what, given in (("a draw of r", found.sample), ("the innovation of r", found.innovation)):
        check_returned(f"latent_distributions: {what}", given, {"B": len(states), "R": num_units})
    check_returned("latent_distributions: the KL, summed over r", found.kl, {"B": len(states)})
    return found


def _asked(model: FutureModel, states: Tensor, futures: Tensor, *, seed: int) -> Latents:
    device = device_of(model)
    posterior, prior = model.latent_distributions(states.to(device), futures.to(device))
    generator = torch.Generator(device=device).manual_seed(seed)
    innovation = (posterior.mean - prior.mean) / _deviation(prior)
    sample = _draw(posterior, generator)
    if _is_gaussian(posterior) and _is_gaussian(prior):
        q, p = cast("Gaussian", posterior), cast("Gaussian", prior)
        each = kl_per_unit(*(part.float() for part in (q.mean, q.log_variance, p.mean, p.log_variance)))
        return Latents(sample.float().cpu(), innovation.float().cpu(), each.sum(dim=-1).cpu(), each.cpu())
    if type(posterior) is type(prior) and isinstance(posterior, ExactKL):
        return Latents(sample.float().cpu(), innovation.float().cpu(), posterior.kl(prior).float().cpu(), None)
    q_density, p_density = cast("Distribution", posterior), cast("Distribution", prior)
    kl = torch.zeros(len(states), device=device, dtype=torch.float64)
    for _ in range(DRAWS_FOR_KL):
        drawn = q_density.sample(generator)
        kl += (q_density.log_prob(drawn) - p_density.log_prob(drawn)).double() / DRAWS_FOR_KL
    return Latents(sample.float().cpu(), innovation.float().cpu(), kl.float().cpu(), None)


def _is_gaussian(distribution: Gaussian | Distribution) -> bool:
    return hasattr(distribution, "log_variance")


def _deviation(distribution: Gaussian | Distribution) -> Tensor:
    """(n, R) standard deviation of each coordinate."""
    if _is_gaussian(distribution):
        return torch.exp(0.5 * cast("Gaussian", distribution).log_variance)
    return cast("Distribution", distribution).variance.sqrt().clamp_min(SMALLEST_STD)


def _draw(distribution: Gaussian | Distribution, generator: torch.Generator) -> Tensor:
    if not _is_gaussian(distribution):
        return cast("Distribution", distribution).sample(generator)
    mean = distribution.mean
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + noise * _deviation(distribution)
