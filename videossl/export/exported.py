"""What is exported: frames as they are decoded in, the vectors that extraction writes out."""

import torch
from torch import Tensor, nn

from videossl.models import WorldModel

INPUT = "frames"
OUTPUTS = ("representation", "frame_vectors")


class ExportedEncoder(nn.Module):
    """The encoder of a model with all that is done to pixels before it, and the pooling after it.

    Args:
        model: In evaluation mode, on the CPU.
        num_frames: Frames T of a clip: part of the file, as the positions of tokens are.
        frame_size: Height and width of frames in pixels.
    """

    def __init__(self, model: WorldModel, *, num_frames: int, frame_size: int) -> None:
        super().__init__()
        self.model = model
        self.shape = (num_frames, 3, frame_size, frame_size)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Embed clips.

        Args:
            frames: (B, T, 3, H, W) uint8, RGB; any B.

        Returns:
            Representation (B, E) and frame vectors (B, T', E'), float32: those of `WorldModel.embed`.
        """
        return self.model.represent(frames.to(torch.float32) / 255)

    def clips(self, batch: int, *, seed: int) -> Tensor:
        """Clips to export and check with: noise of every contrast, from nearly grey to black and white."""
        generator = torch.Generator().manual_seed(seed)
        contrast = torch.rand(batch, 1, 1, 1, 1, generator=generator)
        noise = torch.randn(batch, *self.shape, generator=generator)
        return (127.5 + 127.5 * contrast * noise).clamp(0, 255).to(torch.uint8)
