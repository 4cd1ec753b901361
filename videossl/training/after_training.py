"""What is fitted when a training has ended: the transition, the prior, and the width of the density."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from videossl.data import Augment, MultiCrop, VideoViews
from videossl.models import WorldModel
from videossl.objectives import AdaSSL
from videossl.training.density import fit_concentration
from videossl.training.embedded_pairs import Pairs
from videossl.training.loaders import view_batches
from videossl.training.pretraining import Pretraining
from videossl.training.prior_refit import Refit, can_refit, has_pairs, pairs_of_videos, refit_prior
from videossl.training.refit_settings import FEWEST_VIDEOS
from videossl.training.settings import TrainingSettings
from videossl.training.transition_fit import TransitionFit, fit_transition
from videossl.types import ViewBatch


def fit_transition_of(
    module: Pretraining, views: VideoViews, *, seed: int
) -> tuple[TransitionFit | None, Pairs | None]:
    """The transition trained on, and the embeddings that it was trained on."""
    training = module.settings
    settings = training.refit_transition
    if settings is None or not isinstance(module.objective, AdaSSL):
        return None, None
    if not has_pairs(views):
        print(
            "the transition is not trained on alone: that takes two views of each video, and "
            f"{FEWEST_VIDEOS} videos or more",
            file=sys.stderr,
        )
        return None, None
    pairs = pairs_of_videos(
        module.model,
        module.augment,
        views,
        settings,
        batch_size=training.batch_size,
        num_workers=training.num_workers,
        seed=seed,
    )
    return fit_transition(module.objective, pairs, settings, seed=seed), pairs


def fit_prior_of(
    model: WorldModel,
    augment: Augment | MultiCrop,
    views: VideoViews,
    heldout_batches: Iterable[ViewBatch] | None,
    training: TrainingSettings,
    named: Mapping[str, Any] | None,
    pairs: Pairs | None,
    *,
    seed: int,
) -> Refit | None:
    """What is fitted on top of the trained model: its prior, then the width of its density."""
    refit, transition = None, training.refit_transition
    if training.refit is not None and transition is not None:
        is_same = (transition.num_draws, transition.max_videos) == (training.refit.num_draws, training.refit.max_videos)
        pairs = pairs if is_same else None
    if training.refit is not None and can_refit(model, views):
        refit = refit_prior(
            model,
            augment,
            views,
            training.refit,
            named=named,
            batch_size=training.batch_size,
            num_workers=training.num_workers,
            seed=seed,
            pairs=pairs,
        )
    fit_concentration(model, augment, heldout_batches or view_batches(views, batch_size=training.batch_size))
    return refit
