"""What a world model asks of an encoder, whoever made it."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videossl.errors import UsageError


class Encoder(nn.Module, ABC):
    """Clips -> tokens on a grid in time and space.

    Whatever follows (pooling, projector, training, extraction, export) asks for nothing but what stands here. An
    encoder of your own is a subclass that sets the attributes (those of pixels by `set_pixels`) and has a `forward`; a
    config names it by its import path.

    Where an encoder starts from weights that were learnt elsewhere, its `reset_parameters` puts these back: training
    begins with it, and the control that has learnt nothing in the training is made with it.

    Attributes:
        width: Dimension E of a token.
        patch_size: Side of a token's patch in pixels.
        tubelet_frames: Frames that are joined to one step in time: T' = ceil(T / tubelet_frames).
        causal: Whether a token depends on no frame after its own step in time.
        clip_frames: The number of frames that it was made for; None for any.
        takes_any_length: Whether clips of other lengths than `clip_frames` are taken.
        frame_size: The one side in pixels that frames may have; None for any multiple of `patch_size`.
        pixel_mean: (3, 1, 1) float, mean of RGB pixels in [0, 1] that the encoder subtracts itself. Says also on which
            device and of which type clips are wanted.
        pixel_std: (3, 1, 1) float, the deviation that it divides by.
    """

    width: int
    patch_size: int
    tubelet_frames: int
    causal: bool = False
    clip_frames: int | None = None
    takes_any_length: bool = True
    frame_size: int | None = None
    pixel_mean: Tensor
    pixel_std: Tensor

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips.

        Args:
            clips: (B, T, 3, H, W) float in [0, 1], RGB. Normalised by the encoder.

        Returns:
            (B, T', H', W', E) float tokens. Where one stands for a whole frame, H' = W' = 1.
        """

    def check_attributes(self) -> None:
        """Refuse an encoder that lacks what all else asks of it.

        Raises:
            UsageError: It has not set all of the attributes.
        """
        needed = ("width", "patch_size", "tubelet_frames", "pixel_mean", "pixel_std")
        missing = [name for name in needed if not hasattr(self, name)]
        if missing:
            raise UsageError(
                f"encoder {type(self).__name__} lacks {', '.join(missing)}. Set each in its __init__"
                f"{', the pixels by self.set_pixels(mean, std)' if missing[-1].startswith('pixel') else ''}."
            )

    def check_clip(self, clips: Tensor) -> None:
        """Refuse clips that are none, or that this encoder cannot take; see `check_size`."""
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise UsageError(f"expected clips of shape (B, T, 3, H, W), got {tuple(clips.shape)}.")
        self.check_size(clips.shape[1], clips.shape[3], clips.shape[4])

    def check_size(self, num_frames: int, height: int, width: int) -> None:
        """Refuse clips of these sizes if this encoder cannot take them.

        Raises:
            UsageError: Another length or frame size than it was made for, or no multiple of the patch size.
        """
        wanted = self.frame_size
        if wanted is not None and (height, width) != (wanted, wanted):
            raise UsageError(
                f"expected frames of {wanted} x {wanted} pixels, the only size that this encoder takes, got "
                f"{height} x {width}. Set data.frame_size and augment.size to {wanted}."
            )
        if height % self.patch_size or width % self.patch_size:
            raise UsageError(
                f"expected frames whose sides are multiples of the patch size {self.patch_size}, got {height} x "
                f"{width} pixels. Resize or crop them, or change model.encoder."
            )
        if not self.takes_any_length and num_frames != self.clip_frames:
            raise UsageError(
                f"expected clips of {self.clip_frames} frames, which is what this encoder was made for, got "
                f"{num_frames}. Set data.clips.num_frames to {self.clip_frames}, or have others cut into such clips "
                "with model.encoder.init_args.other_lengths: windows."
            )

    def parts_to_share(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002
        """Write what this encoder needs on another machine beside its weights, which are written anyhow.

        Args:
            folder: Where the shared model is written.

        Returns:
            Arguments that it is to be made with there, instead of its own; paths begin with "./" for `folder`.
        """
        return {}

    def filled(self, clips: Tensor) -> Tensor:
        """(B, T, ...) -> (B, T rounded up to whole tubelets, ...): the last frame is repeated."""
        missing = -clips.shape[1] % self.tubelet_frames
        if not missing:
            return clips
        return torch.cat([clips, clips[:, -1:].expand(-1, missing, *clips.shape[2:])], dim=1)

    def set_pixels(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Keep mean and deviation of pixels, three numbers each, as buffers; they are no weights."""
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1), persistent=False)
