"""The prior of a trained model, fitted once more on the videos that it was trained on."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from videossl.data import Augment, MultiCrop, VideoViews
from videossl.errors import UsageError
from videossl.models import SparseGate, WorldModel
from videossl.training.embedded_pairs import embedded_pairs
from videossl.training.loaders import view_batches
from videossl.training.prior_fit import FEWEST_VIDEOS, FittedLatent, PriorFit, fit_prior
from videossl.training.refit_settings import PriorRefit
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
) -> Refit:
    """Embed the training videos once, and fit the prior of the model on them.

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

    Raises:
        UsageError: No prior to fit, single views, or too few videos.
    """
    prior, named = suited_prior(model.latent, settings.prior, named)
    if views.planner.num_views < 2:
        raise UsageError("a prior is fitted to what followed each clip, and there are single views of each video.")
    numbers = list(_different_clips(views, settings, seed))
    batches = view_batches(views, batch_size=batch_size, numbers=numbers, num_workers=num_workers)
    pairs = embedded_pairs(model, augment, batches)
    latent = SparseFit(model.latent) if isinstance(model.latent, SparseGate) else model.latent
    assert latent is not None  # it has been looked at; for the type checker
    settings = replace(settings, prior=prior)
    fit = fit_prior(
        cast("FittedLatent", latent), pairs.contexts, pairs.futures, settings, videos=pairs.videos, seed=seed
    )
    return Refit(fit, named if fit.is_better else None)


def can_refit(model: WorldModel, views: VideoViews) -> bool:
    """Whether there is a prior, what to fit it to, and enough of it."""
    return model.latent is not None and views.planner.num_views > 1 and len(views) >= FEWEST_VIDEOS


def _different_clips(views: VideoViews, settings: PriorRefit, seed: int) -> Iterator[int]:
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
