"""The real clip that each sampled future is nearest to: what a point of an embedding space means outside of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from videossl.evaluation.shapes import check_samples, unit
from videossl.evaluation.space import Space

TRUE, DECOY, OTHER = 0, 1, 2
SAME = 1e-6  # cosines of float32 embeddings that are no further apart are equal
CONTEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Nearest:
    """For each of K samples of n contexts, one of its candidates.

    Attributes:
        number: (n, K) int64. Below n: the observed future of that context, another one; then the J decoys of the own
            context; then its branches.
        num_contexts: n contexts whose observed futures are candidates.
        num_decoys: J.
    """

    number: Tensor
    num_contexts: int
    num_decoys: int

    def __getitem__(self, rows: slice) -> "Nearest":
        """Those of some contexts; the numbers go on counting all of them."""
        return Nearest(self.number[rows], self.num_contexts, self.num_decoys)

    @property
    def kind(self) -> Tensor:
        """(n, K) int64: TRUE a possible future of the context, DECOY an impossible one, OTHER of another context."""
        is_decoy = self.number < self.num_contexts + self.num_decoys
        return torch.where(self.number < self.num_contexts, OTHER, torch.where(is_decoy, DECOY, TRUE))

    def kind_among(self, possible: Tensor) -> Tensor:
        """`kind`, where a branch that is not possible (n, M) bool counts as a decoy."""
        branch = (self.number - self.num_contexts - self.num_decoys).clamp_min(0)
        return torch.where((self.kind == TRUE) & ~possible.gather(1, branch), DECOY, self.kind)

    def of(self, futures: Tensor, branches: Tensor, decoys: Tensor | None) -> Tensor:
        """What belongs to the chosen candidates: clips, trajectories or anything else that comes one a candidate.

        Args:
            futures: (n, ...) of all contexts.
            branches: (n', M, ...) of the contexts of `number`.
            decoys: (n', J, ...), None if there are none.

        Returns:
            (n', K, ...).
        """
        own = branches if decoys is None else torch.cat([decoys, branches], dim=1)
        rows = torch.arange(len(own))[:, None]
        of_own = own[rows, (self.number - self.num_contexts).clamp_min(0)]
        is_other = (self.number < self.num_contexts).reshape(*self.number.shape, *[1] * (own.ndim - 2))
        return torch.where(is_other, futures[self.number.clamp_max(self.num_contexts - 1)], of_own)


def nearest_real(samples: Tensor, space: Space) -> Nearest:
    """The real clip that each sample is nearest to, by cosine in its own space.

    Candidates are the branches of the context (where they are not known: its observed future), its decoys, and the
    observed futures of all other contexts. Where several are equally near, one of another context is taken before a
    decoy, and a decoy before a branch, the first of equals: an encoder for which all clips look the same says one
    and the same thing of all contexts. Decoys would not do for that, as one of them may lie amid the branches.

    Args:
        samples: (n, K, D) sampled futures; any scale.
        space: The same n contexts, embedded by the model that the samples are of.
    """
    check_samples(samples)
    branches = space.futures[:, None] if space.branches is None else space.branches
    own = unit(branches if space.decoys is None else torch.cat([space.decoys, branches], dim=1))
    points, futures = unit(samples), unit(space.futures)
    n = len(points)
    numbers = []
    for start in range(0, n, CONTEXTS_AT_ONCE):
        rows = slice(start, start + CONTEXTS_AT_ONCE)
        itself = torch.arange(n)[rows, None, None] == torch.arange(n)
        of_others = (points[rows] @ futures.T).masked_fill(itself, -torch.inf)
        cosines = torch.cat([of_others, points[rows] @ own[rows].transpose(1, 2)], dim=2)  # (b, K, n + J + M)
        is_nearest = cosines >= cosines.amax(dim=2, keepdim=True) - SAME
        numbers.append(is_nearest.byte().argmax(dim=2))  # argmax takes the first of equals
    return Nearest(torch.cat(numbers), n, own.shape[1] - branches.shape[1])
