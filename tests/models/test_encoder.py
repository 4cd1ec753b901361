"""An encoder of somebody else, with no more than the class asks for."""

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.export.check import largest_difference
from videossl.export.exported import ExportedEncoder
from videossl.export.formats import FORMATS
from videossl.models import Encoder, WorldModel


class Patches(Encoder):
    """Two numbers for each patch of every frame."""

    width = 2
    patch_size = 4
    tubelet_frames = 1

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3 * 16, 2)
        self.set_pixels((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))

    def forward(self, clips: Tensor) -> Tensor:
        self.check_clip(clips)
        pixels = (clips - self.pixel_mean) / self.pixel_std
        return self.map(rearrange(pixels, "b t c (h p) (w q) -> b t h w (c p q)", p=4, q=4))


def test_an_encoder_of_ones_own_is_used_like_ours(tmp_path):
    model = WorldModel(Patches()).eval()
    embeddings = model.embed(torch.zeros(2, 3, 3, 8, 12, dtype=torch.uint8))
    assert embeddings.representation.shape == (2, 2)
    assert embeddings.frames.shape == (2, 3, 2)
    exported = ExportedEncoder(model, num_frames=3, frame_size=8).eval()
    write, read = FORMATS["torchscript"]
    write(exported, tmp_path / "encoder.pt", {})
    assert largest_difference(exported, read, tmp_path / "encoder.pt") < 1e-4


def test_what_it_says_of_itself_is_held_against_clips():
    encoder = Patches()
    with pytest.raises(UsageError, match="multiples of the patch size 4"):
        encoder.check_size(3, 8, 10)
    with pytest.raises(UsageError, match=r"expected clips of shape \(B, T, 3, H, W\)"):
        encoder(torch.zeros(3, 3, 8, 8))
    encoder.frame_size = 8
    with pytest.raises(UsageError, match="expected frames of 8 x 8 pixels"):
        encoder.check_size(3, 12, 12)
    encoder.clip_frames, encoder.takes_any_length = 4, False
    with pytest.raises(UsageError, match="expected clips of 4 frames"):
        encoder.check_size(3, 8, 8)


def test_a_class_without_a_forward_is_no_encoder():
    with pytest.raises(TypeError, match="abstract"):
        type("Nothing", (Encoder,), {})()


def test_an_encoder_without_pixels_is_refused_when_a_model_is_made():
    class Unfinished(Patches):
        def __init__(self) -> None:
            nn.Module.__init__(self)

    with pytest.raises(UsageError, match=r"Unfinished lacks pixel_mean, pixel_std\. Set each .* self.set_pixels"):
        WorldModel(Unfinished())
