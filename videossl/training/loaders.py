"""Batches of views for training and for the look at held-out videos."""

import sys

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from videossl.data import VideoIndex, VideoViews, collate
from videossl.data.dataset import Sample
from videossl.data.settings import DataSettings
from videossl.training.samples import ShuffledSamples
from videossl.training.settings import TrainingSettings


def train_loader(
    trainer: Trainer, views: VideoViews, training: TrainingSettings, *, seed: int, start_step: int
) -> DataLoader[Sample]:
    """Batches of this process, over the whole training; from `start_step` on where one goes on."""
    per_step = training.batch_size * trainer.world_size
    if len(views) < per_step:
        _say(
            f"warning: {per_step} videos a step, and only {len(views)} to train on: a video comes several times in a "
            "batch, as a negative of itself. Lower training.batch_size, or train on more videos."
        )
    samples = ShuffledSamples(
        num_videos=len(views),
        num_samples=training.max_steps * training.batch_size,
        seed=seed,
        start=start_step * training.batch_size,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    return DataLoader(
        views,
        batch_size=training.batch_size,
        sampler=samples,
        num_workers=training.num_workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def heldout_loader(
    videos: VideoIndex, data: DataSettings, training: TrainingSettings, *, seed: int
) -> DataLoader[Sample] | None:
    """Batches of held-out videos, the same at every look; None where there are not two videos to compare."""
    if len(videos) < 2:
        _say(f"videos held out: {len(videos)}. No held-out loss, which compares videos with each other")
        return None
    return DataLoader(
        data.views(videos, seed=seed),
        batch_size=training.batch_size,
        num_workers=0,
        collate_fn=collate,
        drop_last=len(videos) > training.batch_size,  # a last batch of one video has nothing to be compared with
    )


@rank_zero_only
def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
