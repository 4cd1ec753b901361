"""Pretrain a world model on videos: index, loaders, trainer, run directory."""

import copy
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from videossl.data import Augment, MultiCrop, VideoIndex
from videossl.data.settings import DataSettings
from videossl.errors import UsageError, WorkError
from videossl.models import WorldModel
from videossl.objectives import Beta, MultiViewObjective
from videossl.objectives.x_sample import XSample
from videossl.run_directory import RunDirectory, write_json
from videossl.training.after_training import fit_prior_of, fit_transition_of
from videossl.training.auxiliaries import Auxiliary
from videossl.training.callbacks import (
    CollapseWatch,
    StopOnBrokenLoss,
    Throughput,
    UnreadableVideos,
    progress_callback,
)
from videossl.training.checkpoint import Checkpoint
from videossl.training.environment import environment
from videossl.training.interruption import StopBetweenSteps
from videossl.training.loaders import has_heldout_loss, heldout_loader, train_loader
from videossl.training.metrics_file import continued_csv_logger
from videossl.training.pretraining import Pretraining
from videossl.training.prior_refit import Refit, can_refit
from videossl.training.rehearsal import rehearse
from videossl.training.savers import forget_later_checkpoints, heldout_every, savers
from videossl.training.settings import TrainingSettings
from videossl.training.sharding import SHARDED, gathered, strategy_of
from videossl.training.suited_prior import suited_prior
from videossl.training.transition_fit import TransitionFit
from videossl.training.weights_file import save_weights


def quiet_lightning() -> None:
    """Leave out what Lightning says about itself; what it says about the training stays."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*logs directory.*exists.*",
        ".*number of training batches.*",
        ".*all_gather is deprecated.*",
        ".*Checkpoint directory.*exists.*",
        ".*no `val_dataloader`.*",
        ".*dirpath has changed.*",  # a run that starts from the checkpoint of another
        ".*ended before the epoch ended.*",  # ShuffledSamples goes on with the very next sample
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*litlogger.*",
        ".*in eval mode at the start of training.*",  # a teacher is meant to be
    ):
        warnings.filterwarnings("ignore", message=message)


def is_main_process() -> bool:
    """Whether this is the process that writes files and talks; the others were started by it or beside it."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Pretrained:
    """What a training leaves behind."""

    run: Path
    steps: int
    seconds: float
    num_unreadable: int
    warnings: list[str]
    transition: TransitionFit | None  # of latent and editor, after the training; None: there was none
    refit: Refit | None  # of the prior; None: there was none


def pretrain(
    model: WorldModel,
    objective: MultiViewObjective,
    beta: Beta | None,
    data: DataSettings,
    augment: Augment | MultiCrop,
    training: TrainingSettings,
    *,
    out: Path,
    seed: int,
    checkpoint: Path | None = None,
    goes_on: bool = False,
    auxiliaries: Sequence[Callable[[int, int, int], Auxiliary]] = (),
    config: Mapping[str, Any],
) -> Pretrained:
    """Train, and write a run directory.

    Args:
        model: Architecture; its weights are drawn anew from `seed`.
        objective: Embeddings of views -> `Loss`.
        beta: Weight of the latent's penalty; not used by a model without a latent.
        data: Videos, and how clips are cut from them.
        augment: uint8 views -> float views.
        training: Steps, batch size, learning rate, devices.
        out: Run directory.
        seed: Of weights, clips, augmentation and latents.
        checkpoint: Start from here.
        auxiliaries: Made with the dimensions of representation and embedding and the frames of a clip: losses beside
            the objective.
        goes_on: The checkpoint is of this run directory: what is in it stays. Otherwise it is replaced once all is
            checked.
        config: The resolved config, kept in the run directory.

    Raises:
        UsageError: Data or settings that cannot work.
        WorkError: Too many unreadable videos, or a loss that is no number.
    """
    if training.num_threads is not None:
        torch.set_num_threads(training.num_threads)
    seed_everything(seed, workers=True, verbose=False)
    model = model.reinitialised(seed)
    for size in augment.sizes:
        model.encoder.check_size(data.clips.num_frames, size, size)
    num_views = augment.num_views_from(data.clips.num_views)
    quiet_lightning()
    run = RunDirectory(out)
    start = Checkpoint.read(checkpoint) if checkpoint is not None else None
    if start is not None and start.step >= training.max_steps:
        raise UsageError(
            f"{start.path} is of step {start.step}, and training.max_steps is {training.max_steps}: nothing is left "
            "to do. Raise training.max_steps to train longer."
        )

    index = VideoIndex.build(
        data.videos,
        heldout_share=data.heldout_share,
        seed=seed,
        num_workers=max(1, training.num_workers),
        # Where the run is replaced, the main process takes it away while others still look.
        known=run.index if (goes_on or is_main_process()) and run.index.is_file() else None,
    )
    if is_main_process() and index.changes is not None and not index.changes.is_none:
        print(index.changes, file=sys.stderr)
    unreadable = UnreadableVideos(run.unreadable, index.failures, len(index), data.max_unreadable_share)
    train = index.split("train")
    if len(train) == 0:
        raise UsageError(
            f"no video is left to train on: of {len(index)}, {len(index.failures)} are unreadable and the others are "
            f"held out. Lower data.heldout_share={data.heldout_share:g}, or give more videos."
        )
    if isinstance(objective, XSample) and all(video.label_id < 0 for video in train):
        raise UsageError(
            "objective XSample learns from which videos have the same label, and no video has one. Put the videos of "
            "each class into a folder, give a list of `path label`, or train with another objective."
        )
    train_views = data.views(train, seed=seed)
    unreadable.leave_out(train_views.skipped)
    beside = [make(model.representation_dim, model.embedding_dim, data.clips.num_frames) for make in auxiliaries]
    for auxiliary in beside:
        auxiliary.check_views(num_views)
    module = Pretraining(model, objective, beta, augment, training, seed, beside)
    rehearse(module, num_views=num_views, batch_size=training.batch_size)
    if training.refit is not None and can_refit(model, train_views):
        suited_prior(model.latent, training.refit.prior, None)  # raises before the training, not after it
    if start is not None:
        start.check_fits(module)
        _check_same_videos(run.index, index)
    heldout = index.split("heldout")
    interruption = StopBetweenSteps(run.checkpoints / "last.ckpt")
    collapse = CollapseWatch(after_step=training.warmup_steps)
    callbacks = [
        StopOnBrokenLoss(),
        Throughput(),
        collapse,
        unreadable,
        LearningRateMonitor("step"),
        progress_callback(),
        interruption,
        *savers(run, training, has_heldout=has_heldout_loss(heldout)),
    ]
    trainer = _trainer(run, training, callbacks, start)
    heldout_batches = heldout_loader(trainer, heldout, data, training, seed=seed)
    if is_main_process():
        if not goes_on:
            shutil.rmtree(run.path, ignore_errors=True)
            unreadable.check()
        elif start is not None:
            forget_later_checkpoints(run, start.step)
        run.write_config(config)
        index.save(run.index)
        write_json(run.environment, environment())
    # What is trained in shards stays in them: in the end the weights come into a copy.
    whole = copy.deepcopy(module) if training.strategy == SHARDED else module
    began = time.monotonic()
    try:
        trainer.fit(
            module,
            train_loader(trainer, train_views, training, seed=seed, start_step=start.step if start else 0),
            heldout_batches,
            ckpt_path=start.path if start else None,
            weights_only=True,
        )
    except SystemExit:  # Lightning's way to end after Ctrl-C, without a word
        step = interruption.saved_step
        raise WorkError(
            f"interrupted {f'after step {step}, which is saved' if step else f'in step {trainer.global_step + 1}'}. "
            f"Go on with: videossl pretrain --config {run.config} --ckpt last"
        ) from None
    if whole is not module:
        gathered(trainer, whole)
    transition, refit = None, None
    if trainer.is_global_zero:
        whole.to(trainer.strategy.root_device)  # Lightning leaves what it has trained on the CPU
        asked = config.get("training", {})
        named = {name: (asked.get(name) or {}).get("prior") for name in ("refit_transition", "refit")}
        transition, pairs = fit_transition_of(whole, train_views, seed=seed)
        refit = fit_prior_of(
            whole.model, augment, train_views, heldout_batches, training, named["refit"], pairs, seed=seed
        )
        prior = named["refit_transition"] if transition is not None and transition.has_new_prior else None
        if refit is not None and refit.prior is not None:
            prior = refit.prior
        # The checkpoints and the config stay those of the training: it can go on.
        save_weights(whole.model, run.weights, prior=prior)
    return Pretrained(
        run.path,
        trainer.global_step,
        time.monotonic() - began,
        len(unreadable.failures),
        collapse.said,
        transition,
        refit,
    )


def _trainer(
    run: RunDirectory, training: TrainingSettings, callbacks: list[Callback], start: Checkpoint | None
) -> Trainer:
    try:
        return Trainer(
            accelerator=training.accelerator,
            devices=training.devices,
            num_nodes=training.num_nodes,
            strategy=strategy_of(training.strategy),
            precision=_precision(training),
            max_steps=training.max_steps,
            gradient_clip_val=training.clip_norm,
            log_every_n_steps=training.log_every,
            val_check_interval=heldout_every(training),
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            limit_val_batches=training.heldout_batches,
            callbacks=callbacks,
            logger=[
                continued_csv_logger(run.path, until_step=start.step if start else 0),
                TensorBoardLogger(run.path / "tensorboard", name="", version=""),
            ],
            default_root_dir=run.path,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            use_distributed_sampler=False,  # ShuffledSamples shares the samples out itself
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"training on accelerator={training.accelerator}, devices={training.devices}, "
            f"strategy={training.strategy} is not possible here: {' '.join(str(error).split())}"
        ) from error


def _check_same_videos(path: Path, index: VideoIndex) -> None:
    """Refuse to go on with other videos than before: what was trained on could become held out.

    Args:
        path: Index of the run as it was; where there is none, a new run starts from another's checkpoint.
        index: The videos as they are now.
    """
    if not path.is_file():
        return
    before, now = ({video.name: video.split for video in videos} for videos in (VideoIndex.load(path), index))
    changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    if changed:
        raise UsageError(
            f"{len(changed)} videos are not as they were when this run began, for example {min(changed)}: some may now "
            "be held out that were trained on. Start a new run with another --out."
        )


def _precision(training: TrainingSettings) -> Any:
    if training.precision != "auto":
        return training.precision
    on_gpu = training.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
