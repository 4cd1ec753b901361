"""One step of training: views -> embeddings -> objective."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from videossl.data import Augment, MultiCrop
from videossl.errors import UsageError
from videossl.models import GaussianLatent, WorldModel
from videossl.objectives import (
    AdaSSL,
    Beta,
    InformationBudget,
    LearnedTemperature,
    Loss,
    MultiViewObjective,
    Prediction,
    TeacherObjective,
)
from videossl.objectives.collapse import effective_rank, embedding_std
from videossl.objectives.ema import Teacher
from videossl.objectives.similarity_graph import label_similarity
from videossl.objectives.x_sample import XSample
from videossl.training.auxiliaries import Auxiliary
from videossl.training.gathering import gather_videos, gather_views
from videossl.training.gradient_caching import encode_in_chunks
from videossl.training.optimizer import adamw, warmup_cosine
from videossl.training.settings import TrainingSettings
from videossl.training.sharding import shard
from videossl.training.suited_prior import Made, tried_prior
from videossl.transition.protocols import FittedByMatching
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
        augment: uint8 views -> float views; of `MultiCrop` every group is encoded at its own size.
        settings: Section `training` of the config.
        seed: Of augmentation, dropout and the draws of r.
        auxiliaries: Losses beside the objective, on the views of this process.

    Raises:
        UsageError: Settings of the latent without a latent, or an objective that can only collapse.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: MultiViewObjective,
        beta: Beta | None,
        augment: Augment | MultiCrop,
        settings: TrainingSettings,
        seed: int = 0,
        auxiliaries: Sequence[Auxiliary] = (),
    ) -> None:
        super().__init__()
        _check(model, objective, beta, settings)
        if auxiliaries and settings.encode_chunk is not None:
            raise UsageError(
                "auxiliaries look at a whole batch at once: leave them out, or set training.encode_chunk to null."
            )
        if auxiliaries and isinstance(augment, MultiCrop):
            raise UsageError(
                "auxiliaries want views of one size: leave them out, or use augment videossl.data.Augment."
            )
        self.seed = seed
        self.model = model
        self.augment = augment
        self.settings = settings
        self.objective: nn.Module = objective
        if model.editor is not None:
            self.objective = AdaSSL(
                objective,
                model.latent,
                model.editor,
                None if model.latent is None else beta,
                normalise=True,  # as the world model does
                free_nats=settings.free_nats,
                kl_balance=settings.kl_balance,
                rollout=settings.rollout,
            )
        self.auxiliaries = nn.ModuleList(auxiliaries)
        self.teacher: Teacher | None = None
        decay = _teacher_decay(objective, settings)
        if decay is not None:
            self.teacher = Teacher(_without_transition(model), settings.max_steps, decay)
        self._wants_similarity = isinstance(objective, XSample)

    def configure_model(self) -> None:
        """In shards, where the strategy has a mesh of devices for them."""
        if self.device_mesh is not None:
            shard(self, self.device_mesh)

    def training_step(self, batch: ViewBatch, batch_idx: int) -> Tensor:
        """The loss of one batch, and what is logged of it."""
        loss, embeddings = self._loss(batch, self.trainer.global_step)
        logged = {f"train/{name}": value for name, value in scalars(loss.terms).items()}
        for learned in self.objective.modules():
            if isinstance(learned, LearnedTemperature):
                logged["train/temperature"] = learned().detach().mean()
        if self.trainer.global_step % self.settings.log_every == 0:
            contexts = embeddings[0].detach().cpu()  # (B, D); some devices have no float64
            logged |= {"train/embedding_std": embedding_std(contexts), "train/effective_rank": effective_rank(contexts)}
        self.log_dict(logged, batch_size=len(batch))
        self.log("train/loss", loss.total.detach(), prog_bar=True, batch_size=len(batch))
        return loss.total

    def validation_step(self, batch: ViewBatch, batch_idx: int) -> None:
        """The same loss on held-out videos, not augmented."""
        loss, embeddings = self._loss(batch, -1 - batch_idx)
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

    def _loss(self, batch: ViewBatch, step: int) -> tuple[Loss, Tensor]:
        # Every step draws from a seed of its own: a training that stopped goes on with the draws that it would have
        # had, a look at held-out videos changes nothing and is the same each time, and processes augment differently.
        torch.manual_seed(hash((self.seed, step, self.global_rank)) % 2**63)
        # r is of the gathered videos, and every process computes the loss of all of them: the same draws everywhere.
        latent_draws = torch.Generator(self.device).manual_seed(hash((self.seed, step)) % 2**63)
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        embeddings, *taught = self._encode(batch, taught=self.teacher is not None, seen=seen)
        given = {"targets": taught[0]} if taught else {}
        if self._wants_similarity:
            given["similarity"] = label_similarity(gather_videos(batch.labels, even=self.training))
        if self.settings.inference_view and isinstance(self.objective, AdaSSL):
            (given["inference"],) = self._encode(batch, taught=False)
        loss = self._objective(embeddings, latent_draws, **given)
        return self._with_auxiliaries(loss, *seen[0]) if self.auxiliaries else loss, embeddings

    def _with_auxiliaries(self, loss: Loss, views: Tensor, representations: Tensor, embeddings: Tensor) -> Loss:
        total, terms = loss
        for auxiliary in self.auxiliaries:
            assert isinstance(auxiliary, Auxiliary)  # they were given so; for the type checker
            value = auxiliary(self.model, views, representations, embeddings)
            total, terms = total + auxiliary.weight * value, {**terms, auxiliary.name: value.detach()}
        return Loss(total, terms)

    def _objective(self, embeddings: Tensor, generator: torch.Generator, **given: Tensor) -> Loss:
        if isinstance(self.objective, AdaSSL):
            return self.objective(embeddings, generator=generator, **given)
        return self.objective(embeddings, **given)

    def _encode(
        self, batch: ViewBatch, *, taught: bool, seen: list[tuple[Tensor, Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, ...]:
        """Embeddings (V, B, D) of the videos of all processes, augmented anew; if asked, the teacher's of them too.

        Views, representations and embeddings of this process' own videos are added to `seen`.
        """

        def encode(clips: Tensor) -> tuple[Tensor, ...]:
            views = self.augment(clips)
            representations, embeddings = _encoded(self.model, views)
            if seen is not None and isinstance(views, Tensor):
                seen.append((views, representations, embeddings))
            if not taught or self.teacher is None:
                return (embeddings,)
            # After the model: where chunks are computed a second time, that stops before it comes here.
            with torch.no_grad():
                return embeddings, _encoded(_world_model(self.teacher), views)[1]

        encoded = encode_in_chunks(encode, batch.clips, self.settings.encode_chunk)
        # Training batches are full in every process, see train_loader.
        return tuple(gather_views(part, even=self.training) for part in encoded)


def _teacher_decay(objective: MultiViewObjective, settings: TrainingSettings) -> float | None:
    if not isinstance(objective, TeacherObjective):
        return None
    return objective.teacher_decay if settings.teacher_decay is None else settings.teacher_decay


def _check(model: WorldModel, objective: MultiViewObjective, beta: Beta | None, settings: TrainingSettings) -> None:
    asked = [name for name in ("free_nats", "kl_balance", "inference_view") if getattr(settings, name)]
    if asked and (model.latent is None or model.editor is None):
        raise UsageError(
            f"training.{asked[0]} is about the latent, and this model has none. Leave it out, or set model.latent."
        )
    if settings.rollout and model.editor is None:
        raise UsageError("training.rollout is about the transition, and this model has none. Set model.editor.")
    _check_refit(model, beta, settings)
    can_collapse = isinstance(objective, Prediction) and objective.regulariser is None
    if can_collapse and _teacher_decay(objective, settings) is None:
        raise UsageError(
            "Prediction with neither a regulariser nor a teacher collapses. Set objective.regulariser to "
            "videossl.objectives.SIGReg or VarianceCovariance, or training.teacher_decay to 0.996."
        )


def _check_refit(model: WorldModel, beta: Beta | None, settings: TrainingSettings) -> None:
    refit = settings.refit_transition
    if refit is None:
        return
    trains = "training.refit_transition trains single steps of a transition"
    if model.editor is None:
        raise UsageError(f"{trains}, and this model has none. Leave it out, or set model.editor.")
    if settings.rollout:
        raise UsageError(f"{trains}, and training.rollout trains several. Leave one of them out.")
    budgets = {"nats": refit.nats, "shared.nats": None if refit.shared is None else refit.shared.nats}
    for name, nats in budgets.items():
        if nats is not None and not isinstance(beta if model.latent is not None else None, InformationBudget):
            raise UsageError(
                f"training.refit_transition.{name}={nats:g} is held by an InformationBudget, and this model has "
                f"{'no latent' if model.latent is None else f'a {type(beta).__name__} as beta'}. Leave it out, or say "
                f"--training.refit_transition.{name} null."
            )
    if refit.prior is not None:
        _check_trained_along(refit.prior, model.latent)


def _check_trained_along(prior: Made, latent: nn.Module | None) -> None:
    setting = "training.refit_transition.prior"
    if not isinstance(latent, GaussianLatent):
        kind = "no latent" if latent is None else f"a {type(latent).__name__}"
        raise UsageError(
            f"{setting} is trained along with a GaussianLatent, and this model has {kind}. Leave it out, or say "
            f"--{setting} null."
        )
    made = tried_prior(prior, latent, setting)
    if isinstance(made, FittedByMatching):
        raise UsageError(
            f"a {type(made).__name__} is not learned by its density, so it cannot be trained along with a latent, "
            f"got it as {setting}. Fit it afterwards: training.refit.prior."
        )


def _without_transition(model: WorldModel) -> WorldModel:
    """The same encoder and projector, and neither latent nor editor: what a teacher follows."""
    return WorldModel(model.encoder, lambda _: model.projector, pooling=model.pooling)


def _encoded(model: WorldModel, views: Tensor | list[Tensor]) -> tuple[Tensor, Tensor]:
    """Representations (V, B, E) and raw embeddings (V, B, D) of views (B, V, T, C, H, W), or of groups of sizes."""
    groups = [views] if isinstance(views, Tensor) else views
    representations, embeddings = zip(*(model.embed_views(group) for group in groups), strict=True)
    return torch.cat(representations), torch.cat(embeddings)


def _world_model(teacher: Teacher) -> WorldModel:
    assert isinstance(teacher.module, WorldModel)  # a copy of one; for the type checker
    return teacher.module


def scalars(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms of a loss, one number each: a term of P pairs (P,) becomes `name/0` ... `name/P-1`."""
    single = {name: term for name, term in terms.items() if term.ndim == 0}
    several = {name: term for name, term in terms.items() if term.ndim == 1}
    return single | {f"{name}/{pair}": value for name, term in several.items() for pair, value in enumerate(term)}
