"""How wide the density around a prediction is, fitted when the training has ended."""

from collections.abc import Iterable
from itertools import islice

import numpy as np

from videossl.data import Augment, MultiCrop
from videossl.models import WorldModel
from videossl.training.embedded_pairs import embedded_pairs
from videossl.types import ViewBatch

ENOUGH_BATCHES = 8


def fit_concentration(model: WorldModel, augment: Augment | MultiCrop, batches: Iterable[ViewBatch]) -> None:
    """Set the model's `concentration` by how well each of these views is told as what came after the one before it.

    A contrastive loss leaves the width to the temperature and to how well it was minimised, and others say nothing of
    it; this asks the futures themselves. Nothing is done for a model that foresees nothing: one view, or gates without
    a prior.

    Args:
        model: Trained.
        augment: Of the training; views are resized only.
        batches: Held-out views, if there are; the first 8 batches are used.
    """
    if model.latent is not None and not model.foresees:
        return
    pairs = embedded_pairs(model, augment, islice(batches, ENOUGH_BATCHES))
    if len(pairs.contexts):
        # One pair of each video: what else happens in a video is hardly another future.
        rows = np.unique(pairs.videos.cpu().numpy(), return_index=True)[1]
        model.fit_concentration(pairs.contexts[rows], pairs.futures[rows])
