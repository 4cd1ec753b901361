"""DINO: agree with a teacher's centred and sharpened distribution over prototypes (arXiv:2104.14294).

Shapes: V views, B videos, D embedding, K prototypes, P ordered pairs of the view graph. Not here: the teacher (ema.py).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import Loss, TeacherObjective
from videossl.objectives.contrast import at_least_float32, full_precision, unit
from videossl.objectives.prediction import check_pairs
from videossl.objectives.temperature import check_temperature
from videossl.objectives.view_graph import Graph, take


def _sharpened(teacher: Tensor, centre: Tensor | None, temperature: float) -> Tensor:
    """softmax((teacher - centre) / temperature), without gradient."""
    logits = at_least_float32(teacher.detach())
    return torch.softmax((logits if centre is None else logits - centre) / temperature, dim=-1)


def dino_cross_entropy(
    student: Tensor,
    teacher: Tensor,
    *,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    centre: Tensor | None = None,
) -> Tensor:
    """`mean_i -sum_k softmax((t[i] - c) / tau_t)_k log softmax(s[i] / tau_s)_k`, in nats (arXiv:2104.14294, eq. 2).

    The denominator of each softmax are the K prototypes; there are no negatives. No gradient reaches the teacher. The
    minimum for a given teacher is the entropy of its distribution. Chance level: log K (a uniform student, whatever
    the teacher says). It is the authors' expression, of one pair of views.

    Args:
        student: (..., B, K) logits, any scale: not normalised here.
        teacher: (..., B, K) logits.
        student_temperature: tau_s > 0.
        teacher_temperature: tau_t > 0, below tau_s: sharpening, against collapse to the uniform distribution.
        centre: (K,), subtracted from the teacher's logits: against collapse to one prototype. None: nothing.

    Returns:
        Tensor of shape (...), float32 or float64, >= 0, mean over B.

    Raises:
        UsageError: Shapes that differ, or a temperature that is not positive.
    """
    if student.shape != teacher.shape or student.ndim < 2:
        raise UsageError(
            f"expected student and teacher logits of the same shape (..., B, K), got {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}."
        )
    check_temperature(student_temperature)
    check_temperature(teacher_temperature)
    with full_precision(student.device):
        wanted = _sharpened(teacher, centre, teacher_temperature)
        said = torch.log_softmax(at_least_float32(student) / student_temperature, dim=-1)
        return -(wanted * said).sum(-1).mean(-1)


class DINO(TeacherObjective):
    """`mean_P` of `dino_cross_entropy` between the anchor (or its prediction) and the teacher's target view.

    Logits: with `num_prototypes`, cosines of the embedding and K learned directions (both L2-normalised, so any scale
    of the embeddings); without, the raw embeddings themselves, K = D.
    The prototypes are shared with the teacher, which reads them without gradient, as in MSN (arXiv:2204.07141). In DINO
    the teacher's are a slow copy: for that make the prototypes the last layer of the encoder that `Teacher` follows.

    `centre` is a running mean of the teacher's logits over videos and target views, `c <- m c + (1 - m) mean`,
    changed after it was used and in training mode only. Embeddings of all processes are gathered before an
    objective, so every process computes the same centre and nothing needs to be reduced here.

    Chance level: log K. At collapse (all embeddings the same) the teacher becomes uniform as soon as the centre has
    reached it, and the value is log K or more. Relation to the authors' code: for two views, all pairs, the same
    teacher logits and centre, the same value.

    Terms: `dino` (), `dino_per_pair` (P,), `teacher_entropy` (mean entropy of a target in nats; at log K all targets
    are uniform: collapse), `prototype_entropy` (entropy of the mean target in nats, at most log K; at 0 all videos use
    one prototype: collapse).

    Args:
        embedding_dim: D.
        num_prototypes: K; 65536 in DINO, for millions of images. None: the embeddings are the logits.
        graph: The view graph.
        student_temperature: tau_s > 0.
        teacher_temperature: tau_t > 0.
        centre_momentum: m in [0, 1).

    Raises:
        UsageError: A number outside its range.
    """

    centre: Tensor

    reads_scale = True

    def __init__(
        self,
        embedding_dim: int,
        num_prototypes: int | None = None,
        graph: Graph = "all",
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        centre_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        check_temperature(student_temperature)
        check_temperature(teacher_temperature)
        num_outputs = embedding_dim if num_prototypes is None else num_prototypes
        if embedding_dim < 1 or num_outputs < 2 or not 0 <= centre_momentum < 1:
            raise UsageError(
                f"expected embedding_dim >= 1, at least 2 prototypes and centre_momentum in [0, 1), got embedding_dim="
                f"{embedding_dim}, num_prototypes={num_prototypes}, centre_momentum={centre_momentum}."
            )
        self.embedding_dim = embedding_dim
        self.graph: Graph = graph
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.centre_momentum = centre_momentum
        self.prototypes = (
            None if num_prototypes is None else nn.Parameter(unit(torch.randn(num_prototypes, embedding_dim)))
        )
        self.register_buffer("centre", torch.zeros(num_outputs))

    def forward(self, embeddings: Tensor, predictions: Tensor | None = None, *, targets: Tensor | None = None) -> Loss:
        """Raw embeddings (V, B, D), perhaps edited anchors (P, B, D) and a teacher's targets (V, B, D) -> Loss."""
        pairs = check_pairs(embeddings, predictions, self.graph, targets=targets)
        if embeddings.shape[-1] != self.embedding_dim:
            raise UsageError(
                f"expected embeddings of {self.embedding_dim} dimensions, got {embeddings.shape[-1]}. "
                f"Set embedding_dim of the objective."
            )
        with full_precision(embeddings.device):
            views = take(embeddings, pairs.anchor_views) if predictions is None else predictions
            student = torch.log_softmax(self._logits(views) / self.student_temperature, dim=-1).unbind(0)
            rows = pairs.anchor_rows if predictions is None else range(len(pairs))
            with torch.no_grad():
                # Only views that are a target of some pair are looked at, each once.
                target_views = sorted({right for _, right in pairs.pairs})
                teacher = self._logits(take(embeddings if targets is None else targets, target_views))
                wanted = _sharpened(teacher, self.centre, self.teacher_temperature)  # (targets, B, K)
            places = [target_views.index(right) for _, right in pairs.pairs]
            # One pair after another: (P, B, K) would hold the distribution of every view V - 1 times.
            per_pair = torch.stack(
                [-(wanted[place] * student[row]).sum(-1).mean() for row, place in zip(rows, places, strict=True)]
            )
            total = per_pair.mean()
            with torch.no_grad():
                terms = {
                    "dino": total.detach(),
                    "dino_per_pair": per_pair.detach(),
                    "teacher_entropy": torch.special.entr(wanted).sum(-1).mean(),
                    "prototype_entropy": torch.special.entr(wanted.mean((0, 1))).sum(),
                }
                if self.training:
                    self.centre.lerp_(teacher.mean((0, 1)).to(self.centre.dtype), 1 - self.centre_momentum)
        return Loss(total, terms)

    def _logits(self, embeddings: Tensor) -> Tensor:
        """(..., B, D) -> (..., B, K), in float32 at least."""
        if self.prototypes is None:
            return at_least_float32(embeddings)
        points, directions = unit(embeddings), unit(self.prototypes)
        return F.linear(points, directions.to(points.dtype))

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return (
            f"embedding_dim={self.embedding_dim}, num_prototypes={len(self.centre)}, graph={self.graph!r}, "
            f"student_temperature={self.student_temperature}, teacher_temperature={self.teacher_temperature}, "
            f"centre_momentum={self.centre_momentum}"
        )
