"""Maximum likelihood for the prior of a latent whose posterior stands still: on embeddings, no video is read here."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.training.optimizer import adamw, warmup_cosine
from videossl.training.refit_settings import FEWEST_VIDEOS, PriorRefit
from videossl.transition import Distribution
from videossl.transition.networks import start_anew
from videossl.transition.protocols import FittedByMatching, Standardised

FEWEST_KEPT_OUT = 16  # or a quarter
DRAWS_TO_JUDGE = 16
DRAWS_TO_STOP = 4
LOOK_EVERY_STEPS = 50
AVERAGE_OVER_STEPS = 100  # what is looked at is an exponential average of the weights of so many steps
LARGEST_GRADIENT = 1.0
WARMUP_STEPS = 50


class FittedLatent(Protocol):
    """A latent whose prior can be fitted.

    Attributes:
        latent_dim: R.
        prior_net: Context (..., D) -> distribution of r; None if it has no prior yet.
    """

    latent_dim: int
    prior_net: nn.Module | None

    def posterior(self, context: Tensor, future: Tensor, /) -> Distribution:
        """q(r | context, future); both (..., D) of unit norm."""
        ...


@dataclass(frozen=True)
class PriorFit:
    """What came of fitting a prior.

    Attributes:
        nats_before: Mean of `log q(r) - log p(r)` on pairs that were kept out of the fit, with the prior as it was: the
            KL of the latent, lower is better. None: there was no prior.
        nats_after: The same with the fitted prior.
        steps: Optimizer steps until the fitted prior was best.
        is_better: Whether the fitted prior is better, and the latent has it now; otherwise it is as it was.
        num_pairs: Pairs that were fitted on.
        num_kept_out: Pairs that were kept out.
        prior: Class of the fitted prior.
    """

    nats_before: float | None
    nats_after: float
    steps: int
    is_better: bool
    num_pairs: int
    num_kept_out: int
    prior: str

    def __str__(self) -> str:
        kept = "kept" if self.is_better else "dropped, the one before is kept"
        before = "there was none" if self.nats_before is None else f"{self.nats_before:.3f}"
        return (
            f"prior {self.prior}: {self.nats_after:.3f} nats on {self.num_kept_out} kept-out pairs after the fit, "
            f"{before} before (lower is better): {kept}"
        )


def fit_prior(
    latent: FittedLatent,
    contexts: Tensor,
    futures: Tensor,
    settings: PriorRefit | None = None,
    *,
    videos: Tensor | None = None,
    seed: int = 0,
) -> PriorFit:
    """Fit a prior to draws of the posterior: minimise `E_q [log q(r | c, f) - log p(r | c)]` over p alone.

    The encoder, the editor and the posterior stand still, so that what is sampled can only come nearer to what the
    editor was trained on. The prior that is kept, the old or the new one, is the better one on pairs of videos that
    were not fitted on.

    Args:
        latent: Its `prior_net` is replaced, if the new one is better.
        contexts: (n, D) of unit norm.
        futures: (n, D) of unit norm, what was seen after each context.
        settings: Which prior, and how it is fitted.
        videos: (n,) int64, the video of each pair: pairs of a video are fitted on or kept out together. None: each
            pair is from another.
        seed: Of the split, the weights and all draws.

    Returns:
        `PriorFit`.

    Raises:
        UsageError: Too few pairs, or shapes that do not fit.
    """
    settings = settings or PriorRefit()
    _check(contexts, futures, videos)
    fitted, judged = (
        (contexts[rows], futures[rows]) for rows in split_by_video(videos, len(contexts), settings.kept_out_share, seed)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = _start(latent, settings.prior, *fitted, seed)
        best, steps = _fitted(latent, start, fitted, judged, settings, seed=seed)
    old = latent.prior_net
    before = None if old is None else mean_nats(latent, old, *judged, seed=seed)
    after = mean_nats(latent, best, *judged, seed=seed)
    is_better = before is None or after < before
    if is_better:
        latent.prior_net = best.train(old.training if old is not None else False)
    return PriorFit(before, after, steps, is_better, len(fitted[0]), len(judged[0]), type(best).__name__)


@torch.no_grad()
def mean_nats(
    latent: FittedLatent, prior: nn.Module, contexts: Tensor, futures: Tensor, *, seed: int, draws: int = DRAWS_TO_JUDGE
) -> float:
    """KL of the latent with this prior: mean of `log q(r) - log p(r)`, over the same draws for every prior.

    Args:
        latent: Its posterior is drawn from.
        prior: Context -> distribution of r.
        contexts: (n, D) of unit norm.
        futures: (n, D) of unit norm.
        seed: Of the draws.
        draws: Of each pair.
    """
    generator = torch.Generator(contexts.device).manual_seed(seed)
    posterior = latent.posterior(contexts, futures)
    was_training = prior.training
    given = _distribution(prior.eval(), contexts)
    latents = [posterior.sample(generator) for _ in range(draws)]
    nats = torch.stack([posterior.log_prob(r) - given.log_prob(r) for r in latents]).mean()
    prior.train(was_training)
    return float(nats)


def _fitted(
    latent: FittedLatent,
    prior: nn.Module,
    fitted: tuple[Tensor, Tensor],
    judged: tuple[Tensor, Tensor],
    settings: PriorRefit,
    *,
    seed: int,
) -> tuple[nn.Module, int]:
    """The prior that was best on the judged pairs, and after how many steps that was."""
    if not list(prior.parameters()):  # the standard normal: there is nothing to fit
        return prior, 0
    contexts, futures = fitted
    generator = torch.Generator(contexts.device).manual_seed(seed)
    optimizer = adamw(prior, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    schedule = warmup_cosine(optimizer, warmup_steps=WARMUP_STEPS, max_steps=settings.max_steps)
    averaged = copy.deepcopy(prior).eval()
    best, best_nats, best_step = averaged, math.inf, 0
    size = (min(settings.batch_size, len(contexts)),)
    for step in range(1, settings.max_steps + 1):
        rows = torch.randint(len(contexts), size, generator=generator, device=contexts.device)
        with torch.no_grad():
            r = latent.posterior(contexts[rows], futures[rows]).sample(generator)
            seen = _disturbed(contexts[rows], settings.context_noise, generator)
        prior.train()
        loss = _loss(prior, seen, r, generator)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(prior.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        _follow(averaged, prior, share=1 / min(step, AVERAGE_OVER_STEPS))
        if step % LOOK_EVERY_STEPS == 0 or step == settings.max_steps:
            nats = mean_nats(latent, averaged, *judged, seed=seed + 1, draws=DRAWS_TO_STOP)
            if nats < best_nats:
                best, best_nats, best_step = copy.deepcopy(averaged), nats, step
            elif step - best_step >= settings.patience_steps:
                break
    return best, best_step


def _distribution(prior: nn.Module, contexts: Tensor) -> Distribution:
    distribution: Distribution = prior(contexts)
    return distribution


def _loss(prior: nn.Module, contexts: Tensor, latent: Tensor, generator: torch.Generator) -> Tensor:
    """What is minimised: the negative log-likelihood, or what a prior has in its place that is cheaper."""
    if isinstance(prior, FittedByMatching):
        return prior.matching_loss(contexts, latent, generator).mean()
    return -_distribution(prior, contexts).log_prob(latent).mean()


def _disturbed(contexts: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Contexts (n, D) of unit norm with noise of this length, of unit norm again."""
    noise = torch.empty_like(contexts).normal_(generator=generator)
    return F.normalize(contexts + length / math.sqrt(contexts.shape[1]) * noise, dim=-1)


@torch.no_grad()
def _follow(averaged: nn.Module, module: nn.Module, *, share: float) -> None:
    for old, new in zip(averaged.parameters(), module.parameters(), strict=True):
        old.lerp_(new, share)


def _start(
    latent: FittedLatent, prior: Callable[[int, int], nn.Module] | None, contexts: Tensor, futures: Tensor, seed: int
) -> nn.Module:
    """The prior that is fitted, as it starts."""
    if prior is None:
        if latent.prior_net is None:
            raise UsageError(f"a {type(latent).__name__} has no prior to go on with. Say which one to fit.")
        return copy.deepcopy(latent.prior_net).requires_grad_()
    made = prior(contexts.shape[1], latent.latent_dim).to(contexts)
    start_anew(made)
    if isinstance(made, Standardised):
        generator = torch.Generator(contexts.device).manual_seed(seed)
        with torch.no_grad():
            made.standardise(latent.posterior(contexts, futures).sample(generator))
    return made


def split_by_video(videos: Tensor | None, num_pairs: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to fit on, and rows to keep out; no video is in both."""
    of_rows = torch.arange(num_pairs) if videos is None else videos.cpu()
    distinct = torch.unique(of_rows)
    shuffled = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))]
    # Of few videos a share is too few to judge by.
    num_out = max(round(share * len(distinct)), min(FEWEST_KEPT_OUT, len(distinct) // 4))
    is_out = torch.isin(of_rows, shuffled[:num_out])
    return (~is_out).nonzero().flatten(), is_out.nonzero().flatten()


def _check(contexts: Tensor, futures: Tensor, videos: Tensor | None) -> None:
    if contexts.ndim != 2 or contexts.shape != futures.shape or (videos is not None and len(videos) != len(contexts)):
        raise UsageError(
            f"expected contexts and futures (n, D) and videos (n,), got {tuple(contexts.shape)}, "
            f"{tuple(futures.shape)} and {None if videos is None else tuple(videos.shape)}."
        )
    num_videos = len(contexts) if videos is None else len(torch.unique(videos))
    if num_videos < FEWEST_VIDEOS:
        raise UsageError(
            f"expected pairs of at least {FEWEST_VIDEOS} videos to fit a prior on, got {num_videos}. Give more videos."
        )
