"""Contexts and what followed them, embedded by a trained model: what comes after the training is fitted on these."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from videossl.data import Augment, MultiCrop
from videossl.models import WorldModel
from videossl.types import ViewBatch


class Pairs(NamedTuple):
    """States of contexts and of what followed each, one step of the model later.

    Attributes:
        contexts: (n, D) of unit norm.
        futures: (n, D) of unit norm.
        videos: (n,) int64, row of the video of each pair.
    """

    contexts: Tensor
    futures: Tensor
    videos: Tensor


@torch.no_grad()
def embedded_pairs(model: WorldModel, augment: Augment | MultiCrop, batches: Iterable[ViewBatch]) -> Pairs:
    """Every view with the one after it, of views as they are: resized, and nothing else.

    Args:
        model: Trained.
        augment: Of the training; of crops of several sizes the first one is taken, which shows most.
        batches: Views (B, V, T, C, H, W).

    Returns:
        (V - 1) pairs a video, where the model is; none of single views.
    """
    resize = augment.groups[0] if isinstance(augment, MultiCrop) else augment
    device = model.concentration.device
    modes = {module: module.training for module in (model, resize)}
    states, videos = [], []
    for module in modes:
        module.eval()
    for batch in batches:
        states.append(F.normalize(model.embed_views(resize(batch.clips.to(device)))[1], dim=-1))
        videos.append(batch.videos)
    for module, mode in modes.items():
        module.train(mode)
    views, of_views = torch.cat(states, dim=1), torch.cat(videos)  # (V, B, D), (B,)
    num_steps = len(views) - 1
    return Pairs(views[:-1].flatten(0, 1), views[1:].flatten(0, 1), of_views.repeat(num_steps))
