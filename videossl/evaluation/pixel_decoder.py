"""A small decoder from embeddings to pixels: used to look at predictions, never to train or to score anything."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from videossl.evaluation.shapes import unit
from videossl.progress import progress

LARGEST_SIDE = 64
CELL = 4  # px: the coarse grid has a place for each cell of so many pixels
BATCH_SIZE = 64
LEARNING_RATE = 4e-3
HELD_BACK_SHARE = 0.1
FEWEST_CLIPS = 40


class PixelDecoder(nn.Module):
    """Embeddings (N, D) of unit norm -> clips (N, T, C, H, W) in [0, 1], H = W at most 64.

    One linear layer to a coarse grid, two convolutions there, and every place of the grid becomes 4 x 4 pixels of all
    frames.

    Args:
        embedding_dim: D.
        num_frames: T.
        num_colours: C, 1 or 3; with 1 the colours of a picture are all the same.
        side: Of the frames that it draws, a multiple of 4.
        width: Channels on the grid.

    Attributes:
        explained: Share of the variance of pixels that it draws right, of clips held back from its training: 1 is
            exact, 0 is what the mean picture reaches.
    """

    def __init__(self, embedding_dim: int, *, num_frames: int, num_colours: int, side: int, width: int = 64) -> None:
        super().__init__()
        self.num_frames, self.num_colours, self.grid = num_frames, num_colours, side // CELL
        self.scale = embedding_dim**0.5
        self.spread = nn.Sequential(nn.Linear(embedding_dim, 256), nn.GELU(), nn.Linear(256, width * self.grid**2))
        self.sharpen = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, num_frames * num_colours * CELL**2, 1),
        )
        self.explained = float("nan")

    def start_from(self, brightness: float) -> None:
        """Draw every pixel so bright, in (0, 1), whatever the embedding."""
        last = self.sharpen[-1]
        assert isinstance(last, nn.Conv2d)  # as built above
        nn.init.constant_(last.bias, math.log(brightness / (1 - brightness)))  # type: ignore[arg-type]

    def forward(self, embeddings: Tensor) -> Tensor:
        """Log-odds of every pixel, (N, T, C, H, W)."""
        coarse = rearrange(self.spread(self.scale * unit(embeddings)), "n (c h w) -> n c h w", h=self.grid, w=self.grid)
        return rearrange(
            self.sharpen(coarse),
            "n (t c y x) h w -> n t c (h y) (w x)",
            t=self.num_frames,
            c=self.num_colours,
            y=CELL,
            x=CELL,
        )

    @torch.inference_mode()
    def draw(self, embeddings: Tensor) -> Tensor:
        """Pictures of embeddings (..., D): (..., T, 3, H, W) uint8."""
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        parts = [self(part).sigmoid().mul(255).round().byte() for part in torch.split(flat, BATCH_SIZE)]
        drawn = torch.cat(parts).expand(-1, -1, 3, -1, -1)
        return drawn.reshape(*embeddings.shape[:-1], *drawn.shape[1:])


def shrunk(clips: Tensor) -> Tensor:
    """Clips (N, T, C, H, W) uint8 at the size at which they are drawn: a multiple of 4, at most 64."""
    side = min(LARGEST_SIDE, clips.shape[-1] // CELL * CELL)
    if clips.shape[-1] == clips.shape[-2] == side:
        return clips
    flat = clips.flatten(0, -4)
    small = F.interpolate(flat, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return small.reshape(*clips.shape[:-2], side, side)


def fit_pixel_decoder(embeddings: Tensor, clips: Tensor, *, num_steps: int, seed: int) -> PixelDecoder:
    """Train a decoder on frozen embeddings of real clips, none of which will be looked at.

    Args:
        embeddings: (N, D) of the clips.
        clips: (N, T, C, H, W) uint8, square.
        num_steps: Of 64 clips each.
        seed: Of the weights and the order; the same seed gives the same decoder.

    Raises:
        ValueError: Fewer than 40 clips, or shapes that do not fit.
    """
    if len(clips) < FEWEST_CLIPS or len(embeddings) != len(clips) or clips.ndim != 5:
        raise ValueError(
            f"expected the embeddings of at least {FEWEST_CLIPS} clips (N, T, C, H, W), got {tuple(embeddings.shape)} "
            f"and {tuple(clips.shape)}."
        )
    pictures = shrunk(clips)
    if bool((pictures == pictures[:, :, :1]).all()):
        pictures = pictures[:, :, :1]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pictures), generator=generator)
    num_held_back = round(HELD_BACK_SHARE * len(pictures))
    held_back, fitted = order[:num_held_back], order[num_held_back:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = PixelDecoder(
            embeddings.shape[1],
            num_frames=pictures.shape[1],
            num_colours=pictures.shape[2],
            side=pictures.shape[-1],
        )
    # Most of a picture is often dark: start from how bright a pixel is on average, and not from grey.
    brightness = float(pictures[fitted[: 16 * BATCH_SIZE]].float().mean() / 255)
    decoder.start_from(min(max(brightness, 0.01), 0.99))
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=num_steps, pct_start=0.1)
    points = embeddings.detach().clone()  # inference tensors cannot be trained on
    for _ in progress(range(num_steps), total=num_steps, description="decoder, to look", unit="step"):
        rows = fitted[torch.randint(len(fitted), (BATCH_SIZE,), generator=generator)]
        loss = F.binary_cross_entropy_with_logits(decoder(points[rows]), pictures[rows].float() / 255)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    decoder.eval()
    decoder.explained = _explained(decoder, points, pictures, fitted, held_back)
    return decoder


@torch.inference_mode()
def _explained(decoder: PixelDecoder, points: Tensor, pictures: Tensor, fitted: Tensor, held_back: Tensor) -> float:
    mean = pictures[fitted[: 16 * BATCH_SIZE]].float().mean(dim=0) / 255
    wrong, all_of_it = 0.0, 0.0
    for rows in torch.split(held_back, BATCH_SIZE):
        true = pictures[rows].float() / 255
        wrong += float((decoder(points[rows]).sigmoid() - true).square().sum())
        all_of_it += float((mean - true).square().sum())
    return 1 - wrong / max(all_of_it, 1e-12)
