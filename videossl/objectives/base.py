"""What every objective returns, and what a multi-view objective is."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from videossl.objectives.view_graph import Graph


class Loss(NamedTuple):
    """Value of an objective.

    Attributes:
        total: (), weighted sum; the only tensor to call backward() on.
        terms: For logging: detached and unweighted; () each, or (P,) where the name ends in `_per_pair`.
    """

    total: Tensor
    terms: dict[str, Tensor]


class MultiViewObjective(nn.Module, ABC):
    """An objective on embeddings of views whose anchors may be edited (so AdaSSL can stand on it).

    Attributes:
        graph: The view graph as the config says it; see `videossl.objectives.view_graph`.
    """

    graph: Graph

    @abstractmethod
    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and, if the anchors are edited, one prediction a pair (P, B, D)."""


class TeacherObjective(MultiViewObjective):
    """An objective whose targets come from a teacher: a slowly following copy of the encoder (`ema.py`)."""

    @abstractmethod
    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, targets: Tensor | None = None) -> Loss:
        """As `MultiViewObjective`, with the teacher's raw embeddings (V, B, D).

        `targets` None: the embeddings themselves, without gradient.
        """
