"""The clips of an evaluation in the embedding space of one model: each embedded once, then only looked up."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from videossl.evaluation.check_model import checked_embeddings
from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.protocol import FutureModel, device_of
from videossl.progress import progress
from videossl.types import Embeddings

CLIPS_AT_ONCE = 64  # more is no faster on a CPU, and needs memory for large models


@dataclass(frozen=True)
class Space:
    """Embeddings of n contexts and of all that may follow them, by one model; distances hold within it only.

    Attributes:
        name: Whose space: "run", "twin" or "random".
        contexts: (n, D), unit norm: the states from which futures are predicted.
        futures: (n, D), the observed ones.
        representations: (n, E), of the contexts.
        branches: (n, M, D) or None.
        decoys: (n, J, D) or None.
    """

    name: str
    contexts: Tensor
    futures: Tensor
    representations: Tensor
    branches: Tensor | None
    decoys: Tensor | None

    def __getitem__(self, rows: Tensor) -> "Space":
        """The same space with some of the contexts: their row numbers (n',)."""
        return Space(
            name=self.name,
            contexts=self.contexts[rows],
            futures=self.futures[rows],
            representations=self.representations[rows],
            branches=None if self.branches is None else self.branches[rows],
            decoys=None if self.decoys is None else self.decoys[rows],
        )


@torch.inference_mode()
def embed_clips(model: FutureModel, clips: Tensor, *, description: str = "embedding") -> Embeddings:
    """Embed many clips in batches.

    Args:
        model: Its weights say on which device.
        clips: (N, T, C, H, W) uint8.
        description: Of the progress bar.

    Returns:
        Embeddings of all N clips, float32 on the CPU.
    """
    device = device_of(model)
    starts = range(0, len(clips), CLIPS_AT_ONCE)
    parts: list[Embeddings] = []
    for start in progress(starts, total=len(starts), description=description, unit="batch"):
        batch = clips[start : start + CLIPS_AT_ONCE].to(device)
        part = checked_embeddings(model.embed(batch), len(batch))
        parts.append(
            Embeddings(part.representation.float().cpu(), part.embedding.float().cpu(), part.frames.float().cpu())
        )
    return Embeddings(
        representation=torch.cat([part.representation for part in parts]),
        embedding=torch.cat([part.embedding for part in parts]),
        frames=torch.cat([part.frames for part in parts]),
    )


def embed_space(model: FutureModel, held_out: HeldOut, name: str) -> Space:
    """Embed every clip of the evaluation once with one model."""

    def embeddings_of(clips: Tensor | None) -> Tensor | None:
        if clips is None:
            return None
        flat = rearrange(clips, "n m t c h w -> (n m) t c h w")
        embedded = embed_clips(model, flat, description=f"embedding ({name})").embedding
        return rearrange(embedded, "(n m) d -> n m d", n=len(clips))

    contexts = embed_clips(model, held_out.contexts)
    return Space(
        name=name,
        contexts=contexts.embedding,
        futures=embed_clips(model, held_out.futures).embedding,
        representations=contexts.representation,
        branches=embeddings_of(held_out.branches),
        decoys=embeddings_of(held_out.decoys),
    )
