"""One step of training: views -> embeddings -> objective."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from videossl.data import Augment
from videossl.models import WorldModel
from videossl.objectives import AdaSSL, Beta, Loss, MultiViewObjective, TeacherObjective
from videossl.objectives.collapse import effective_rank, embedding_std
from videossl.objectives.ema import Teacher
from videossl.objectives.similarity_graph import label_similarity
from videossl.objectives.x_sample import XSample
from videossl.training.gathering import gather_videos, gather_views
from videossl.training.gradient_caching import encode_in_chunks
from videossl.training.optimizer import adamw, warmup_cosine
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch


class Pretraining(LightningModule):
    """Train a world model with an objective over views.

    A model with an editor is trained by AdaSSL: the objective sees the edited context embeddings against the futures. A
    model without one is trained by the objective on its views as they are.

    Videos of all processes are gathered before the objective, so that other processes' videos are negatives too.
    What some objectives want beside embeddings: a `TeacherObjective` gets the embeddings of a teacher that follows the
    encoder and projector (it is in checkpoints, the model that is exported is the one that it follows), `XSample` a
    graph of the videos that have the same label.

    Args:
        model: What is trained.
        objective: Embeddings (V, B, D) and, with an editor, predictions -> `Loss`.
        beta: Weight of the latent's penalty; None for a model without a latent.
        augment: uint8 views -> float views.
        settings: Section `training` of the config.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: MultiViewObjective,
        beta: Beta | None,
        augment: Augment,
        settings: TrainingSettings,
    ) -> None:
        super().__init__()
        self.model = model
        self.augment = augment
        self.settings = settings
        self.objective: nn.Module = objective
        if model.editor is not None:
            self.objective = AdaSSL(
                objective,
                model.latent,
                model.editor,
                beta,
                free_nats=settings.free_nats,
                kl_balance=settings.kl_balance,
            )
        decay: float | None = getattr(objective, "teacher_decay", settings.teacher_decay)
        self.teacher: Teacher | None = None
        if decay is not None and isinstance(objective, TeacherObjective):
            self.teacher = Teacher(_without_transition(model), settings.max_steps, decay)
        self._wants_similarity = isinstance(objective, XSample)

    def training_step(self, batch: ViewBatch, batch_idx: int) -> Tensor:
        """The loss of one batch, and what is logged of it."""
        loss, embeddings = self._loss(batch)
        logged = {f"train/{name}": value for name, value in scalars(loss.terms).items()}
        if self.trainer.global_step % self.settings.log_every == 0:
            contexts = embeddings[0].detach().cpu()  # (B, D); some devices have no float64
            logged |= {"train/embedding_std": embedding_std(contexts), "train/effective_rank": effective_rank(contexts)}
        self.log_dict(logged, batch_size=len(batch))
        self.log("train/loss", loss.total.detach(), prog_bar=True, batch_size=len(batch))
        return loss.total

    def validation_step(self, batch: ViewBatch, batch_idx: int) -> None:
        """The same loss on held-out videos, not augmented."""
        loss, embeddings = self._loss(batch)
        size = embeddings.shape[1]
        self.log("heldout/loss", loss.total, prog_bar=True, batch_size=size, sync_dist=True)
        if "kl_nats" in loss.terms:
            self.log("heldout/kl_nats", loss.terms["kl_nats"], batch_size=size, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and a warm-up with cosine decay, per step."""
        settings = self.settings
        optimizer = adamw(self, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = warmup_cosine(optimizer, warmup_steps=settings.warmup_steps, max_steps=settings.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The teacher follows after every step, before a checkpoint of that step is written."""
        super().optimizer_step(*args, **kwargs)
        if self.teacher is not None:
            self.teacher.update(_without_transition(self.model), self.trainer.global_step + 1)

    def _loss(self, batch: ViewBatch) -> tuple[Loss, Tensor]:
        embeddings, *taught = self._encode(batch, taught=self.teacher is not None)
        given = {"targets": taught[0]} if taught else {}
        if self._wants_similarity:
            given["similarity"] = label_similarity(gather_videos(batch.labels, even=self.training))
        if not (self.settings.inference_view and isinstance(self.objective, AdaSSL)):
            return self.objective(embeddings, **given), embeddings
        (inference,) = self._encode(batch, taught=False)
        return self.objective(embeddings, inference, **given), embeddings

    def _encode(self, batch: ViewBatch, *, taught: bool) -> tuple[Tensor, ...]:
        """Embeddings (V, B, D) of the videos of all processes, augmented anew; if asked, the teacher's of them too."""

        def encode(clips: Tensor) -> tuple[Tensor, ...]:
            views = self.augment(clips)
            _, embeddings = self.model.embed_views(views)
            if not taught or self.teacher is None:
                return (embeddings,)
            # After the model: where chunks are computed a second time, that stops before it comes here.
            with torch.no_grad():
                return embeddings, _world_model(self.teacher).embed_views(views)[1]

        encoded = encode_in_chunks(encode, batch.clips, self.settings.encode_chunk)
        # Training batches are full in every process, see train_loader.
        return tuple(gather_views(part, even=self.training) for part in encoded)


def _without_transition(model: WorldModel) -> WorldModel:
    """The same encoder and projector, and neither latent nor editor: what a teacher follows."""
    return WorldModel(model.encoder, lambda _: model.projector, pooling=model.pooling)


def _world_model(teacher: Teacher) -> WorldModel:
    assert isinstance(teacher.module, WorldModel)  # a copy of one; for the type checker
    return teacher.module


def scalars(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms of a loss, one number each: a term of P pairs (P,) becomes `name/0` ... `name/P-1`."""
    single = {name: term for name, term in terms.items() if term.ndim == 0}
    several = {name: term for name, term in terms.items() if term.ndim == 1}
    return single | {f"{name}/{pair}": value for name, term in several.items() for pair, value in enumerate(term)}
