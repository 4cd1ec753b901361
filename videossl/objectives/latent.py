"""A latent at work in an objective: r for every pair of the view graph, and what it costs.

Shapes: P ordered pairs of the view graph, A views that are an anchor of some pair, B videos, D embedding, R latent.
"""

from typing import NamedTuple, TypeGuard, cast

import torch
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.collapse import ACTIVE_NATS
from videossl.objectives.present import mean_along
from videossl.objectives.view_graph import ViewGraph, take
from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.distributions import expected_open_gates, gate_sample, gaussian_sample, kl_per_dimension
from videossl.transition.precision import at_least_float32
from videossl.transition.protocols import Distribution, Gaussian, SparseLatent, VariationalLatent
from videossl.transition.sparse import VALUE_WIDTH


class Inferred(NamedTuple):
    """r of every pair, and its price.

    Attributes:
        latent: (P, B, R), drawn.
        charged: (P,), with gradients: what beta is multiplied with. Nats, or expected open gates.
        measured: (P,), detached: what the controller of beta holds at its budget. The same without free nats.
        terms: For logging, detached.
        learned: (), what is added to the loss beside what is charged; None: nothing.
    """

    latent: Tensor
    charged: Tensor
    measured: Tensor
    terms: dict[str, Tensor]
    learned: Tensor | None = None


def infer_variational(
    latent: VariationalLatent,
    anchors: Tensor,
    contexts: Tensor,
    futures: Tensor,
    graph: ViewGraph,
    *,
    free_nats: float = 0.0,
    kl_balance: float | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    present: Tensor | None = None,
) -> Inferred:
    """r ~ q(r | context, future); it costs KL(q || p), summed over R, averaged over videos.

    Of two Gaussians the KL is exact. Of other distributions it is estimated at the very r that is drawn, see
    `estimated_kl`; it then has no coordinates, so free nats are `R * free_nats` of the whole, and `active_units` is not
    among the terms.

    Args:
        latent: Posterior and prior.
        anchors: (A, B, D), states of `graph.anchor_views`: the prior is asked once an anchor, not once a pair.
        contexts: (P, B, D), states of every pair's anchor.
        futures: (P, B, D), states that the posterior reads.
        graph: The pairs.
        free_nats: Nats of every coordinate of every pair that are free; see `free_bits`.
        kl_balance: Share of the gradient that goes to the prior; see `balanced_kl`. None: both get all of theirs.
        noise: (P, B, R) standard normal; None: drawn here.
        generator: Where the noise comes from if it is drawn here.
        present: (P, B) bool: the cost is the mean over videos of which both views are there. None: all are.
    """
    posterior, prior = latent.posterior(contexts, futures), latent.prior(anchors)
    if _is_gaussian(posterior) and _is_gaussian(prior):
        q = (posterior.mean, posterior.log_variance)
        p = (take(prior.mean, graph.anchor_rows), take(prior.log_variance, graph.anchor_rows))
        drawn = _gaussian_draw(posterior, noise, generator)
        each = kl_per_dimension(q, p) if kl_balance is None else balanced_kl(q, p, kl_balance)  # (P, B, R)
    else:
        drawn = _draw(posterior, noise, generator)
        of_pairs = prior if graph.anchor_rows == tuple(range(len(graph))) else latent.prior(contexts)
        each = estimated_kl(_distribution(posterior), _distribution(of_pairs), drawn, kl_balance)[
            ..., None
        ]  # (P, B, 1)
        free_nats = free_nats * drawn.shape[-1]
    kl = mean_along(1, each, None if present is None else present[..., None])  # (P, R) or (P, 1)
    measured = kl.detach().sum(-1)
    terms = {"kl_nats": measured.mean(), "kl_nats_per_pair": measured}
    if each.shape == drawn.shape:
        terms["active_units"] = (kl.detach().mean(0) > ACTIVE_NATS).sum().to(kl.dtype)
    return Inferred(drawn, free_bits(kl, free_nats).sum(-1), measured, terms)


def _draw(posterior: Gaussian | Distribution, noise: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """r (P, B, R), with gradients to the posterior."""
    if _is_gaussian(posterior):
        return _gaussian_draw(posterior, noise, generator)
    if noise is not None:
        raise UsageError(
            f"expected no noise for a posterior that is no Gaussian, got it for a {type(posterior).__name__}. "
            "Give a generator."
        )
    return cast("Distribution", posterior).sample(generator)


def _gaussian_draw(posterior: Gaussian, noise: Tensor | None, generator: torch.Generator | None) -> Tensor:
    _check_noise(noise, posterior.mean)
    return gaussian_sample(posterior.mean, posterior.log_variance, noise=noise, generator=generator)


def _is_gaussian(distribution: Gaussian | Distribution) -> TypeGuard[Gaussian]:
    # Not isinstance, which reads all properties of a protocol before Python 3.12: the moments of a flow are a hundred
    # draws of it.
    return hasattr(distribution, "log_variance")


def _distribution(distribution: Gaussian | Distribution) -> Distribution:
    """The same with a density, where other people's Gaussian has only its two parameters."""
    if not hasattr(distribution, "log_prob") and _is_gaussian(distribution):
        return DiagonalGaussian(distribution.mean, distribution.log_variance)
    return cast("Distribution", distribution)


def infer_sparse(
    latent: SparseLatent,
    contexts: Tensor,
    futures: Tensor,
    *,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    present: Tensor | None = None,
) -> Inferred:
    """r = gate * value with gates drawn straight through; it costs the expected number of open gates.

    Where the latent has a prior (`prior_net`), that learns r by its likelihood; term `prior_nats`.

    Args:
        latent: Gates and values.
        contexts: (P, B, D), states of every pair's anchor.
        futures: (P, B, D), states that the gates are inferred from.
        noise: (P, B, R) uniform in [0, 1]; None: drawn here.
        generator: Where the noise comes from if it is drawn here.
        present: (P, B) bool: the cost is the mean over videos of which both views are there. None: all are.
    """
    gates = latent.gates(contexts, futures)
    _check_noise(noise, gates.logits)
    drawn = gate_sample(gates.logits, noise=noise, generator=generator) * at_least_float32(gates.values)
    open_gates = mean_along(1, expected_open_gates(gates.logits), present)  # (P,)
    measured = open_gates.detach()
    terms = {"open_gates": measured.mean(), "open_gates_per_pair": measured}
    prior_net = getattr(latent, "prior_net", None)
    if prior_net is None:
        return Inferred(drawn, open_gates, measured, terms)
    # The prior learns what was inferred, and nothing learns from the prior: r costs its open gates, as published.
    wide = drawn.detach() + VALUE_WIDTH * (drawn.detach() != 0) * torch.empty_like(drawn).normal_(generator=generator)
    nats = mean_along(1, -prior_net(contexts.detach()).log_prob(wide), present).mean()
    return Inferred(drawn, open_gates, measured, terms | {"prior_nats": nats.detach()}, nats)


def _check_noise(noise: Tensor | None, like: Tensor) -> None:
    if noise is not None and noise.shape != like.shape:
        raise UsageError(f"expected noise of shape (P, B, R) = {tuple(like.shape)}, got {tuple(noise.shape)}.")


def balanced_kl(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor], share: float) -> Tensor:
    """`share * KL(sg(q) || p) + (1 - share) * KL(q || sg(p))`, sg stopping the gradient (DreamerV2, arXiv:2010.02193).

    The value is KL(q || p) whatever the share. The prior gets `share` times the gradient that KL(q || p) gives it, the
    posterior `1 - share` times: with 0.5 both get half, with 0.8 (theirs) the prior moves to the posterior four times
    as willingly as the posterior to the prior.

    Args:
        posterior: (mean, log_variance), (..., R) each.
        prior: (mean, log_variance), (..., R) each.
        share: Of the gradient that goes to the prior, in [0, 1].

    Returns:
        Tensor of shape (..., R), in nats.
    """
    # One KL of both, their gradients scaled on the way back, is that sum: its two terms have the same value.
    q_mean, q_log_variance = (torch.lerp(part.detach(), part, 1 - share) for part in posterior)
    p_mean, p_log_variance = (torch.lerp(part.detach(), part, share) for part in prior)
    return kl_per_dimension((q_mean, q_log_variance), (p_mean, p_log_variance))


def estimated_kl(posterior: Distribution, prior: Distribution, latent: Tensor, share: float | None = None) -> Tensor:
    """`log q(r) - log p(r)` at one r ~ q: unbiased for KL(q || p), and so is its gradient if r is reparameterised.

    Where q and p are close, the noise of the two terms cancels; a single value can be negative.

    Args:
        posterior: q.
        prior: p.
        latent: (..., R), drawn from q, with gradients to it.
        share: Of the gradient that goes to the prior, in [0, 1], as in `balanced_kl`: the rest goes to q, both by its
            density and by r. None: both get all of theirs.

    Returns:
        Tensor of shape (...), in nats.
    """
    if share is None:
        return posterior.log_prob(latent) - prior.log_prob(latent)
    # All that goes through p is scaled by `share`, which for r is undone again before it comes to p.
    to_prior = max(share, 1e-6)  # so that it can be undone; a millionth of the gradient is none
    scaled = _with_gradient_times(latent, (1 - share) / to_prior)
    from_posterior = _with_gradient_times(posterior.log_prob(latent), 1 - share)
    return from_posterior - _with_gradient_times(prior.log_prob(scaled), to_prior)


def _with_gradient_times(values: Tensor, factor: float) -> Tensor:
    """The same values; what comes back to them is `factor` times the gradient."""
    return values.detach() + factor * (values - values.detach())


def free_bits(kl: Tensor, free_nats: float) -> Tensor:
    """`max(free_nats, KL)` of every coordinate: less than that gains nothing (free bits, arXiv:1606.04934, eq. 15).

    Args:
        kl: (..., R), in nats, averaged over the batch already (so a coordinate is free on average, not for each video).
        free_nats: >= 0. What is free is in the value, as a constant: 0 changes nothing.

    Returns:
        Tensor of shape (..., R); zero gradient where kl < free_nats.
    """
    return kl.clamp(min=free_nats) if free_nats > 0 else kl
