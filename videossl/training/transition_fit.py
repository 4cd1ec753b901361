"""The transition of a model whose encoder stands still, trained on: on embeddings, no video is read here."""

import copy
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from videossl.objectives import AdaSSL, Beta, InformationBudget
from videossl.training.embedded_pairs import Pairs
from videossl.training.optimizer import adamw, warmup_cosine
from videossl.training.prior_fit import FittedLatent, fit_prior, split_by_video
from videossl.training.refit_settings import PriorRefit, TransitionRefit
from videossl.training.whitening import unwhiten, whiten_inputs
from videossl.transition import SharedMixturePrior

LARGEST_GRADIENT = 1.0
WARMUP_STEPS = 50
LOOKS = 5  # states on the way that are kept, the last among them
MOST_JUDGED = 1024  # pairs at once, as all of a batch are compared with each other


@dataclass(frozen=True)
class TransitionFit:
    """What came of training the transition on.

    Attributes:
        before: Loss on pairs of videos that were kept out of the fit, with the transition as it was and the prior that
            was trained along: the objective and the price of r, both at the beta that the fit ended with. Lower is
            better.
        after: The same afterwards.
        is_better: Whether it is better, and the model has it now; otherwise latent and editor are as they were.
        step: After how many steps it was so: the last one, or, where the end is no better than the beginning (a prior
            that is trained along can learn its contexts by heart), the best of a few on the way.
        num_pairs: Pairs that were fitted on.
        num_kept_out: Pairs that were kept out.
        shared: What came of the shared stage before it; None: there was none.
        has_new_prior: Whether the latent has the prior that was to be trained along, at least as it was fitted before;
            None: none was. False: it foresaw r no better than the one of the training, which then was trained along.
    """

    before: float
    after: float
    is_better: bool
    num_pairs: int
    num_kept_out: int
    step: int
    has_new_prior: bool | None = None
    shared: "TransitionFit | None" = None

    def __str__(self) -> str:
        kept = "kept" if self.is_better else "dropped, the one before is kept"
        prior = ""
        if self.has_new_prior is False:
            prior = "; the prior to be trained along foresaw r no better than the old one, and was left out"
        elif self.has_new_prior and not self.is_better:
            prior = "; the prior that was fitted to it stays"
        first = "" if self.shared is None else f"{self.shared}, with a prior that all contexts share\n"
        return (
            f"{first}transition: loss {self.after:.3f} on {self.num_kept_out} kept-out pairs after {self.step:,} "
            f"steps, {self.before:.3f} before (lower is better): {kept}{prior}"
        )


def fit_transition(trained: AdaSSL, pairs: Pairs, settings: TransitionRefit, *, seed: int) -> TransitionFit:
    """Train the latent and the editor of `trained` on embeddings that stand still; they are changed in place.

    A prior that is to be trained along (`settings.prior`) is fitted to the latent as it is first, and stays so where
    training on makes nothing better. A shared stage (`settings.shared`) comes before all that, is judged by itself, and
    leaves the prior as it was.

    An encoder that has just learned to tell positions apart gives its transition little time to follow. Frozen, its
    embeddings of all videos fit into memory and nothing is encoded: batches are larger, so negatives are harder, and
    the targets do not move any more. Networks see them whitened, see `whitening`.

    Args:
        trained: The objective of the training on its latent and editor.
        pairs: Of the videos that were trained on.
        settings: How.
        seed: Of the split, the batches and the draws of r.
    """
    shared = _fit_shared(trained, pairs, settings, seed=seed)
    single = of_single_steps(trained, settings.nats)
    fitted, judged = split_by_video(pairs.videos, len(pairs.contexts), settings.kept_out_share, seed)
    views = torch.stack([pairs.contexts, pairs.futures])  # (2, n, D)
    has_new_prior = _start_prior(single, pairs, settings, seed)
    learning = nn.ModuleList(part for part in (single.editor, single.latent) if isinstance(part, nn.Module))
    before = copy.deepcopy(learning.state_dict())
    mode = learning.training
    for part in learning:
        whiten_inputs(part, pairs.contexts[fitted], pairs.futures[fitted])
    single.train()
    try:
        states = _learn(single, learning, views, fitted, settings, seed)
    finally:
        for part in learning:
            unwhiten(part)
    single.eval()

    def loss_of(state: dict[str, Tensor]) -> float:
        learning.load_state_dict(state)
        return _judged(single, views[:, judged], seed)

    before_loss = loss_of(before)
    step = settings.max_steps
    after_loss = loss_of(states[step])
    if not after_loss < before_loss:
        losses = {number: loss_of(state) for number, state in states.items()}
        step = min(losses, key=lambda number: (math.isnan(losses[number]), losses[number]))
        after_loss = losses[step]
    is_better = after_loss < before_loss
    learning.load_state_dict(states[step] if is_better else before)
    learning.train(mode)
    return TransitionFit(before_loss, after_loss, is_better, len(fitted), len(judged), step, has_new_prior, shared)


def _fit_shared(trained: AdaSSL, pairs: Pairs, settings: TransitionRefit, *, seed: int) -> TransitionFit | None:
    """Train latent and editor with one mixture of all contexts in the place of the prior, if that is asked for."""
    stage = settings.shared
    if stage is None:
        return None
    latent = cast("FittedLatent", trained.latent)
    prior = latent.prior_net
    alike = replace(
        settings,
        prior=partial(SharedMixturePrior, num_components=stage.num_components),
        max_steps=stage.max_steps,
        nats=settings.nats if stage.nats is None else stage.nats,
        shared=None,
    )
    latent.prior_net = None  # so that the mixture takes its place, even where a prior of each context foresees r better
    try:
        return fit_transition(trained, pairs, alike, seed=seed)
    finally:
        latent.prior_net = prior


def _learn(
    objective: AdaSSL, learning: nn.ModuleList, views: Tensor, fitted: Tensor, settings: TransitionRefit, seed: int
) -> dict[int, dict[str, Tensor]]:
    """Minimise the objective over `learning`, on the fitted rows of views (2, n, D); its states by step, unwhitened."""
    states = {}
    kept = {settings.max_steps * look // LOOKS for look in range(1, LOOKS + 1)}
    optimizer = adamw(learning, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    schedule = warmup_cosine(optimizer, warmup_steps=WARMUP_STEPS, max_steps=settings.max_steps)
    generator = torch.Generator(views.device).manual_seed(seed)
    fitted = fitted.to(views.device)
    size = (min(settings.batch_size, len(fitted)),)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        for step in range(1, settings.max_steps + 1):
            rows = fitted[torch.randint(len(fitted), size, generator=generator, device=views.device)]
            loss = objective(views[:, rows], generator=generator).total
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning.parameters(), LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            if step in kept:
                states[step] = _unwhitened(learning)
    return states


def _unwhitened(learning: nn.ModuleList) -> dict[str, Tensor]:
    found = copy.deepcopy(learning)
    for part in found:
        unwhiten(part)
    return found.state_dict()


def _start_prior(objective: AdaSSL, pairs: Pairs, settings: TransitionRefit, seed: int) -> bool | None:
    """Give the latent the prior that is to be trained along, if any, fitted to r as it is; whether it has it now."""
    if settings.prior is None:
        return None
    fit = fit_prior(
        cast("FittedLatent", objective.latent),
        pairs.contexts,
        pairs.futures,
        PriorRefit(
            settings.prior, settings.kept_out_share, max_steps=settings.max_steps, batch_size=settings.batch_size
        ),
        videos=pairs.videos,
        seed=seed,
    )
    return fit.is_better


@torch.no_grad()
def _judged(objective: AdaSSL, views: Tensor, seed: int) -> float:
    """Mean loss of batches of (2, n, D), with the same draws each time."""
    generator = torch.Generator(views.device).manual_seed(seed)
    batches = views.tensor_split(max(1, -(-views.shape[1] // MOST_JUDGED)), dim=1)
    losses = torch.stack([objective(batch, generator=generator).total for batch in batches])
    sizes = losses.new_tensor([batch.shape[1] for batch in batches])
    return float((losses * sizes).sum() / sizes.sum())


def of_single_steps(trained: AdaSSL, nats: float | None) -> AdaSSL:
    """The same objective on the same latent and editor, for two views: contexts and what came after them.

    Args:
        trained: What is trained; its objective and its beta are copied.
        nats: Budget of r where an `InformationBudget` holds it; None: that of the training.
    """
    objective = copy.deepcopy(trained.objective).requires_grad_(False)
    objective.graph = "all" if objective.graph == "all" else "forward"
    num_pairs = 2 if objective.graph == "all" else 1
    return AdaSSL(
        objective,
        trained.latent,
        trained.editor,
        None if trained.beta is None else _of_pairs(trained.beta, num_pairs, nats),
        normalise=trained.normalise,
        free_nats=trained.free_nats,
        kl_balance=trained.kl_balance,
    )


def _of_pairs(beta: Beta, num_pairs: int, nats: float | None) -> Beta:
    """Where the training ended; a controller of other pairs starts from their mean."""
    beta = copy.deepcopy(beta)
    if isinstance(beta, InformationBudget):
        beta.nats = beta.nats if nats is None else nats
        if len(beta.log_beta) not in (0, num_pairs):
            beta.log_beta = beta.log_beta.mean().repeat(num_pairs)
    return beta
