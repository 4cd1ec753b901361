"""A model and a world so small that everything about them is known: a clip says its own embedding in its pixels."""

import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videossl.evaluation import HeldOut, ProbeClips, Trajectories
from videossl.types import Embeddings

D, M = 8, 4
STEPS = 0.7 * torch.eye(D)[:M]  # what each branch adds to the state
WRONG_STEPS = 0.7 * torch.eye(D)[M : M + 3]
KICKS = torch.tensor([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0], [0.0, -3.0]])  # px/frame, of each branch
PROBABILITIES = torch.tensor([0.4, 0.3, 0.2, 0.1])


def unit(x: Tensor) -> Tensor:
    return nn.functional.normalize(x, dim=-1)


def clips_that_say(embeddings: Tensor) -> Tensor:
    """(..., D) unit vectors -> clips (..., 2, 3, 8, 8) uint8 whose first row of pixels is the vector."""
    pixels = (embeddings * 127 + 128).round().to(torch.uint8)
    clips = torch.zeros(*embeddings.shape[:-1], 2, 3, 8, D, dtype=torch.uint8)
    clips[..., 0, :] = pixels[..., None, None, :]
    return clips


def motion(states: Tensor, kicks: Tensor) -> Tensor:
    """(n, D) -> (n, M, 2, 1, 2) px: one object, two frames, starting from where the state says."""
    frames = torch.arange(1.0, 3)[:, None]
    return (10 * states[:, None, None, -2:] + kicks[:, None] * frames)[..., None, :]


def little_states(n: int, generator: torch.Generator) -> Tensor:
    """(n, D), nearly at right angles to the steps: which step was taken can be told from where it led."""
    sizes = torch.cat([torch.full((M,), 0.3), torch.ones(D - M)])
    return unit(sizes * torch.randn(n, D, generator=generator))


class Gaussian(NamedTuple):
    mean: Tensor
    log_variance: Tensor


class KnowingModel(nn.Module):
    """Samples exactly the branches of the little world."""

    def __init__(self, probabilities: Tensor = PROBABILITIES) -> None:
        super().__init__()
        self.latent: object | None = "known"
        self.scramble = nn.Parameter(torch.eye(D), requires_grad=False)
        self.probabilities = probabilities
        self.num_posterior_calls = 0
        self.num_embedded = 0

    def embed(self, frames: Tensor) -> Embeddings:
        assert frames.dtype == torch.uint8
        self.num_embedded += len(frames)
        vectors = (frames[:, :, 0, 0].float() - 128) / 127 @ self.scramble  # (B, T, D)
        return Embeddings(vectors.mean(dim=1), unit(vectors.mean(dim=1)), vectors)

    def sample_futures(self, frames: Tensor, *, num_samples: int, horizon: int = 1, seed: int = 0) -> Tensor:
        if self.latent is None:
            return self.mean_future(frames)[:, None, None].expand(-1, num_samples, horizon, -1)
        generator = torch.Generator().manual_seed(seed)
        chances = self.probabilities.expand(len(frames), -1)
        chosen = torch.multinomial(chances, num_samples, replacement=True, generator=generator)
        return unit(frames[:, None] + STEPS[chosen])[:, :, None].expand(-1, -1, horizon, -1)

    def mean_future(self, frames: Tensor) -> Tensor:
        return unit(frames + (self.probabilities[:, None] * STEPS).sum(dim=0))

    def posterior_futures(self, context: Tensor, future: Tensor, *, num_samples: int, seed: int = 0) -> Tensor:
        self.num_posterior_calls += 1
        return future[:, None].expand(-1, num_samples, -1)

    def latent_distributions(self, context: Tensor, future: Tensor) -> tuple[Gaussian, Gaussian]:
        self.num_posterior_calls += 1
        posterior = Gaussian(future - context, torch.full_like(context, -4.0))
        return posterior, Gaussian(torch.zeros_like(context), torch.zeros_like(context))

    def reinitialised(self, seed: int) -> "KnowingModel":
        fresh = copy.deepcopy(self)
        generator = torch.Generator().manual_seed(seed)
        fresh.scramble = nn.Parameter(torch.randn(D, D, generator=generator), requires_grad=False)
        return fresh


def twin() -> KnowingModel:
    model = KnowingModel()
    model.latent = None
    return model


def little_world(n: int = 64, *, seed: int = 0) -> HeldOut:
    """n contexts, each with its M branches and 3 decoys, all of them known."""
    generator = torch.Generator().manual_seed(seed)
    states = little_states(n, generator)
    taken = torch.multinomial(PROBABILITIES.expand(n, -1), 1, generator=generator)[:, 0]
    branches = unit(states[:, None] + STEPS)
    paths = motion(states, KICKS)
    return HeldOut(
        contexts=clips_that_say(states),
        futures=clips_that_say(branches[torch.arange(n), taken]),
        names=tuple(f"{number}.mp4" for number in range(n)),
        videos=torch.arange(n),
        seconds=torch.zeros(n, dtype=torch.float64),
        branches=clips_that_say(branches),
        branch_probabilities=PROBABILITIES.expand(n, -1),
        taken=taken,
        decoys=clips_that_say(unit(states[:, None] + WRONG_STEPS)),
        trajectories=Trajectories(paths[torch.arange(n), taken], paths),
        probe=little_probe(seed=seed + 1),
        labels=(states[:, 0] > 0).long(),
        label_name="side",
        world="little",
    )


def little_probe(n: int = 800, *, seed: int = 1) -> ProbeClips:
    """Fresh clips of the little world: none of its contexts is among them."""
    generator = torch.Generator().manual_seed(seed)
    states = little_states(n, generator)
    taken = torch.multinomial(PROBABILITIES.expand(n, -1), 1, generator=generator)[:, 0]
    return ProbeClips(
        contexts=clips_that_say(states),
        futures=clips_that_say(unit(states + STEPS[taken])),
        videos=torch.arange(n),
        targets={"class": (states[:, 0] > 0).long(), "position": states[:, 1:3], "kick": STEPS[taken][:, :3]},
        trajectories=motion(states, KICKS)[torch.arange(n), taken],
    )


def real_video(n: int = 64) -> HeldOut:
    """The same without anything that only a world knows; clips of other times stand as decoys."""
    unknown = dict.fromkeys(("branches", "branch_probabilities", "taken", "trajectories", "probe", "labels", "world"))
    return replace(little_world(n), **unknown)
