"""Augmentation: ranges, what is shared, what changes nothing, and the same as a plain way of computing it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from videossl.data import Augment
from videossl.data.colour import colour_matrix, recolour
from videossl.data.resampling import blur, crop_and_resize, shrink
from videossl.errors import UsageError

NOTHING: dict[str, Any] = {
    "scale": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "flip_probability": 0.0,
    "jitter_probability": 0.0,
    "greyscale_probability": 0.0,
    "blur_probability": 0.0,
}


def noise(*leading: int, side: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*leading, 3, side, side), dtype=torch.uint8, generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("side", [16, 24, 60])
def test_the_output_has_its_shape_type_and_range(side: int) -> None:
    clips = noise(3, 2, 4, side=side)
    for augment in (Augment(size=20), Augment(size=20).eval()):
        out = augment(clips)
        assert out.shape == (3, 2, 4, 3, 20, 20)
        assert out.dtype == torch.float32
        assert out.min() >= 0
        assert out.max() <= 1
        assert out.isfinite().all()


def test_the_generator_settles_everything() -> None:
    clips, augment = noise(4, 2, 3), Augment(size=24, blur_probability=0.5)
    assert torch.equal(augment(clips, seeded(1)), augment(clips, seeded(1)))
    assert not torch.equal(augment(clips, seeded(1)), augment(clips, seeded(2)))


def test_without_a_generator_the_seed_of_torch_counts() -> None:
    clips, augment = noise(4, 2, 3), Augment(size=24)
    torch.manual_seed(3)
    first = augment(clips)
    torch.manual_seed(3)
    assert torch.equal(first, augment(clips))


def test_all_frames_of_a_view_are_treated_alike() -> None:
    clips = noise(4, 2, 1).expand(-1, -1, 5, -1, -1, -1)
    out = Augment(size=24, blur_probability=0.5)(clips)
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize("shared", [True, False])
def test_crops_and_flips_are_shared_by_the_views_unless_told_otherwise(shared: bool) -> None:
    clips = noise(8, 1, 2).expand(-1, 3, -1, -1, -1, -1)
    out = Augment(size=24, shared_crop=shared, jitter_probability=0, greyscale_probability=0, blur_probability=0)(clips)
    same = [torch.allclose(video[0], video[1], atol=1e-6) for video in out]
    assert all(same) if shared else not any(same)
    assert not torch.allclose(out[0], out[1])


def test_colours_are_drawn_for_each_view_and_not_for_each_channel() -> None:
    clips = noise(8, 1, 2).expand(-1, 2, -1, -1, -1, -1)
    out = Augment(**(NOTHING | {"size": 24, "jitter_probability": 1.0}))(clips)
    assert not any(torch.allclose(video[0], video[1], atol=1e-3) for video in out)


def test_with_everything_off_or_in_eval_mode_pixels_are_only_scaled() -> None:
    clips = noise(2, 2, 3)
    wanted = clips.float() / 255
    torch.testing.assert_close(Augment(size=24, **NOTHING)(clips), wanted)
    torch.testing.assert_close(Augment(size=24).eval()(clips), wanted)


def test_eval_mode_is_an_antialiased_resize() -> None:
    clips = noise(1, 2, 1, side=48)
    wanted = F.interpolate(clips[0, :, 0].float() / 255, size=(20, 20), mode="bilinear", antialias=True)
    torch.testing.assert_close(Augment(size=20).eval()(clips)[0, :, 0], wanted)


def test_flips_mirror_and_happen_as_often_as_asked() -> None:
    clips = noise(400, 1, 1, side=8)
    out = Augment(**(NOTHING | {"size": 8, "flip_probability": 0.25}))(clips, seeded())
    plain = clips.float() / 255
    flipped = torch.tensor(
        [torch.allclose(one, other.flip(-1), atol=1e-5) for one, other in zip(out, plain, strict=True)]
    )
    kept = torch.tensor([torch.allclose(one, other, atol=1e-5) for one, other in zip(out, plain, strict=True)])
    assert (flipped ^ kept).all()
    assert 0.15 < flipped.float().mean() < 0.35


def test_crops_have_the_area_and_shape_asked_for() -> None:
    # A ramp from 0 to 255 along each side: its slope tells how much of the side was cut out.
    ramp = torch.linspace(0, 255, 64).round().to(torch.uint8)
    clips = torch.stack([ramp.expand(64, 64), ramp.expand(64, 64).T, torch.zeros(64, 64, dtype=torch.uint8)])
    clips = clips.expand(300, 1, 1, -1, -1, -1)
    out = Augment(**(NOTHING | {"size": 32, "scale": (0.3, 0.6), "ratio": (0.8, 1.25)}))(clips, seeded())
    inner = out[:, 0, 0, :2, 4:28, 4:28]
    width = (inner[:, 0, :, -1] - inner[:, 0, :, 0]).mean(-1) * 32 / 23 * 63 / 64
    height = (inner[:, 1, -1] - inner[:, 1, 0]).mean(-1) * 32 / 23 * 63 / 64
    area, ratio = width * height, width / height
    assert 0.29 < area.min() < 0.33
    assert 0.57 < area.max() < 0.61
    assert 0.78 < ratio.min() < 0.85
    assert 1.18 < ratio.max() < 1.28


def test_a_box_is_cut_and_mirrored_as_by_hand() -> None:
    pixels = noise(2, 2)[:, 0].float() / 255
    boxes = torch.tensor([[4.0, 6.0, 12.0, 12.0], [0.0, 0.0, 24.0, 24.0]])
    out = crop_and_resize(pixels, boxes, torch.tensor([True, False]), 12)
    torch.testing.assert_close(out[0], pixels[0, :, 6:18, 4:16].flip(-1), atol=1e-5, rtol=0)
    out = crop_and_resize(pixels, boxes, torch.tensor([False, False]), 24)
    torch.testing.assert_close(out[1], pixels[1], atol=1e-5, rtol=0)


def test_large_frames_are_made_smaller_before_they_are_sampled() -> None:
    pixels = torch.rand(1, 3, 200, 220, generator=seeded())
    assert shrink(pixels, 50).shape == (1, 3, 50, 55)
    assert shrink(pixels, 180) is pixels
    stripes = torch.arange(256).remainder(2).mul(255).to(torch.uint8).expand(1, 1, 1, 3, 256, 256)
    out = Augment(**(NOTHING | {"size": 32, "scale": (0.5, 1.0)}))(stripes)
    assert out.std() < 0.05  # stripes of one pixel become grey, not moiré


def test_colour_changes_are_those_of_their_definitions() -> None:
    pixels = torch.rand(1, 2, 3, 50, generator=seeded())
    luma = torch.tensor([0.299, 0.587, 0.114])
    grey = (pixels * luma[:, None]).sum(dim=2, keepdim=True)

    def change(
        brightness: float = 1, contrast: float = 1, saturation: float = 1, hue: float = 0, is_grey: bool = False
    ):
        values = (torch.tensor([float(value)]) for value in (brightness, contrast, saturation, hue))
        return recolour(pixels, *colour_matrix(*values, torch.tensor([is_grey])))

    torch.testing.assert_close(change(), pixels, atol=1e-5, rtol=0)
    torch.testing.assert_close(change(brightness=0.7), 0.7 * pixels, atol=1e-5, rtol=0)
    torch.testing.assert_close(change(contrast=0.5), 0.5 * pixels + 0.5 * grey.mean(), atol=1e-5, rtol=0)
    torch.testing.assert_close(change(saturation=0), grey.expand_as(pixels), atol=1e-5, rtol=0)
    torch.testing.assert_close(change(is_grey=True), grey.expand_as(pixels), atol=1e-5, rtol=0)
    torch.testing.assert_close(change(hue=1), pixels, atol=1e-4, rtol=0)
    turned = change(hue=0.3)
    torch.testing.assert_close((turned * luma[:, None]).sum(dim=2, keepdim=True), grey, atol=1e-3, rtol=0)
    assert (turned - pixels).abs().max() > 0.1
    combined = change(brightness=0.8, contrast=1.3, saturation=0.6)
    step = 0.8 * pixels
    step = 1.3 * step - 0.3 * 0.8 * grey.mean()
    step = 0.6 * step + 0.4 * (step * luma[:, None]).sum(dim=2, keepdim=True)
    torch.testing.assert_close(combined, step, atol=1e-5, rtol=0)


def test_blur_is_gaussian_and_keeps_flat_frames_flat() -> None:
    dot = torch.zeros(2, 1, 21, 21)
    dot[:, :, 10, 10] = 1
    out = blur(dot, torch.tensor([0.1, 2.0]), 6)
    torch.testing.assert_close(out[0], dot[0], atol=1e-6, rtol=0)
    places = torch.arange(21.0) - 10
    wanted = torch.exp(-places.square() / 8) * (places.abs() <= 6)
    wanted = wanted / wanted.sum()
    torch.testing.assert_close(out[1, 0], wanted[:, None] * wanted, atol=1e-6, rtol=0)
    flat = torch.full((2, 3, 5, 7), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([0.5, 3.0]), 9), flat)


def test_blur_happens_as_often_as_asked() -> None:
    clips = noise(200, 2, 1, side=8)
    out = Augment(**(NOTHING | {"size": 8, "blur_probability": 0.3, "blur_sigma": (1.0, 1.0)}))(clips, seeded())
    changed = (out - clips.float() / 255).abs().amax(dim=(2, 3, 4, 5)) > 0.01
    assert 0.2 < changed.float().mean() < 0.4


def test_half_precision_of_the_model_does_not_reach_the_pixels() -> None:
    clips, augment = noise(2, 2, 2), Augment(size=20)
    plain = augment(clips, seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(clips, seeded()), plain)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 0}, "size of at least 1"),
        ({"scale": (0.0, 1.0)}, "scale as"),
        ({"scale": (0.5, 1.5)}, "scale as"),
        ({"ratio": (2.0, 1.0)}, "ratio as"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma as"),
        ({"flip_probability": 1.2}, "flip_probability from 0 to 1"),
        ({"hue": 0.7}, "hue from 0 to 0.5"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Augment(**arguments)


def test_wrong_clips_are_refused_with_what_was_wanted() -> None:
    with pytest.raises(ValueError, match=r"expected clips of shape \(B, V, T, 3, H, W\) uint8, got \(2, 3, 24, 24\)"):
        Augment()(noise(2))
    with pytest.raises(ValueError, match="float32"):
        Augment()(noise(1, 1, 1).float())
