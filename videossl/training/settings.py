"""What a user sets for training: the schema of the section `training` of a config."""

from dataclasses import dataclass, field
from typing import Literal

from videossl.errors import UsageError
from videossl.training.refit_settings import PriorRefit, TransitionRefit


@dataclass
class TrainingSettings:
    """How long, how fast and on what to train.

    Attributes:
        max_steps: Optimizer steps.
        batch_size: Videos per step and device.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: On matrices only.
        warmup_steps: Steps over which the learning rate rises.
        clip_norm: Gradients with a larger norm are scaled down to it.
        inference_view: Infer r from a second augmentation of the future, which keeps pixel noise out of r; costs one
            more pass of the encoder.
        free_nats: Nats of every coordinate of r and pair of views that cost nothing (free bits).
        kl_balance: Share of the gradient of the KL that goes to the prior, 0 to 1 (DreamerV2: 0.8); null: the plain KL.
        rollout: Train the transition for several steps: later views are predicted from its own predictions of the views
            between, with one r a step. Needs an objective with graph "forward", and views in order of time (for example
            data.clips.num_views 3, mode future).
        encode_chunk: Videos per process that are encoded at a time: the exact gradient of the whole batch with the
            memory of a chunk, for one more forward pass of the encoder. null encodes the whole batch at once.
        teacher_decay: For objectives that can have a teacher: how slowly it follows the model at the start, 0 to 1;
            slower and slower until the end. null: as the objective has it (0.996 for Distillation and DINO, no teacher
            for Prediction).
        precision: "auto" takes bf16 autocast where the device has it (GPUs since Ampere) and float32 elsewhere.
        accelerator: Lightning's name: "auto", "cpu", "gpu", "mps" ...
        devices: Number of devices per node, or "auto".
        num_nodes: Number of machines.
        strategy: "auto": one device, or "ddp" on several; "fsdp": parameters, gradients and optimizer states in shards
            over the devices of a node, for models that one device cannot hold; or another of Lightning's names.
        num_workers: Loader processes per device; 0 decodes in the training process.
        num_threads: Threads of torch on the CPU; null leaves torch's choice.
        log_every: Steps between two lines of metrics.csv.
        heldout_every: Steps between two looks at the held-out videos; a shorter training looks once, at its end.
        heldout_batches: Batches of held-out videos at each look, at most.
        checkpoint_every: Steps between two checkpoints.
        refit_transition: How latent and editor are trained on when the training has ended, on embeddings that stand
            still, before the prior is fitted; null: they are not.
        refit: How the prior of the latent is fitted once more when the training has ended; null: it is not.
    """

    max_steps: int = 100_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    clip_norm: float = 1.0
    inference_view: bool = False
    free_nats: float = 0.0
    kl_balance: float | None = None
    rollout: bool = False
    encode_chunk: int | None = None
    teacher_decay: float | None = None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    num_workers: int = 0
    num_threads: int | None = None
    log_every: int = 20
    heldout_every: int = 250
    heldout_batches: int = 4
    checkpoint_every: int = 1000
    refit_transition: TransitionRefit | None = None
    refit: PriorRefit | None = field(default_factory=PriorRefit)

    def __post_init__(self) -> None:
        for name in (
            "max_steps",
            "batch_size",
            "num_nodes",
            "log_every",
            "heldout_every",
            "heldout_batches",
            "checkpoint_every",
        ):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"expected training.{name} >= 1, got {value}.")
        for name in ("weight_decay", "warmup_steps", "num_workers"):
            value = getattr(self, name)
            if value < 0:
                raise UsageError(f"expected training.{name} of 0 or more, got {value}.")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise UsageError(f"expected training.{name} above 0, got {value}.")
        if self.encode_chunk is not None and self.encode_chunk < 1:
            raise UsageError(
                f"expected training.encode_chunk >= 1 (or null, for the whole batch), got {self.encode_chunk}."
            )
        if self.teacher_decay is not None and not 0 <= self.teacher_decay <= 1:
            raise UsageError(
                f"expected training.teacher_decay from 0 to 1 (or null: the objective's own), got {self.teacher_decay}."
            )
        if not 0 <= self.free_nats < float("inf"):
            raise UsageError(f"expected training.free_nats of 0 or more, got {self.free_nats}.")
        if self.kl_balance is not None and not 0 <= self.kl_balance <= 1:
            raise UsageError(f"expected training.kl_balance from 0 to 1 (or null), got {self.kl_balance}.")
        if self.num_threads is not None and self.num_threads < 1:
            raise UsageError(
                f"expected training.num_threads >= 1 (or null, for torch's choice), got {self.num_threads}."
            )
        if self.batch_size < 2:
            raise UsageError(
                "expected training.batch_size >= 2, got 1: objectives compare videos, or normalise over them."
            )
