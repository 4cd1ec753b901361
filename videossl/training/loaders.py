"""Batches of views for training and for the look at held-out videos."""

import sys

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from videossl.data import VideoIndex, VideoViews, collate
from videossl.data.dataset import Sample
from videossl.data.settings import DataSettings
from videossl.errors import UsageError
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


def has_heldout_loss(videos: VideoIndex) -> bool:
    """Whether there are two held-out videos to compare."""
    return len(videos) >= 2


def heldout_loader(
    trainer: Trainer, videos: VideoIndex, data: DataSettings, training: TrainingSettings, *, seed: int
) -> DataLoader[Sample] | None:
    """Batches of held-out videos, the same at every look, shared out among the processes; None without two videos.

    Raises:
        UsageError: A process would have no video.
    """
    if not has_heldout_loss(videos):
        _say(f"videos held out: {len(videos)}. No held-out loss, which compares videos with each other")
        return None
    views = data.views(videos, seed=seed)
    if len(views) < trainer.world_size:
        raise UsageError(
            f"expected a held-out video for each of {trainer.world_size} processes, got {len(views)}. "
            f"Raise data.heldout_share={data.heldout_share:g}, or set it to 0."
        )
    shares = heldout_shares(
        len(views), batch_size=training.batch_size, rank=trainer.global_rank, world_size=trainer.world_size
    )
    return DataLoader(views, batch_sampler=shares, num_workers=0, collate_fn=collate)


def heldout_shares(num_videos: int, *, batch_size: int, rank: int, world_size: int) -> list[list[int]]:
    """Videos of every batch of one process: each is looked at by one process, or it would be a negative of itself.

    Batches are full in all processes, but where there are fewer videos than one such batch: then the shares differ by
    one video at most. A last batch that is not full is left out: its loss has another chance level.
    """
    whole = batch_size * world_size
    starts = range(0, max(num_videos - whole, 0) + 1, whole)
    return [list(range(start, min(start + whole, num_videos)))[rank::world_size] for start in starts]


@rank_zero_only
def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
