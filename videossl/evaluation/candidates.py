"""The crowd among which the likelihood of a future is judged: those that can happen, that cannot, and of others."""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor

from videossl.evaluation.protocol import FutureModel, LikelihoodModel, device_of
from videossl.evaluation.space import Space
from videossl.progress import progress

NUM_OTHERS = 127  # futures of other contexts, a number that does not grow with the evaluation: chance depends on it
PAIRS_AT_ONCE = 1024
DRAWS_OF_LATENT = 16


@dataclass(frozen=True)
class Crowd:
    """Which candidates each of n scored contexts has, the same clips in every embedding space.

    Attributes:
        others: (n, O) rows, among all contexts, whose observed futures are candidates.
        weights: (n, C) true probabilities of the candidates in the order of `candidates`.
    """

    others: Tensor
    weights: Tensor

    @classmethod
    def of(cls, videos: Tensor, scored: Tensor, space: Space, probabilities: Tensor | None, *, seed: int) -> "Crowd":
        """Choose other contexts, of other videos where there are several.

        Args:
            videos: (N,) video of each of all contexts.
            scored: (n,) rows of those that are scored.
            space: The scored contexts in any space; numbers of branches and decoys are read from it.
            probabilities: (n, M) of the branches where they can be counted; None: the observed future is the true one.
            seed: Of the choice.
        """
        allowed = videos[scored][:, None] != videos[None]  # (n, N)
        if not allowed.any(dim=1).all():
            allowed = scored[:, None] != torch.arange(len(videos))[None]
        num_others = min(NUM_OTHERS, int(allowed.sum(dim=1).min()))
        generator = torch.Generator().manual_seed(seed)
        others = torch.multinomial(allowed.float(), num_others, replacement=False, generator=generator)
        num_decoys = 0 if space.decoys is None else space.decoys.shape[1]
        true = torch.ones(len(scored), 1) if probabilities is None else probabilities.float()
        return cls(others, torch.cat([true, torch.zeros(len(scored), num_decoys + num_others)], dim=1))

    def candidates(self, space: Space, futures: Tensor, *, count_branches: bool) -> Tensor:
        """(n, C, D): the true futures, the decoys, the futures of others.

        Args:
            space: The scored contexts in one space.
            futures: (N, D) observed futures of all contexts in the same space.
            count_branches: Whether the true futures are all branches, or the observed one.
        """
        true = space.branches if count_branches and space.branches is not None else space.futures[:, None]
        own = true if space.decoys is None else torch.cat([true, space.decoys], dim=1)
        return torch.cat([own, futures[self.others]], dim=1)


@torch.inference_mode()
def own_log_densities(model: FutureModel, contexts: Tensor, candidates: Tensor, *, seed: int) -> Tensor | None:
    """What a model with `log_prob` says of each candidate: contexts (n, D), candidates (n, C, D) -> (n, C) float64."""
    if not isinstance(model, LikelihoodModel):
        return None
    device = device_of(model)
    states = repeat(contexts, "n d -> (n c) d", c=candidates.shape[1])
    flat = rearrange(candidates, "n c d -> (n c) d")
    batches = list(zip(torch.split(states, PAIRS_AT_ONCE), torch.split(flat, PAIRS_AT_ONCE), strict=True))
    # Seconds for most models; minutes for a prior whose density is an integral, on one core.
    shown = progress(batches, total=len(batches), description="log_prob of candidates", unit="batch")
    parts = [
        model.log_prob(state.to(device), future.to(device), num_samples=DRAWS_OF_LATENT, seed=seed + number)
        for number, (state, future) in enumerate(shown)
    ]
    return rearrange(torch.cat(parts).double().cpu(), "(n c) -> n c", c=candidates.shape[1])
