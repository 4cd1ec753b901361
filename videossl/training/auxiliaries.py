"""Losses beside the objective: what a representation should know that telling futures apart does not ask for.

In a config, a list under `auxiliaries`; each has a weight. They are in checkpoints, not in the exported weights.
Shapes: b videos of this process, V views, T frames of a view, E representation, D embedding.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models import WorldModel
from videossl.transition.networks import mlp


class Auxiliary(nn.Module, ABC):
    """A loss beside the objective.

    Made with the dimensions of representation and embedding and the frames of a clip, before its own arguments.

    Attributes:
        name: For logs.
        weight: Of the loss in the total.
        fewest_views: Of each video that it needs.
    """

    name: str
    weight: float
    fewest_views: int = 1

    def check_views(self, num_views: int) -> None:
        """Raise a UsageError if there are too few views of each video."""
        if num_views < self.fewest_views:
            raise UsageError(
                f"{type(self).__name__} needs {self.fewest_views} views of each video, got {num_views}. "
                "Raise data.clips.num_views."
            )

    @abstractmethod
    def forward(self, model: WorldModel, views: Tensor, representations: Tensor, embeddings: Tensor) -> Tensor:
        """The loss, not weighted.

        Args:
            model: For what has to be encoded besides.
            views: (b, V, T, 3, H, W) float in [0, 1], as the encoder saw them.
            representations: (V, b, E).
            embeddings: (V, b, D), raw.

        Returns:
            ().
        """


class MotionPrediction(Auxiliary):
    """Every clip's embedding says how its own frames differ: what the clip knows itself, r need not tell.

    A net on the embedding (of unit norm) predicts the coarse grey difference of each frame to the one before it, and
    the last frame itself. The loss is the share of the variance over the batch that it misses: 0 is all, 1 is what the
    mean picture reaches. Without it the latent spends nats on velocities that the embedding had not kept.

    Args:
        representation_dim: E.
        embedding_dim: D.
        clip_frames: T.
        weight: Of the loss.
        grid: Pictures are averaged to grid x grid.
        hidden_dim: Width of the hidden layer.
    """

    name = "motion"

    def __init__(
        self,
        representation_dim: int,
        embedding_dim: int,
        clip_frames: int,
        *,
        weight: float = 0.3,
        grid: int = 12,
        hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        _check_weight(weight)
        _check_counts(grid=grid)
        self.weight, self.grid = weight, grid
        self.scale = math.sqrt(embedding_dim)
        self.net = mlp(embedding_dim, hidden_dim, clip_frames * grid**2)

    def forward(self, model: WorldModel, views: Tensor, representations: Tensor, embeddings: Tensor) -> Tensor:
        """See `Auxiliary`."""
        grey = rearrange(views.mean(dim=3), "b v t h w -> (v b) t h w")
        frames = F.adaptive_avg_pool2d(grey, self.grid)
        wanted = torch.cat([frames.diff(dim=1), frames[:, -1:]], dim=1).flatten(1)
        return _missed(self.net(self.scale * F.normalize(embeddings.flatten(0, 1), dim=-1)), wanted)


class NextFrames(Auxiliary):
    """Every clip's embedding says what the first frames of the view after it look like, on average over what may come.

    A net on the embedding (of unit norm) predicts these frames, coarse and grey. What the clip cannot know blurs them;
    where things go if nothing else happens it can know, and has to keep. `MotionPrediction` asks less of it where a
    motion changes within the clip, as when something bounces off an edge. The loss is the share of the variance over
    the batch that is missed. Views are to be in order of time, two of them at least.

    Args:
        representation_dim: E.
        embedding_dim: D.
        clip_frames: T.
        weight: Of the loss.
        num_frames: Frames of the view after it; of clips that have fewer, all.
        grid: Pictures are averaged to grid x grid.
        hidden_dim: Width of the hidden layer.
    """

    name = "next_frames"
    fewest_views = 2

    def __init__(
        self,
        representation_dim: int,
        embedding_dim: int,
        clip_frames: int,
        *,
        weight: float = 1.0,
        num_frames: int = 2,
        grid: int = 12,
        hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        _check_weight(weight)
        _check_counts(grid=grid, num_frames=num_frames)
        self.weight, self.grid, self.num_frames = weight, grid, min(num_frames, clip_frames)
        self.scale = math.sqrt(embedding_dim)
        self.net = mlp(embedding_dim, hidden_dim, self.num_frames * grid**2)

    def forward(self, model: WorldModel, views: Tensor, representations: Tensor, embeddings: Tensor) -> Tensor:
        """See `Auxiliary`."""
        self.check_views(views.shape[1])
        grey = rearrange(views[:, 1:, : self.num_frames].mean(dim=3), "b v t h w -> (v b) t h w")
        wanted = F.adaptive_avg_pool2d(grey, self.grid).flatten(1)
        return _missed(self.net(self.scale * F.normalize(embeddings[:-1].flatten(0, 1), dim=-1)), wanted)


class TranslatedView(Auxiliary):
    """A clip and the same clip moved to another place of the canvas are told from other clips: what it shows is kept.

    Futures are told apart by where things are, so a representation that is trained on them alone may not say what the
    things are. Moving by any distance, around the edges, leaves that alone; the pair has a head of its own and no
    editor. The head is linear: what tells clips apart can then be read from the representation by a weighted sum. The
    loss is InfoNCE in both directions, log of the number of clips at chance.

    Args:
        representation_dim: E.
        embedding_dim: D.
        clip_frames: T.
        weight: Of the loss.
        share: Of the videos of a batch that are used, from the first view of each.
        temperature: tau.
        head_dim: Width of the space in which the clips are compared.
    """

    name = "translated"

    def __init__(
        self,
        representation_dim: int,
        embedding_dim: int,
        clip_frames: int,
        *,
        weight: float = 0.5,
        share: float = 0.5,
        temperature: float = 0.1,
        head_dim: int = 64,
    ) -> None:
        super().__init__()
        _check_weight(weight)
        if not 0 < share <= 1 or not temperature > 0:
            raise UsageError(f"expected share within 0 and 1 and temperature above 0, got {share} and {temperature}.")
        self.weight, self.share, self.temperature = weight, share, temperature
        self.head = nn.Linear(representation_dim, head_dim)

    def forward(self, model: WorldModel, views: Tensor, representations: Tensor, embeddings: Tensor) -> Tensor:
        """See `Auxiliary`."""
        count = max(2, round(self.share * len(views)))
        moved, _ = model.represent(rolled(views[:count, 0]))
        here, there = (F.normalize(self.head(each).float(), dim=-1) for each in (representations[0, :count], moved))
        logits = here @ there.T / self.temperature
        own = torch.arange(len(logits), device=logits.device)
        return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def _missed(said: Tensor, wanted: Tensor) -> Tensor:
    """Share of the variance over the batch that is missed, both (n, features): () float32; 0 of one, which has none."""
    if len(wanted) < 2:
        return 0 * said.float().sum()
    variance = wanted.float().var(dim=0, correction=0).mean()
    return (said.float() - wanted).square().mean() / variance.clamp_min(1e-6)


def rolled(clips: Tensor) -> Tensor:
    """Each clip (b, T, C, H, W) moved by a distance of its own, all frames alike; what leaves comes in opposite."""
    for axis in (3, 4):
        size = clips.shape[axis]
        distance = torch.randint(size, (len(clips), 1), device=clips.device)
        source = (torch.arange(size, device=clips.device) - distance) % size  # (b, size)
        shape = [len(clips), 1, 1, 1, 1]
        shape[axis] = size
        clips = clips.gather(axis, source.view(shape).expand_as(clips))
    return clips


def _check_weight(weight: float) -> None:
    if not 0 <= weight < math.inf:
        raise UsageError(f"expected the weight of an auxiliary of 0 or more, got {weight}.")


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"expected {name} of an auxiliary of at least 1, got {count}.")
