"""Which checkpoints a training writes, and which it takes away."""

from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from videossl.run_directory import RunDirectory
from videossl.training.checkpoint import Checkpoint
from videossl.training.settings import TrainingSettings


def forget_later_checkpoints(run: RunDirectory, step: int) -> None:
    """Where a training goes on from an earlier step, what came after it is trained anew."""
    for path in run.checkpoints.glob("*.ckpt"):
        if path.name != "last.ckpt" and Checkpoint.read(path).step > step:
            path.unlink()


class BestCheckpoint(ModelCheckpoint):
    """The best on held-out videos, by which a training that goes on knows it, however often it looks."""

    @property
    def state_key(self) -> str:
        """Without the steps between two looks, which are fewer in a short training."""
        return type(self).__qualname__


def savers(run: RunDirectory, training: TrainingSettings, *, has_heldout: bool) -> list[Callback]:
    """Checkpoints: every N steps, the last, and the best on held-out videos."""
    regular = ModelCheckpoint(
        run.checkpoints,
        filename="step-{step}",
        auto_insert_metric_name=False,
        save_top_k=-1,
        save_last=True,
        enable_version_counter=False,  # or last.ckpt stays, and the newer one gets another name
        every_n_train_steps=training.checkpoint_every,
    )
    best = BestCheckpoint(
        run.checkpoints,
        filename="best",
        monitor="heldout/loss",
        enable_version_counter=False,
        every_n_train_steps=heldout_every(training),
    )
    return [regular, best] if has_heldout else [regular]


def heldout_every(training: TrainingSettings) -> int:
    """Steps between two looks at held-out videos; a training that is shorter looks once, at its end."""
    return min(training.heldout_every, training.max_steps)
