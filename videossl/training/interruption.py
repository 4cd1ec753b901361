"""Ctrl-C during training: the step that runs is ended and saved."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only


class StopBetweenSteps(Callback):
    """Stop after the step in which Ctrl-C came, and save it: what goes on from there is what an unbroken training does.

    Within a step some state is of this step already (the weight of the latent's penalty, running statistics), the rest
    of the one before. A second Ctrl-C does not wait for the end of the step, and saves nothing.

    Several processes agree every `log_every` steps whether one was asked to stop, so that all stop at the same step.

    Args:
        path: The checkpoint to write.

    Attributes:
        saved_step: That Ctrl-C stopped after; None if it did not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved_step: int | None = None
        self._is_asked = False
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on Ctrl-C is heard at the end of a step."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop, if asked to; after the very last step there is nothing left to stop."""
        if trainer.global_step < trainer.max_steps and self._is_asked_of_any(trainer, pl_module):
            trainer.save_checkpoint(self.path)
            self.saved_step = trainer.global_step
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What comes after the training is interrupted at once."""
        self._stop_listening()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same where it ends early."""
        self._stop_listening()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            self._stop_listening()
            raise KeyboardInterrupt
        self._is_asked = True
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            print(
                "\nstopping after this step, which is saved; Ctrl-C once more stops at once",
                file=sys.stderr,
                flush=True,
            )

    def _is_asked_of_any(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        if trainer.world_size == 1:
            return self._is_asked
        if trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return False
        asked = torch.tensor(float(self._is_asked), device=pl_module.device)
        torch.distributed.all_reduce(asked)
        return bool(asked)

    def _stop_listening(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
