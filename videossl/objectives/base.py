"""What every objective returns, and what a multi-view objective is."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch.nn.functional as F
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
        reads_scale: Whether the norm of an embedding matters: predictions must then be of the scale of the embeddings.
    """

    graph: Graph
    reads_scale: ClassVar[bool] = False

    @abstractmethod
    def forward(self, embeddings: Tensor, predictions: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D) and, if the anchors are edited, one prediction a pair (P, B, D)."""

    def closeness(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """How well predictions say targets, in the units of the loss and up to a constant: for choosing among few.

        Args:
            predictions: (..., D), any scale.
            targets: (..., D), raw.

        Returns:
            (...): the cosine, where an objective does not say otherwise.
        """
        return F.cosine_similarity(predictions, targets, dim=-1)

    def losses(self, embeddings: Tensor, predictions: Tensor, targets: Tensor | None = None) -> Tensor | None:
        """What each of several guesses would cost, where the whole is a mean over pairs and videos.

        Args:
            embeddings: (V, B, D), raw.
            predictions: (C, P, B, D), C guesses of every pair.
            targets: (V, B, D), the teacher's; None: the embeddings.

        Returns:
            (C, P, B), with gradients; None where the loss of a video cannot be told from that of others.
        """
        del embeddings, predictions, targets
        return None


class TeacherObjective(MultiViewObjective):
    """An objective whose targets come from a teacher: a slowly following copy of the encoder (`ema.py`).

    Attributes:
        teacher_decay: How slowly, where whoever trains says nothing else; None: without a teacher.
    """

    teacher_decay: ClassVar[float | None] = 0.996

    @abstractmethod
    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, targets: Tensor | None = None) -> Loss:
        """As `MultiViewObjective`, with the teacher's raw embeddings (V, B, D).

        `targets` None: the embeddings themselves, without gradient.
        """
