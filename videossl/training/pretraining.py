"""One step of training: views -> embeddings -> objective."""

from einops import rearrange
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from videossl.data import Augment
from videossl.models import WorldModel
from videossl.objectives import AdaSSL, Beta, Loss, MultiViewObjective
from videossl.objectives.collapse import effective_rank, embedding_std
from videossl.training.optimizer import adamw, warmup_cosine
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch


class Pretraining(LightningModule):
    """Train a world model with an objective over views.

    A model with an editor is trained by AdaSSL: the objective sees the edited context embeddings against the futures. A
    model without one is trained by the objective on its views as they are.

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
        self.objective: nn.Module = (
            objective if model.editor is None else AdaSSL(objective, model.latent, model.editor, beta)
        )

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
        loss, _ = self._loss(batch)
        self.log("heldout/loss", loss.total, prog_bar=True, batch_size=len(batch), sync_dist=True)
        if "kl_nats" in loss.terms:
            self.log("heldout/kl_nats", loss.terms["kl_nats"], batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and a warm-up with cosine decay, per step."""
        settings = self.settings
        optimizer = adamw(self, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = warmup_cosine(optimizer, warmup_steps=settings.warmup_steps, max_steps=settings.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, batch: ViewBatch) -> tuple[Loss, Tensor]:
        _, embeddings = self.model.embed_views(self.augment(batch.clips))
        embeddings = self._gather(embeddings)
        if not (self.settings.inference_view and isinstance(self.objective, AdaSSL)):
            return self.objective(embeddings), embeddings
        _, inference = self.model.embed_views(self.augment(batch.clips))
        return self.objective(embeddings, self._gather(inference)), embeddings

    def _gather(self, embeddings: Tensor) -> Tensor:
        """Embeddings (V, B, D) of all processes side by side, with gradients: other processes' videos are negatives.

        Every process computes the loss of the whole batch. Gathering sums the gradients over the processes and
        distributed data parallel averages them, so each parameter gets exactly the gradient of that loss.
        """
        if self.trainer.world_size == 1:
            return embeddings
        gathered = self.all_gather(embeddings, sync_grads=True)  # (W, V, B, D)
        assert isinstance(gathered, Tensor)  # a tensor in, a tensor out; for the type checker
        return rearrange(gathered, "w v b d -> v (w b) d")


def scalars(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms of a loss, one number each: a term of P pairs (P,) becomes `name/0` ... `name/P-1`."""
    single = {name: term for name, term in terms.items() if term.ndim == 0}
    several = {name: term for name, term in terms.items() if term.ndim == 1}
    return single | {f"{name}/{pair}": value for name, term in several.items() for pair, value in enumerate(term)}
