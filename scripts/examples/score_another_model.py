"""Score a world model that videossl did not train: here a deterministic predictor in the manner of JEPA.

    videossl world digits --config configs/world/quickstart.yaml --num_videos 2000 --out data/digits2000
    python scripts/examples/score_another_model.py --videos data/digits2000        # about two minutes on one core

`videossl.evaluation.evaluate` asks for what `FutureModel` says: embed clips, and give K futures of an embedding.
To bring your own model, write that class around it. It is scored in its own space, and in pixels of true motion, which
can be compared between models.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from videossl.data import ClipPlanner, PyAVReader, VideoIndex, VideoViews
from videossl.evaluation import evaluate, read_held_out, table
from videossl.objectives import Prediction, VarianceCovariance
from videossl.types import Embeddings
from videossl.worlds import load_world

T, SIZE, D = 4, 48, 64


class JEPA(nn.Module):
    """A convolutional encoder of clips and a predictor: one answer for each context."""

    latent = None  # so that nobody asks for a posterior

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3 * T, 32, 5, stride=2, padding=2), nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.GELU(), nn.Flatten(),
            nn.Linear(64 * (SIZE // 8) ** 2, D), nn.BatchNorm1d(D),
        )  # fmt: skip
        self.predictor = nn.Sequential(nn.Linear(D, 256), nn.GELU(), nn.Linear(256, D))

    def encode(self, clips: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 -> (B, D)."""
        return self.encoder(rearrange(clips.float() / 127.5 - 1, "b t c h w -> b (t c) h w"))

    # ---- what videossl.evaluation.FutureModel asks for -----------------------------------------------------------

    @torch.no_grad()
    def embed(self, frames: Tensor) -> Embeddings:
        """Clips as vectors; this model has no vectors of single frames."""
        encoded = self.eval().encode(frames)
        return Embeddings(encoded, F.normalize(encoded, dim=-1), encoded[:, None])

    @torch.no_grad()
    def mean_future(self, states: Tensor) -> Tensor:
        """(B, D) of unit norm -> (B, D)."""
        return F.normalize(self.predictor(states), dim=-1)

    def sample_futures(self, states: Tensor, *, num_samples: int, horizon: int = 1, seed: int = 0) -> Tensor:
        """(B, D) -> (B, K, S, D): K times the one answer, whatever the seed."""
        del seed
        steps = []
        for _ in range(horizon):
            states = self.mean_future(states)
            steps.append(states)
        return repeat(torch.stack(steps, dim=1), "b s d -> b k s d", k=num_samples)

    def reinitialised(self, seed: int) -> "JEPA":
        """The control that has learnt nothing."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return JEPA()


def train(model: JEPA, contexts: Tensor, futures: Tensor, *, num_steps: int) -> None:
    """Predict the embedding of the future; variances and covariances keep the embeddings from collapsing (VICReg)."""
    objective = Prediction(VarianceCovariance(), prediction_weight=25, graph="forward", stop_gradient=False)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    for _ in range(num_steps):
        rows = torch.randint(len(contexts), (128,))
        embeddings = rearrange(model.encode(torch.cat([contexts[rows], futures[rows]])), "(v b) d -> v b d", v=2)
        predicted = embeddings[0].norm(dim=-1, keepdim=True) * model.predictor(F.normalize(embeddings[0], dim=-1))
        optimizer.zero_grad()
        objective(embeddings, predicted[None]).total.backward()
        optimizer.step()


def main() -> None:
    """Train on the videos that are not held out, score on those that are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--videos", type=Path, required=True, help="what `videossl world digits` wrote, or a store of it"
    )
    parser.add_argument("--num_steps", type=int, default=600)
    parser.add_argument("--num_probe_clips", type=int, default=4096, help="fresh videos for learning to read motion")
    options = parser.parse_args()
    torch.manual_seed(0)
    index = VideoIndex.build(options.videos, heldout_share=0.1, seed=0)
    planner = ClipPlanner(num_views=2, num_frames=T)
    views = VideoViews(index.split("train"), planner=planner, frame_size=SIZE)
    clips = rearrange(torch.stack([views[row].clips for row in range(len(views))]), "n two ... -> two n ...")
    model = JEPA()
    train(model, *clips, num_steps=options.num_steps)
    held_out = read_held_out(
        index,
        planner,
        PyAVReader,
        frame_size=SIZE,
        world=load_world(options.videos),
        num_probe_clips=options.num_probe_clips,
    )
    print(table(evaluate(model, None, held_out, num_samples=16)))


if __name__ == "__main__":
    main()
