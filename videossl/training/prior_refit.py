"""The prior of a trained model, fitted once more on the videos that it was trained on."""

import random
import sys
from collections.abc import Iterator

from videossl.data import Augment, MultiCrop, VideoViews
from videossl.models import GaussianLatent, WorldModel
from videossl.training.embedded_pairs import embedded_pairs
from videossl.training.loaders import view_batches
from videossl.training.prior_fit import FEWEST_VIDEOS, PriorFit, fit_prior
from videossl.training.refit_settings import PriorRefit


def refit_prior(
    model: WorldModel,
    augment: Augment | MultiCrop,
    views: VideoViews,
    settings: PriorRefit,
    *,
    batch_size: int,
    num_workers: int,
    seed: int,
) -> PriorFit | None:
    """Embed the training videos once, and fit the prior of the model on them.

    The concentration of the model's density belongs to its prior: fit it again afterwards.

    Args:
        model: Trained; its encoder, editor and posterior stay as they are.
        augment: Of the training; views are resized only.
        views: Of the videos to train on, never of held-out ones.
        settings: Which prior, and how it is fitted.
        batch_size: Videos that are encoded at once.
        num_workers: Loader processes.
        seed: Of which clips are cut, and of the fit.

    Returns:
        What came of it; None where there is nothing to fit: another latent than a `GaussianLatent`, single views, or
        too few videos (which is said).
    """
    if not isinstance(model.latent, GaussianLatent) or views.planner.num_views < 2:
        return None
    if len(views) < FEWEST_VIDEOS:
        print(
            f"the prior is not fitted again: that takes {FEWEST_VIDEOS} videos, and there are {len(views)}",
            file=sys.stderr,
        )
        return None
    numbers = list(_different_clips(views, settings, seed))
    batches = view_batches(views, batch_size=batch_size, numbers=numbers, num_workers=num_workers)
    pairs = embedded_pairs(model, augment, batches)
    return fit_prior(model.latent, pairs.contexts, pairs.futures, settings, videos=pairs.videos, seed=seed)


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
