"""What extraction needs of a model. Anything that has it can be extracted with; `videossl.load` gives such models."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from videossl.types import Embeddings


class TubeletEncoder(Protocol):
    """An encoder that joins so many frames to one step in time.

    One that is causal in time says so by an attribute `causal` that is true; without it, it is taken not to be.
    """

    tubelet_frames: int


class Embedder(Protocol):
    """A model that embeds clips.

    It is on its device and in evaluation mode, and may be called from several threads at once. What else it may have:
    `tokens` (see `TokenEmbedder`, for level "token"), and `encoder.causal`.
    """

    @property
    def encoder(self) -> TubeletEncoder:
        """The encoder."""

    @property
    def pooling(self) -> str:
        """How tokens become one representation, by name."""

    def embed(self, frames: Tensor) -> Embeddings:
        """(B, T, 3, H, W) uint8 -> `Embeddings`."""


@runtime_checkable
class TokenEmbedder(Protocol):
    """A model that gives the tokens of clips too."""

    def tokens(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 -> (B, T', H', W', E) float: one token per tubelet, any scale."""


def is_causal(model: Embedder) -> bool:
    """Whether a token of this model depends on no frame after its tubelet."""
    return bool(getattr(model.encoder, "causal", False))
