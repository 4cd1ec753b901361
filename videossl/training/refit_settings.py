"""How the prior of a trained model is fitted once more."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from videossl.errors import UsageError


@dataclass
class PriorRefit:
    """Maximum likelihood for the prior alone, on draws of the posterior, after the training.

    Attributes:
        prior: Class of the prior, made with the dimensions of embedding and latent. null: what suits the latent, see
            `suited_prior`.
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
        for name in ("num_draws", "max_videos", "max_steps", "patience_steps", "batch_size"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"expected {name} of a refit >= 1, got {value}.")
        for name in ("weight_decay", "context_noise"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UsageError(f"expected {name} of a refit of 0 or more, got {value}.")
        if not 0 < self.kept_out_share < 1 or not 0 < self.learning_rate < float("inf"):
            raise UsageError(
                f"expected kept_out_share of a refit between 0 and 1 and learning_rate above 0, got "
                f"{self.kept_out_share} and {self.learning_rate}."
            )
