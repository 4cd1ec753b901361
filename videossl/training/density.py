"""How wide the density around a prediction is, fitted when the training has ended."""

from collections.abc import Iterable
from itertools import islice

import torch
import torch.nn.functional as F

from videossl.data import MultiCrop
from videossl.models import SparseGate
from videossl.training.pretraining import Pretraining
from videossl.types import ViewBatch

ENOUGH_BATCHES = 8


@torch.no_grad()
def fit_concentration(module: Pretraining, batches: Iterable[ViewBatch]) -> None:
    """Set the model's `concentration` to what makes these views most likely, each after the one before it.

    A contrastive loss leaves the width to the temperature and to how well it was minimised, and others say nothing of
    it; this asks the futures themselves. Nothing is done for a model that foresees nothing: one view, or gates without
    a prior.

    Args:
        module: Trained.
        batches: Held-out views, if there are; the first 8 batches are used.
    """
    model = module.model
    if isinstance(model.latent, SparseGate):
        return
    was_training = module.training
    module.eval()  # views as they are: resized, and nothing else
    # Of crops of several sizes, those of the first one: they show most.
    resize = module.augment.groups[0] if isinstance(module.augment, MultiCrop) else module.augment
    states = [
        F.normalize(model.embed_views(resize(batch.to(module.device).clips))[1], dim=-1)
        for batch in islice(batches, ENOUGH_BATCHES)
    ]
    module.train(was_training)
    if states and len(states[0]) > 1:
        views = torch.cat(states, dim=1)  # (V, B, D)
        model.fit_concentration(views[:-1].flatten(0, 1), views[1:].flatten(0, 1))
