"""AdaSSL: an objective on edited anchors plus the price of the latent that edits them (arXiv:2602.02381).

`I(f(x); f(x+)) = I(f(x), r; f(x+)) - I(r; f(x+) | f(x))`: the first term is bounded by a contrastive objective on
the edited embedding, the second by `KL(q(r | x, x+) || p(r | x))`.
Shapes: V views, B videos, D embedding, R latent, P ordered pairs of the view graph.
Not here: the networks (models/); they come in as anything with the methods below.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.base import Loss, MultiViewObjective
from videossl.objectives.beta import Beta
from videossl.objectives.collapse import ACTIVE_NATS
from videossl.objectives.contrast import at_least_float32, unit
from videossl.objectives.latent import gaussian_sample, kl_per_dimension
from videossl.objectives.view_graph import ViewGraph, take


class Gaussian(Protocol):
    """A diagonal Gaussian: mean and log_variance, (..., R) each."""

    @property
    def mean(self) -> Tensor:
        """(..., R)."""
        ...

    @property
    def log_variance(self) -> Tensor:
        """(..., R)."""
        ...


class Latent(Protocol):
    """Posterior and prior of the latent r."""

    def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
        """q(r | context, future); both (..., D)."""
        ...

    def prior(self, context: Tensor) -> Gaussian:
        """p(r | context); context (..., D)."""
        ...


class Editor(Protocol):
    """t(e, r): moves a context embedding to the predicted future embedding."""

    def __call__(self, state: Tensor, latent: Tensor | None, /) -> Tensor:
        """state (..., D), latent (..., R) or None -> (..., D), any scale."""
        ...


class AdaSSL(nn.Module):
    """`objective(edited anchors) + mean_P beta[p] * KL[p]`, with one latent for every pair of the view graph.

    For every pair (l, m): `r[l>m] ~ q(r | u[l], u[m])`, `p[l>m] = t(u[l], r[l>m])`, and the objective contrasts
    p[l>m] with u[m]. KL is summed over R and averaged over videos. With an editor that is the identity and beta = 0
    it is the objective itself. Without a latent the editor alone predicts and there is no penalty: the
    deterministic twin.

    Terms, beside the objective's: `objective`, and with a latent `penalty`, `kl_nats`, `kl_nats_per_pair` (P,),
    `beta`, `beta_per_pair` (P,), `active_units` (coordinates of r whose KL, averaged over videos and pairs, is above
    0.01 nats).

    Args:
        objective: What the edited anchors are trained by; its view graph is used.
        latent: Posterior and prior, or None for the deterministic twin.
        editor: Moves the context to the future.
        beta: Weight of the KL; needed if there is a latent. Updated in training mode only.
        normalise: Whether latent and editor see embeddings of unit norm (as the world model does), or the raw ones
            (as the authors' code does).
    """

    def __init__(
        self,
        objective: MultiViewObjective,
        latent: Latent | None,
        editor: Editor,
        beta: Beta | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if latent is not None and beta is None:
            raise UsageError(
                "a latent needs a price, got beta=None. Give InformationBudget(nats=...) or FixedBeta(...)."
            )
        self.objective = objective
        self.latent = latent
        self.editor = editor
        self.beta = beta
        self.normalise = normalise

    def forward(
        self,
        embeddings: Tensor,
        inference: Tensor | None = None,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Loss:
        """Predict every pair's target from its anchor and a draw of r, and score the predictions.

        Args:
            embeddings: (V, B, D), raw.
            inference: (V, B, D), raw: second augmentations of the views. The posterior reads the future from them,
                which keeps pixel noise out of r; they are no targets. None: the views themselves.
            noise: (P, B, R) standard normal for r; None: drawn here.
            generator: Where the noise comes from if it is drawn here, on the device of the embeddings.

        Returns:
            The loss in nats.

        Raises:
            UsageError: Wrong shapes, or what the objective refuses.
        """
        if embeddings.ndim != 3 or (inference is not None and inference.shape != embeddings.shape):
            got = "" if inference is None else f" and inference {tuple(inference.shape)}"
            raise UsageError(
                f"expected embeddings of shape (V, B, D), inference alike, got {tuple(embeddings.shape)}{got}."
            )
        graph = ViewGraph.of(self.objective.graph, embeddings.shape[0])
        states = self._states(embeddings)
        contexts = graph.anchors(states)  # (P, B, D)
        if self.latent is None or self.beta is None:
            loss = self.objective(embeddings, self.editor(contexts, None))
            return Loss(loss.total, {**loss.terms, "objective": loss.total.detach()})

        futures = graph.targets(states if inference is None else self._states(inference))
        posterior = self.latent.posterior(contexts, futures)
        prior = self.latent.prior(take(states, graph.anchor_views))  # once an anchor, not once a pair
        kl = kl_per_dimension(
            (posterior.mean, posterior.log_variance),
            (take(prior.mean, graph.anchor_rows), take(prior.log_variance, graph.anchor_rows)),
        )  # (P, B, R)
        latent = gaussian_sample(posterior.mean, posterior.log_variance, noise=noise, generator=generator)
        loss = self.objective(embeddings, self.editor(contexts, latent))

        kl_per_pair = kl.sum(-1).mean(-1)
        weights = self.beta.weights(len(graph), kl_per_pair.dtype)
        penalty = (weights * kl_per_pair).mean()
        terms = {
            "objective": loss.total.detach(),
            "penalty": penalty.detach(),
            "kl_nats": kl_per_pair.detach().mean(),
            "kl_nats_per_pair": kl_per_pair.detach(),
            "beta": weights.mean(),
            "beta_per_pair": weights,
            "active_units": (kl.detach().mean((0, 1)) > ACTIVE_NATS).sum().to(kl.dtype),
        }
        if self.training:
            self.beta.update(kl_per_pair.detach())
        return Loss(loss.total + penalty, {**loss.terms, **terms})

    def _states(self, embeddings: Tensor) -> Tensor:
        return unit(embeddings) if self.normalise else at_least_float32(embeddings)
