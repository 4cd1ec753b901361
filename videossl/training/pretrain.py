"""Pretrain a world model on videos: index, loaders, trainer, run directory."""

import logging
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from videossl.data import Augment, VideoIndex, VideoViews, collate
from videossl.data.dataset import Sample
from videossl.data.settings import DataSettings
from videossl.errors import UsageError, WorkError
from videossl.files import replacing
from videossl.models import WorldModel
from videossl.objectives import FixedBeta, InformationBudget, MultiViewObjective
from videossl.run_directory import RunDirectory, write_json
from videossl.training.callbacks import (
    CollapseWatch,
    StopOnBrokenLoss,
    Throughput,
    UnreadableVideos,
    progress_callback,
)
from videossl.training.metrics_file import continued_csv_logger
from videossl.training.pretraining import Pretraining
from videossl.training.samples import ShuffledSamples
from videossl.training.settings import TrainingSettings


def quiet_lightning() -> None:
    """Leave out what Lightning says about itself; what it says about the training stays."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*log directory.*exists.*", ".*LeafSpec.*", ".*does not have many workers.*", ".*litlogger.*"):
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


def pretrain(
    model: WorldModel,
    objective: MultiViewObjective,
    beta: InformationBudget | FixedBeta | None,
    data: DataSettings,
    augment: Augment,
    training: TrainingSettings,
    *,
    out: Path,
    seed: int,
    checkpoint: Path | None = None,
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
        checkpoint: Go on from here.
        config: The resolved config, kept in the run directory.

    Raises:
        UsageError: Data or settings that cannot work.
        WorkError: Too many unreadable videos, or a loss that is no number.
    """
    if training.num_threads is not None:
        torch.set_num_threads(training.num_threads)
    seed_everything(seed, workers=True, verbose=False)
    model = model.reinitialised(seed)
    if augment.size % model.encoder.patch_size:
        raise UsageError(
            f"expected augment.size to be a multiple of model.encoder.patch_size={model.encoder.patch_size}, "
            f"got {augment.size}. Change one of them."
        )
    quiet_lightning()
    run = RunDirectory(out)
    start = Checkpoint.read(checkpoint) if checkpoint is not None else None

    index = VideoIndex.build(
        data.videos, heldout_share=data.heldout_share, seed=seed, num_workers=max(1, training.num_workers)
    )
    unreadable = UnreadableVideos(run.unreadable, index.failures, len(index), data.max_unreadable_share)
    train, heldout = index.split("train"), index.split("heldout")
    if len(train) == 0:
        raise UsageError(f"no readable video is left to train on in {data.videos}: see {run.unreadable}.")

    if is_main_process():
        run.write_config(config)
        index.save(run.index)
        write_json(run.environment, environment())

    collapse = CollapseWatch(after_step=training.warmup_steps)
    saver = ModelCheckpoint(
        run.checkpoints, filename="step-{step}", auto_insert_metric_name=False, save_top_k=-1, save_last=True,
        every_n_train_steps=training.checkpoint_every,
    )  # fmt: skip
    best = ModelCheckpoint(
        run.checkpoints, filename="best", monitor="heldout/loss", save_top_k=1, enable_version_counter=False,
        every_n_train_steps=training.heldout_every,
    )  # fmt: skip
    callbacks: list[Callback] = [
        Throughput(), collapse, StopOnBrokenLoss(), unreadable, saver, LearningRateMonitor("step"), progress_callback(),
    ]  # fmt: skip
    if len(heldout):
        callbacks.append(best)
    trainer = Trainer(
        accelerator=training.accelerator,
        devices=training.devices,
        num_nodes=training.num_nodes,
        strategy=training.strategy,
        precision=_precision(training),
        max_steps=training.max_steps,
        gradient_clip_val=training.clip_norm,
        log_every_n_steps=training.log_every,
        val_check_interval=training.heldout_every,
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
    module = Pretraining(model, objective, beta, augment, training)
    began = time.monotonic()
    trainer.fit(
        module,
        _train_loader(trainer, train, data, training, seed=seed, start_step=start.step if start else 0),
        _heldout_loader(heldout, data, training, seed=seed) if len(heldout) else None,
        ckpt_path=start.path if start else None,
        weights_only=True,
    )
    if trainer.interrupted:
        raise WorkError(
            f"interrupted at step {trainer.global_step}. "
            f"Go on with: videossl pretrain --config {run.config} --ckpt last"
        )
    if trainer.is_global_zero:
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        with replacing(run.weights) as temporary:
            save_file(weights, temporary)
    return Pretrained(run.path, trainer.global_step, time.monotonic() - began, len(unreadable.failures), collapse.said)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file, and the step at which it was written."""

    path: Path
    step: int

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Look into a checkpoint; nothing in it is executed.

        Raises:
            UsageError: No such file, or not a checkpoint of `videossl pretrain`.
        """
        if not path.is_file():
            raise UsageError(f"no such checkpoint: {path}. `--ckpt last` takes the newest of the run directory.")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return cls(path, int(content["global_step"]))
        except Exception as error:  # torch and pickle raise many kinds; to the user they are one
            raise UsageError(
                f"{path} is not a checkpoint of `videossl pretrain`: {' '.join(str(error).split()[:20])}"
            ) from error


def _precision(training: TrainingSettings) -> Any:
    if training.precision != "auto":
        return training.precision
    on_gpu = training.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _train_loader(
    trainer: Trainer, videos: VideoIndex, data: DataSettings, training: TrainingSettings, *, seed: int, start_step: int
) -> DataLoader[Sample]:
    samples = ShuffledSamples(
        num_videos=len(videos),
        num_samples=training.max_steps * training.batch_size,
        seed=seed,
        start=start_step * training.batch_size,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    return DataLoader(
        data.views(videos, seed=seed),
        batch_size=training.batch_size,
        sampler=samples,
        num_workers=training.num_workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def _heldout_loader(
    videos: VideoIndex, data: DataSettings, training: TrainingSettings, *, seed: int
) -> DataLoader[Sample]:
    views: VideoViews = data.views(videos, seed=seed)
    return DataLoader(views, batch_size=training.batch_size, num_workers=0, collate_fn=collate)


def environment() -> dict[str, Any]:
    """Versions and machine of this run."""
    packages = ("videossl", "torch", "lightning", "torchmetrics", "av", "decord", "einops", "numpy")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
