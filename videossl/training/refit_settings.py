"""What is fitted once more when a training has ended, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from videossl.errors import UsageError

FEWEST_VIDEOS = 16  # that a prior is fitted to


@dataclass
class PriorRefit:
    """Maximum likelihood for the prior alone, on draws of the posterior, after the training.

    Attributes:
        prior: Class of the prior, made with the dimensions of embedding and latent: StandardNormalPrior,
            SharedMixturePrior, GaussianPrior, MixturePrior, FlowPrior or FlowMatchingPrior of videossl.models, for a
            SparseGate GatePrior. null: what suits the latent, see `suited_prior`.
        kept_out_share: Share of the videos to train on that are kept out of the fit: it stops by them, and the fitted
            prior is kept only where it is better on them. Videos that are held out for evaluation are not touched.
        num_draws: Clips that are cut from each video, at different times where it is long enough.
        max_videos: Of more videos than these, so many are drawn.
        max_steps: Of AdamW, with a learning rate that falls as a cosine.
        patience_steps: Stop after so many steps without a better prior.
        batch_size: Pairs a step; r is drawn anew each time.
        learning_rate: Peak.
        weight_decay: On matrices; it holds back a prior that learns its contexts by heart.
        context_noise: Length of the noise that is added to a context of length 1 in the fit, for the same end.
    """

    prior: Callable[[int, int], nn.Module] | None = None
    kept_out_share: float = 0.1
    num_draws: int = 4
    max_videos: int = 20_000
    max_steps: int = 2000
    patience_steps: int = 400
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    context_noise: float = 0.1

    def __post_init__(self) -> None:
        _check_settings(
            self,
            counts=("num_draws", "max_videos", "max_steps", "patience_steps", "batch_size"),
            weights=("weight_decay", "context_noise"),
        )


@dataclass
class SharedStage:
    """What comes before a `TransitionRefit` so that r means the same change in every context.

    Latent and editor are trained with one mixture of all contexts as the prior (`SharedMixturePrior`): r that says one
    change in two ways costs more. It is a start only, and no prior of a model.

    Attributes:
        num_components: Of the mixture, at least as many as there are kinds of change.
        max_steps: Of training latent and editor with it; before that the mixture is fitted alone, to r as it is. All
            other settings are those of the fit that comes after.
        nats: Budget of r, of what the shared mixture cannot foresee: more than of the fit that comes after it, whose
            prior sees the context. null: that of the fit.
    """

    num_components: int = 16
    max_steps: int = 2500
    nats: float | None = None

    def __post_init__(self) -> None:
        if min(self.num_components, self.max_steps) < 1:
            raise UsageError(
                f"expected num_components and max_steps of a refit's shared stage >= 1, got {self.num_components} and "
                f"{self.max_steps}."
            )
        _check_nats(self.nats)


@dataclass
class TransitionRefit:
    """Latent and editor trained on, on embeddings of an encoder that stands still, before the prior is fitted.

    Attributes:
        kept_out_share: Share of the videos to train on that are kept out of the fit: it is kept only where it is better
            on them. Videos that are held out for evaluation are not touched.
        num_draws: Clips that are cut from each video, at different times where it is long enough.
        max_videos: Of more videos than these, so many are drawn.
        max_steps: Of AdamW, with a learning rate that falls as a cosine.
        batch_size: Pairs a step: more than in the training, as nothing is encoded.
        learning_rate: Peak.
        weight_decay: On matrices.
        nats: Budget of r where an `InformationBudget` holds it; null: as in the training. More of them make what r was
            told more certain, and ask more of the prior; embeddings that have been learned can no longer suffer by it.
        prior: Class of a prior that is trained along, made with the dimensions of embedding and latent, for example
            MixturePrior: it is fitted to r as the training left it, then latent, editor and prior learn together. The
            budget is then of nats that this prior cannot foresee, so that r sheds what makes it hard to foresee. Its
            first fit has the settings of `PriorRefit`, but for steps and batches. null: the prior of the training.
        shared: A stage before it, for an r that steers; it needs a `prior`. null: none.
    """

    kept_out_share: float = 0.1
    num_draws: int = 4
    max_videos: int = 20_000
    max_steps: int = 1000
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    nats: float | None = None
    prior: Callable[[int, int], nn.Module] | None = None
    shared: SharedStage | None = None

    def __post_init__(self) -> None:
        _check_settings(self, counts=("num_draws", "max_videos", "max_steps"), weights=("weight_decay",))
        if self.batch_size < 2:
            raise UsageError(f"expected batch_size of a refit >= 2, as pairs are compared, got {self.batch_size}.")
        _check_nats(self.nats)
        if self.shared is not None and self.prior is None:
            raise UsageError(
                "the shared stage of a refit comes before a prior of each context is trained along, and none is. Set "
                "training.refit_transition.prior, for example to videossl.models.MixturePrior, or say "
                "--training.refit_transition.shared null."
            )


def _check_nats(nats: float | None) -> None:
    if nats is not None and not 0 < nats < float("inf"):
        raise UsageError(f"expected nats of a refit above 0 (or null, for those of the training), got {nats}.")


def _check_settings(settings: PriorRefit | TransitionRefit, *, counts: Sequence[str], weights: Sequence[str]) -> None:
    for name in counts:
        value = getattr(settings, name)
        if value < 1:
            raise UsageError(f"expected {name} of a refit >= 1, got {value}.")
    if settings.max_videos < FEWEST_VIDEOS:
        raise UsageError(f"expected max_videos of a refit >= {FEWEST_VIDEOS}, got {settings.max_videos}.")
    for name in weights:
        value = getattr(settings, name)
        if not 0 <= value < float("inf"):
            raise UsageError(f"expected {name} of a refit of 0 or more, got {value}.")
    if not 0 < settings.kept_out_share < 1 or not 0 < settings.learning_rate < float("inf"):
        raise UsageError(
            f"expected kept_out_share of a refit between 0 and 1 and learning_rate above 0, got "
            f"{settings.kept_out_share} and {settings.learning_rate}."
        )
