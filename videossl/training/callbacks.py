"""What is watched during training: speed, collapse, unreadable videos, a diverged loss."""

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from videossl.data.dataset import ReplacedFailure
from videossl.errors import WorkError
from videossl.files import replacing
from videossl.objectives.collapse import COLLAPSED_RANK, COLLAPSED_STD, DEAD_NATS
from videossl.training.surviving import SurvivingLoader
from videossl.types import Failure, ViewBatch


def _value(metrics: dict[str, Tensor], name: str) -> float | None:
    return float(metrics[name]) if name in metrics else None


class Throughput(Callback):
    """Log clips per second and the share of the time in which training waited for data.

    What the loader says that was waited for it counts, and nothing else that happens between two steps: checkpoints are
    written and logs kept there too.
    """

    def __init__(self) -> None:
        self._since = self._looked_since = 0.0
        self._waited = 0.0
        self._clips = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ViewBatch, batch_idx: int
    ) -> None:
        """Log rates over the last `log_every` steps."""
        self._clips += batch.clips.shape[0] * batch.clips.shape[1] * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            seconds = max(time.monotonic() - self._since, 1e-9)
            pl_module.log("train/clips_per_second", self._clips / seconds, prog_bar=True)
            pl_module.log("train/data_wait_share", (_waited_for(trainer) - self._waited) / seconds)
            self._start(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A look at held-out videos is neither training nor waiting."""
        self._looked_since = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The clock goes on."""
        self._since += time.monotonic() - self._looked_since

    def _start(self, trainer: Trainer) -> None:
        self._since, self._waited, self._clips = time.monotonic(), _waited_for(trainer), 0


def _waited_for(trainer: Trainer) -> float:
    """Seconds that this process has waited for its loader so far."""
    loader = trainer.train_dataloader
    return loader.waited_seconds if isinstance(loader, SurvivingLoader) else 0.0


class ProgressLines(Callback):
    """Where there is no terminal for a bar: a line now and then."""

    def __init__(self, seconds_between_lines: float = 10.0) -> None:
        self.seconds_between_lines = seconds_between_lines
        self._last = 0.0

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line, if the last one is long ago; that of the last step waits for its look at held-out videos."""
        if time.monotonic() - self._last >= self.seconds_between_lines and trainer.global_step != trainer.max_steps:
            self._print(trainer)

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last line."""
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        """The step, the loss, the KL and the rate."""
        self._last = time.monotonic()
        metrics = trainer.callback_metrics
        parts = [f"step {trainer.global_step}/{trainer.max_steps}"]
        for name, label in (
            ("train/loss", "loss {:.3f}"),
            ("heldout/loss", "held-out {:.3f}"),
            ("train/kl_nats", "KL {:.2f} nats"),
            ("train/clips_per_second", "{:.0f} clips/s"),
            ("train/data_wait_share", "{:.0%} of it waiting for data"),
        ):
            value = _value(metrics, name)
            if value is not None:
                parts.append(label.format(value))
        replaced = _value(metrics, "train/replaced_samples")
        if replaced:
            parts.append(f"{replaced:.0f} samples replaced (unreadable.csv)")
        print("  ".join(parts), file=sys.stderr, flush=True)


class CollapseWatch(Callback):
    """Say it aloud, once for each, when the embeddings or the latent collapse.

    Args:
        after_step: Nothing is said before: at the start everything is near to collapse.
        patience: Times in a row, each `log_every` steps apart, that a value must be bad.
    """

    LIMITS = (  # metric, smallest healthy value, what it means
        ("train/embedding_std", COLLAPSED_STD, "the embeddings are collapsing: all videos get nearly the same one"),
        ("train/effective_rank", COLLAPSED_RANK, "the embeddings are collapsing onto a few directions"),
        ("train/kl_nats", DEAD_NATS, "the latent is dead: the posterior tells nothing that the prior does not"),
        ("train/open_gates", DEAD_NATS, "the latent is dead: nearly all of its gates are shut"),
        ("train/active_units", 1.0, "the latent is dead: no coordinate of it carries information"),
    )

    def __init__(self, *, after_step: int = 0, patience: int = 5) -> None:
        self.after_step = after_step
        self.patience = patience
        self.said: list[str] = []
        self._bad: dict[str, int] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the logged values every `log_every` steps."""
        step = trainer.global_step
        if step % trainer.log_every_n_steps or step <= self.after_step:  # type: ignore[attr-defined]
            return
        for name, smallest, meaning in self.LIMITS:
            value = _value(trainer.callback_metrics, name)
            self._bad[name] = self._bad.get(name, 0) + 1 if value is not None and value < smallest else 0
            if self._bad[name] == self.patience:
                message = f"step {step}: {name.removeprefix('train/')} = {value:.3g} < {smallest:g}: {meaning}"
                if meaning not in " ".join(self.said):
                    self.said.append(message)
                    if trainer.is_global_zero:
                        print(f"warning: {message}", file=sys.stderr, flush=True)


class StopOnBrokenLoss(Callback):
    """End a training whose loss is no number, before it writes weights that are none.

    Every step is remembered on the device; the host asks every `log_every` steps, before each checkpoint and at the
    end.
    """

    def __init__(self) -> None:
        self._broken: Tensor | None = None
        self._last_good_step = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember whether the loss of this step, and the weights after it, are numbers."""
        broken = ~torch.isfinite(outputs["loss"].detach())
        self._broken = broken if self._broken is None else self._broken | broken
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Nothing broken is saved."""
        self._check(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last steps too."""
        self._check(trainer, pl_module)

    def _check(self, trainer: Trainer, module: LightningModule) -> None:
        sound = all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())
        if sound and not (self._broken is not None and bool(self._broken)):
            self._last_good_step = trainer.global_step
            return
        raise WorkError(
            f"the loss or the weights became no numbers between steps {self._last_good_step} and "
            f"{trainer.global_step}. Lower training.learning_rate or raise the temperature; no checkpoint was written "
            "since then."
        )


class UnreadableVideos(Callback):
    """Count the videos that could not be read; stop when they are more than a share of all.

    Logs `train/replaced_samples`: samples since the start in whose place another video was trained on.

    With several processes each meets its own unreadable videos. They tell each other every `log_every` steps, so that
    the first one lists all, and all stop at the same step.

    Args:
        path: CSV file that lists them with their causes.
        known: Those found bad when the index was made.
        num_videos: All videos, readable or not.
        max_share: Largest share of unreadable videos that training puts up with.

    Attributes:
        failures: By name of the video.
        num_replaced: Samples in whose place another video was trained on.
    """

    def __init__(self, path: Path, known: list[Failure], num_videos: int, max_share: float) -> None:
        self.path = path
        self.num_videos = num_videos
        self.max_share = max_share
        self.failures = {failure.video: failure for failure in known}
        self.left_out: tuple[Failure, ...] = ()
        self.num_replaced = 0
        self._of_this_process: list[Failure] = []
        self.check()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ViewBatch, batch_idx: int
    ) -> None:
        """Add the failures of this batch."""
        self._of_this_process.extend(batch.failures)
        is_logged = trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if trainer.world_size == 1 or is_logged or trainer.global_step == trainer.max_steps:
            self._add(_of_all_processes(self._of_this_process, trainer.world_size))
            self._of_this_process = []
        if is_logged:
            pl_module.log("train/replaced_samples", float(self.num_replaced))

    def leave_out(self, videos: Sequence[Failure]) -> None:
        """List videos that were left out on purpose too; they do not count as unreadable."""
        self.left_out = tuple(videos)
        self.check()

    def _add(self, failures: list[Failure]) -> None:
        self.num_replaced += sum(isinstance(failure, ReplacedFailure) for failure in failures)
        new = {failure.video: failure for failure in reversed(failures) if failure.video not in self.failures}
        if new:
            self.failures |= new
            self.check()

    def check(self) -> None:
        """Write the list, and raise if it is too long.

        Raises:
            WorkError: More than `max_share` of the videos are unreadable.
        """
        listed = [*self.failures.values(), *self.left_out]
        if listed and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["video", "cause"])
                writer.writerows([failure.video, failure.cause] for failure in listed)
        if len(self.failures) > self.max_share * self.num_videos:
            example = next(iter(self.failures.values()))
            raise WorkError(
                f"{len(self.failures)} of {self.num_videos} videos are unreadable, more than "
                f"data.max_unreadable_share={self.max_share:g} allows; for example {example.video}: "
                f"{example.cause.rstrip('.')}. All are listed in {self.path}."
            )


def _of_all_processes(failures: list[Failure], world_size: int) -> list[Failure]:
    if world_size == 1:
        return failures
    gathered: list[list[Failure]] = [[] for _ in range(world_size)]
    torch.distributed.all_gather_object(gathered, failures)
    return [failure for of_one in gathered for failure in of_one]


def progress_callback() -> Callback:
    """A bar on a terminal, lines elsewhere."""
    return TQDMProgressBar(refresh_rate=5) if sys.stderr.isatty() else ProgressLines()
