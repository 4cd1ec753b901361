import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from videossl.errors import UsageError
from videossl.models import ConvStem, VideoTransformer


def small(**changes):
    return VideoTransformer(width=24, depth=2, num_heads=2, patch_size=4, **changes).eval()


@pytest.mark.parametrize("frames", [1, 2, 3, 8])
@pytest.mark.parametrize("side", [8, 20])
def test_any_clip_length_and_frame_size_gives_a_grid_of_tokens(frames, side):
    tokens = small(tubelet_frames=2)(torch.rand(2, frames, 3, side, side + 4))
    assert tokens.shape == (2, (frames + 1) // 2, side // 4, side // 4 + 1, 24)
    assert tokens.isfinite().all()


def test_an_image_is_a_clip_that_stands_still():
    encoder = small(tubelet_frames=2)
    image = torch.rand(1, 1, 3, 8, 8)
    torch.testing.assert_close(encoder(image), encoder(image.expand(-1, 2, -1, -1, -1)))


def test_with_causal_attention_tokens_do_not_depend_on_later_frames():
    encoder = small(causal=True)
    clip = torch.rand(2, 8, 3, 8, 8)
    changed = clip.clone()
    changed[:, 4:] = torch.rand(2, 4, 3, 8, 8)
    before, after = encoder(clip), encoder(changed)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:], atol=1e-3)


def test_with_full_attention_every_token_sees_every_frame():
    encoder = small(causal=False)
    clip = torch.rand(1, 4, 3, 8, 8)
    changed = clip.clone()
    changed[:, 3] = 0
    assert not torch.allclose(encoder(clip)[:, 0], encoder(changed)[:, 0], atol=1e-4)


def test_the_middle_of_a_frame_has_the_same_position_at_every_size():
    encoder = small()
    positions = [
        encoder._positions(torch.Size((1, n, n)), torch.device("cpu")).view(n, n, -1)[n // 2, n // 2] for n in (3, 9)
    ]
    torch.testing.assert_close(*positions)


def test_frames_that_no_patch_size_divides_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match="multiples of the patch size 4, got 10 x 8"):
        small()(torch.rand(1, 2, 3, 10, 8))


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of num_heads"):
        VideoTransformer(width=25, num_heads=2)


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.6), ("small", 21.5), ("base", 85.5), ("large", 303.0)])
def test_sizes_have_the_parameters_that_the_field_expects(size, millions):
    with torch.device("meta"):
        encoder = VideoTransformer(size)
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, rel=0.04)


def test_tubelets_are_normalised_pixels_through_one_convolution():
    encoder = small(tubelet_frames=2).double()
    clips = torch.rand(2, 4, 3, 8, 12, dtype=torch.float64)
    kernel = rearrange(encoder.tubelets.weight, "e (t c h w) -> e c t h w", t=2, c=3, h=4)
    normalised = rearrange((clips - encoder.pixel_mean) / encoder.pixel_std, "b t c h w -> b c t h w")
    expected = F.conv3d(normalised, kernel, encoder.tubelets.bias, stride=(2, 4, 4))
    tokens = encoder.tubelets(clips, encoder.pixel_mean, encoder.pixel_std)
    torch.testing.assert_close(tokens, rearrange(expected, "b e t h w -> b t h w e"))


def conv_stem(width, patch_size, tubelet_frames):
    return ConvStem(width, patch_size, tubelet_frames, channels=[8], strides=[2, 2])


def test_a_conv_stem_gives_the_same_grid_of_tokens():
    clips = torch.rand(2, 3, 3, 8, 12)
    assert small(stem=conv_stem)(clips).shape == small()(clips).shape


def one_convolution(width, patch_size, tubelet_frames):
    return ConvStem(width, patch_size, tubelet_frames, channels=[], strides=[patch_size])


def test_patches_of_a_conv_stem_overlap():
    encoder = small(stem=one_convolution)
    clip = torch.rand(1, 2, 3, 16, 16)
    changed = clip.clone()
    changed[..., 4:8, 4:8] = 0  # one patch
    before, after = (encoder.tubelets(x, encoder.pixel_mean, encoder.pixel_std)[0, 0] for x in (clip, changed))
    differs = ((before - after).abs() > 1e-6).any(-1)  # (4, 4)
    assert differs[:3, :3].all()
    assert not differs[3].any()


@pytest.mark.parametrize("changes", [{}, {"stem": one_convolution}])
def test_a_stem_normalises_pixels(changes):
    encoder = small(**changes)
    clips = torch.rand(1, 2, 3, 16, 16)
    zeros, ones = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    ours = encoder.tubelets(clips, encoder.pixel_mean, encoder.pixel_std)
    theirs = encoder.tubelets((clips - encoder.pixel_mean) / encoder.pixel_std, zeros, ones)
    inside = (0, 0, slice(1, 3), slice(1, 3))  # beyond the frame pixels are black, here and there
    torch.testing.assert_close(ours[inside], theirs[inside], atol=1e-4, rtol=1e-4)


def test_strides_that_do_not_make_the_patch_are_refused():
    with pytest.raises(UsageError, match="product is patch_size=4"):
        small(stem=ConvStem)
