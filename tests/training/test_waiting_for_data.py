"""The share of the time that training waits for data is that of the loader, and of nothing else."""

import time
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import Dataset

from videossl.data import Sample, collate
from videossl.data.clips import ClipPlan
from videossl.training.callbacks import Throughput
from videossl.training.surviving import SurvivingLoader

FRAMES = torch.zeros(1, 1, dtype=torch.int64).numpy()


class Slow(Dataset[Sample]):
    """Needs so many seconds for a sample."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __getitem__(self, number: int) -> Sample:
        time.sleep(self.seconds)
        return Sample(torch.zeros(1, 1, 3, 2, 2, dtype=torch.uint8), ClipPlan(FRAMES, FRAMES.astype(float)), number, -1)


class Step(LightningModule):
    """Computes for so many seconds a step."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seconds = seconds

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        time.sleep(self.seconds)
        return self.weight * 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Writing(Callback):
    """Something else between two steps, as a checkpoint is."""

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        time.sleep(0.03)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("loading", "computing", "least", "most"), [(0.06, 0.01, 0.4, 0.95), (0.0, 0.02, 0.0, 0.25)])
def test_only_waiting_for_the_loader_counts(loading: float, computing: float, least: float, most: float) -> None:
    loader = SurvivingLoader(
        Slow(loading), lambda skip: iter([[number] for number in range(8)][skip:]), num_batches=8, num_workers=0,
        collate_fn=collate,
    )  # fmt: skip
    trainer = Trainer(
        accelerator="cpu", max_steps=8, log_every_n_steps=4, callbacks=[Throughput(), Writing()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Step(computing), loader)
    assert least <= float(trainer.callback_metrics["train/data_wait_share"]) <= most
    assert loader.waited_seconds >= 8 * loading
