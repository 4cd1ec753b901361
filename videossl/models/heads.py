"""Projectors: from the representation to the embedding that objectives see."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from videossl.transition.networks import mlp


class Projector(nn.Module, ABC):
    """From the representation to the embedding; made with the width of the representation.

    Attributes:
        embedding_dim: Embedding dimension D.
    """

    embedding_dim: int

    @abstractmethod
    def forward(self, representation: Tensor) -> Tensor:
        """(B, E) -> (B, D), not normalised."""


class IdentityProjector(Projector):
    """The embedding is the representation: for encoders that are used as they came.

    Args:
        in_dim: Width of the representation.
    """

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.embedding_dim = in_dim

    def forward(self, representation: Tensor) -> Tensor:
        """(B, E) -> (B, E)."""
        return representation


class MLPProjector(Projector):
    """Project representations with an MLP.

    Args:
        in_dim: Width of the representation.
        embedding_dim: Embedding dimension D.
        hidden_dim: Width of the hidden layers.
        num_hidden: Number of hidden layers.
    """

    def __init__(self, in_dim: int, *, embedding_dim: int = 128, hidden_dim: int = 512, num_hidden: int = 1) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.layers = mlp(in_dim, hidden_dim, embedding_dim, num_hidden=num_hidden)

    def forward(self, representation: Tensor) -> Tensor:
        """(B, E) -> (B, D), not normalised."""
        return self.layers(representation)
