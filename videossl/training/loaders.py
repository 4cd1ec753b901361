"""Batches of views for training and for the look at held-out videos."""

import sys
from collections.abc import Iterable, Sequence

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
from videossl.training.surviving import SurvivingLoader
from videossl.types import ViewBatch


def train_loader(
    trainer: Trainer, views: VideoViews, training: TrainingSettings, *, seed: int, start_step: int
) -> SurvivingLoader:
    """Batches of this process, over the whole training; from `start_step` on where one goes on.

    What is in a batch depends on the videos, the seed, the step and the rank only: not on the number of workers, on
    whether they were killed, or on where training was stopped. So nothing of a loader is saved in a checkpoint.
    """
    per_step = training.batch_size * trainer.world_size
    if views.skipped:
        _say(
            f"{len(views.skipped)} of {len(views.skipped) + len(views)} videos to train on are left out, for example "
            f"{views.skipped[0].video}: {views.skipped[0].cause}"
        )
    if views.num_lengthened:
        _say(
            f"{views.num_lengthened} of {len(views)} videos to train on are shorter than the clips and lengthened as "
            f"data.clips.short={views.planner.short} asks"
        )
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
        weights=_weights(views),
    )
    return SurvivingLoader(
        views,
        lambda skip: samples.batches(training.batch_size, skip=skip),
        num_batches=training.max_steps,
        num_workers=training.num_workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def _weights(views: VideoViews) -> list[float]:
    """How often each video is to come, relative to the others.

    Raises:
        UsageError: No video is to come at all.
    """
    weights = [float(getattr(video, "weight", 1.0)) for video in views.videos]
    if not any(weights):
        raise UsageError("all videos to train on have weight 0. Give at least one source a weight above 0.")
    return weights


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


def view_batches(
    views: VideoViews, *, batch_size: int, numbers: Sequence[int] | None = None, num_workers: int = 0
) -> Iterable[ViewBatch]:
    """Views in order, each video once or these sample numbers: for a look at them after the training."""
    return DataLoader(views, batch_size=batch_size, sampler=numbers, num_workers=num_workers, collate_fn=collate)


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
