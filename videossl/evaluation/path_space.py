"""Futures of several steps in the embedding space of one model."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from videossl.evaluation.paths import PathClips
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.shapes import unit
from videossl.evaluation.space import embed_clips


@dataclass(frozen=True)
class PathSpace:
    """Paths in the embedding space of one model.

    Attributes:
        contexts: (n, D).
        steps: For each step s, (n, M_s, D), the last state of each future of s steps.
        decoys: (n, J, S, D).
    """

    contexts: Tensor
    steps: tuple[Tensor, ...]
    decoys: Tensor

    def branches(self, horizon: int) -> Tensor:
        """Whole futures of so many steps, one point each: (n, M, S' D), see `one_point`."""
        count = self.steps[horizon - 1].shape[1]
        of_branch = torch.arange(count)
        states = [self.steps[step][:, of_branch // (count // self.steps[step].shape[1])] for step in range(horizon)]
        return one_point(torch.stack(states, dim=2))

    def decoys_of(self, horizon: int) -> Tensor:
        """Whole decoys of so many steps: (n, J, S' D)."""
        return one_point(self.decoys[:, :, :horizon])


def one_point(paths: Tensor) -> Tensor:
    """States of S steps (..., S, D) as one point (..., S D), so that cosines are means over the steps."""
    return rearrange(unit(paths), "... s d -> ... (s d)") / paths.shape[-2] ** 0.5


def embed_paths(model: FutureModel, clips: PathClips, *, description: str) -> PathSpace:
    """Embed every clip of the paths once with one model."""

    def embedded(several: Tensor) -> Tensor:
        flat = rearrange(several, "n m t c h w -> (n m) t c h w")
        return rearrange(embed_clips(model, flat, description=description).embedding, "(n m) d -> n m d", n=len(clips))

    num_steps = clips.num_steps
    return PathSpace(
        contexts=embed_clips(model, clips.contexts, description=description).embedding,
        steps=tuple(embedded(of_step) for of_step in clips.branches),
        decoys=rearrange(
            embedded(rearrange(clips.decoys, "n j s t c h w -> n (j s) t c h w")), "n (j s) d -> n j s d", s=num_steps
        ),
    )
