"""The prior of a trained model, fitted once more on the videos that it was trained on."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from videossl.data import Augment, MultiCrop, VideoViews
from videossl.errors import UsageError
from videossl.models import SparseGate, WorldModel
from videossl.training.embedded_pairs import Pairs, embedded_pairs
from videossl.training.loaders import view_batches
from videossl.training.prior_fit import FittedLatent, PriorFit, fit_prior
from videossl.training.refit_settings import FEWEST_VIDEOS, PriorRefit, TransitionRefit
from videossl.training.suited_prior import SparseFit, suited_prior


class Refit(NamedTuple):
    """A fit, and which prior the model has now.

    Attributes:
        fit: What came of it.
        prior: class_path and init_args, where the model has a prior of another class than before.
    """

    fit: PriorFit
    prior: Mapping[str, Any] | None


def refit_prior(
    model: WorldModel,
    augment: Augment | MultiCrop,
    views: VideoViews,
    settings: PriorRefit,
    *,
    named: Mapping[str, Any] | None,
    batch_size: int,
    num_workers: int,
    seed: int,
    pairs: Pairs | None = None,
) -> Refit:
    """Embed the training videos, and fit the prior of the model on them.

    The concentration of the model's density belongs to its prior: fit it again afterwards.

    Args:
        model: Trained; its encoder, editor and posterior stay as they are.
        augment: Of the training; views are resized only.
        views: Of the videos to train on, never of held-out ones.
        settings: Which prior, and how it is fitted.
        named: class_path and init_args of the prior in `settings`, if there is one.
        batch_size: Videos that are encoded at once.
        num_workers: Loader processes.
        seed: Of which clips are cut, and of the fit.
        pairs: What `pairs_of_videos` gave, if it has been asked already.

    Raises:
        UsageError: No prior to fit, single views, or too few videos.
    """
    prior, named = suited_prior(model.latent, settings.prior, named)
    if views.planner.num_views < 2:
        raise UsageError("a prior is fitted to what followed each clip, and there are single views of each video.")
    if pairs is None:
        pairs = pairs_of_videos(
            model, augment, views, settings, batch_size=batch_size, num_workers=num_workers, seed=seed
        )
    latent = SparseFit(model.latent) if isinstance(model.latent, SparseGate) else model.latent
    assert latent is not None  # it has been looked at; for the type checker
    settings = replace(settings, prior=prior)
    fit = fit_prior(
        cast("FittedLatent", latent), pairs.contexts, pairs.futures, settings, videos=pairs.videos, seed=seed
    )
    return Refit(fit, named if fit.is_better else None)


def can_refit(model: WorldModel, views: VideoViews) -> bool:
    """Whether there is a prior, what to fit it to, and enough of it."""
    return model.latent is not None and has_pairs(views)


def has_pairs(views: VideoViews) -> bool:
    """Whether there are contexts with what came after them, and enough of them."""
    return views.planner.num_views > 1 and len(views) >= FEWEST_VIDEOS


def pairs_of_videos(
    model: WorldModel,
    augment: Augment | MultiCrop,
    views: VideoViews,
    settings: PriorRefit | TransitionRefit,
    *,
    batch_size: int,
    num_workers: int,
    seed: int,
) -> Pairs:
    """What a fit is made on: `settings.num_draws` clips of each of the videos, `settings.max_videos` at most."""
    numbers = list(_different_clips(views, settings, seed))
    return embedded_pairs(
        model, augment, view_batches(views, batch_size=batch_size, numbers=numbers, num_workers=num_workers)
    )


def _different_clips(views: VideoViews, settings: PriorRefit | TransitionRefit, seed: int) -> Iterator[int]:
    """Sample numbers: several draws of every video, fewer of those that are too short to be cut in several ways."""
    rows = list(range(len(views)))
    if len(rows) > settings.max_videos:
        rows = sorted(random.Random(seed).sample(rows, settings.max_videos))
    for row in rows:
        seconds = views.videos[row].seconds
        seen = set()
        for epoch in range(settings.num_draws):
            frames = views.planner.plan(seconds, epoch=views.epoch + epoch, sample=row, seed=views.seed).frames
            if frames.tobytes() not in seen:
                seen.add(frames.tobytes())
                yield epoch * len(views) + row
