"""A video transformer: tubelets in, tokens out.

Pre-norm blocks (arXiv:2002.04745) over space-time tokens as in ViViT (arXiv:2103.15691) and V-JEPA
(arXiv:2404.08471).
Positions are fixed sines and cosines, factorised over time, height and width, and computed for the clip at hand, so
that a trained model takes other clip lengths and frame sizes.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models.encoder import Encoder
from videossl.models.stems import LinearStem

Size = Literal["tiny", "small", "base", "large"]
SIZES: dict[Size, tuple[int, int, int]] = {  # width, depth, heads
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
# Mean and deviation of RGB pixels in [0, 1] over ImageNet: the convention of nearly all published vision models.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


def sines_and_cosines(positions: Tensor, width: int) -> Tensor:
    """Positions as sines and cosines of geometrically spaced wavelengths (arXiv:1706.03762, section 3.5).

    Args:
        positions: (L,) float.
        width: Number of features, even.

    Returns:
        (L, width) float32 in [-1, 1].
    """
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(width // 2, device=positions.device) / (width // 2))
    angles = positions[:, None].float() * frequencies  # (L, width / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, E) -> (B, N, E); `mask` (N, N) bool says which key (column) a query (row) may see, None: all."""
        q, k, v = rearrange(self.qkv(tokens), "b n (three h d) -> three b h n d", three=3, h=self.num_heads)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(rearrange(attended, "b h n d -> b n (h d)"))


class Block(nn.Module):
    """Pre-norm transformer block: attention and MLP, each added to what came in."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        tokens = tokens + self.attention(self.norm_attention(tokens), mask)
        return tokens + self.mlp(self.norm_mlp(tokens))


class VideoTransformer(Encoder):
    """Encode clips as space-time tokens.

    Args:
        size: Width, depth and heads together: tiny 192/12/3, small 384/12/6, base 768/12/12, large 1024/24/16.
        width: Token dimension E, instead of the size's; a multiple of the number of heads and of 2.
        depth: Number of blocks, instead of the size's.
        num_heads: Attention heads, instead of the size's.
        patch_size: Side of a tubelet in pixels; frames must be a multiple of it.
        tubelet_frames: Frames per tubelet. A clip whose length is no multiple of it is filled up by repeating its last
            frame, so a single image is a clip too.
        position_grid: Number of patches along a side that spatial positions are scaled to, whatever the frame size, so
            that the middle of a frame is the middle at every size.
        causal: Tokens see their own tubelet time and earlier ones only (block-causal in time), so that a frame's tokens
            do not depend on later frames; otherwise all tokens see each other.
        mlp_ratio: Hidden width of the MLPs over the token width.
        stem: Made with width, patch size and tubelet frames: pixels -> tokens; `LinearStem` or `ConvStem`.
    """

    def __init__(
        self,
        size: Size = "small",
        *,
        width: int | None = None,
        depth: int | None = None,
        num_heads: int | None = None,
        patch_size: int = 16,
        tubelet_frames: int = 2,
        position_grid: int = 14,
        causal: bool = False,
        mlp_ratio: float = 4.0,
        stem: Callable[[int, int, int], nn.Module] = LinearStem,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth), ("num_heads", num_heads), ("patch_size", patch_size),
                            ("tubelet_frames", tubelet_frames), ("position_grid", position_grid)):  # fmt: skip
            if value is not None and value < 1:
                raise UsageError(f"expected the encoder's {name} of at least 1, got {value}.")
        size_width, size_depth, size_heads = SIZES[size]
        self.width = width or size_width
        heads = num_heads or size_heads
        if self.width % heads or self.width % 2:
            raise UsageError(
                f"expected a width that is a multiple of num_heads and of 2, got width={self.width} and "
                f"num_heads={heads}. Change one of them."
            )
        self.patch_size = patch_size
        self.tubelet_frames = tubelet_frames
        self.position_grid = position_grid
        self.causal = causal
        self.tubelets = stem(self.width, patch_size, tubelet_frames)
        self.blocks = nn.ModuleList(Block(self.width, heads, mlp_ratio) for _ in range(depth or size_depth))
        self.norm = nn.LayerNorm(self.width)
        self.set_pixels(PIXEL_MEAN, PIXEL_STD)

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips.

        Args:
            clips: (B, T, 3, H, W) float in [0, 1], RGB; H and W multiples of `patch_size`. Normalised here.

        Returns:
            (B, T', H', W', E) float tokens: one per tubelet, T' = ceil(T / tubelet_frames), H' = H / patch_size.
        """
        self.check_clip(clips)
        tubelets = self.tubelets(self.filled(clips), self.pixel_mean, self.pixel_std)  # (B, T', H', W', E)
        grid = tubelets.shape[1:4]
        tokens = rearrange(tubelets, "b t h w e -> b (t h w) e")
        tokens = tokens + self._positions(grid, tokens.device).to(tokens.dtype)
        mask = self._causal_mask(grid, tokens.device) if self.causal else None
        for block in self.blocks:
            tokens = block(tokens, mask)
        return rearrange(self.norm(tokens), "b (t h w) e -> b t h w e", t=grid[0], h=grid[1], w=grid[2])

    def _positions(self, grid: torch.Size, device: torch.device) -> Tensor:
        """(N, E) positions of the tokens of a (T', H', W') grid."""
        times, rows, columns = (torch.arange(length, device=device) for length in grid)
        # Two thirds of the features for space, the rest for time; each part even, for the sines and cosines.
        space = 2 * (self.width // 6)
        of_time = sines_and_cosines(times, self.width - 2 * space)
        of_row = sines_and_cosines((rows + 0.5) * (self.position_grid / grid[1]), space)
        of_column = sines_and_cosines((columns + 0.5) * (self.position_grid / grid[2]), space)
        t, h, w = grid
        parts = (
            of_time[:, None, None].expand(t, h, w, -1),
            of_row[None, :, None].expand(t, h, w, -1),
            of_column[None, None, :].expand(t, h, w, -1),
        )
        return rearrange(torch.cat(parts, dim=-1), "t h w e -> (t h w) e")

    @staticmethod
    def _causal_mask(grid: torch.Size, device: torch.device) -> Tensor:
        """(N, N) bool: the tokens of a tubelet time see that time and the ones before it."""
        time_of_token = torch.arange(grid[0], device=device).repeat_interleave(grid[1] * grid[2])
        return time_of_token[:, None] >= time_of_token[None, :]
