"""Augmentation drawn, logged and replayed; solarisation and reversal; crops of several sizes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from videossl.data.augment import Augment
from videossl.data.augment_parameters import AugmentParameters
from videossl.data.multi_crop import CropGroup, MultiCrop
from videossl.errors import UsageError

PLAIN: dict[str, Any] = {
    "size": 16,
    "scale": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "flip_probability": 0.0,
    "jitter_probability": 0.0,
    "greyscale_probability": 0.0,
    "blur_probability": 0.0,
}
EVERYTHING: dict[str, Any] = {"size": 12, "solarise_probability": 0.5, "reverse_probability": 0.5}


def noise(*leading: int, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*leading, 3, side, side), dtype=torch.uint8, generator=generator)


def test_a_seed_replays_a_draw_and_leaves_the_generator_of_torch_alone() -> None:
    clips, augment = noise(4, 2, 3), Augment(**EVERYTHING)
    before = torch.get_rng_state()
    first = augment(clips, seed=3)
    assert torch.equal(first, augment(clips, seed=3))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, augment(clips, seed=4))
    with pytest.raises(UsageError, match="a generator or a seed"):
        augment(clips, torch.Generator(), seed=3)


def test_parameters_that_were_saved_give_the_same_pixels_again() -> None:
    clips, augment = noise(4, 2, 3), Augment(**EVERYTHING)
    drawn = augment.draw(4, 2, seed=3)
    saved = {name: value.tolist() for name, value in drawn.tensors().items()}
    again = AugmentParameters(**{name: torch.tensor(value) for name, value in saved.items()})
    assert torch.equal(augment(clips, seed=3), augment.apply(clips, again))
    assert torch.equal(
        augment.eval().apply(clips, drawn), augment.apply(clips, drawn)
    )  # eval mode changes forward only


def test_a_view_by_itself_is_what_it_is_in_its_batch() -> None:
    clips, augment = noise(3, 2, 2, side=20), Augment(**EVERYTHING)
    drawn = augment.draw(3, 2, seed=0)
    alone = AugmentParameters(**{name: value[1:2, 1:] for name, value in drawn.tensors().items()})
    whole = augment.apply(clips, drawn)[1:2, 1:]
    torch.testing.assert_close(augment.apply(clips[1:2, 1:], alone), whole, atol=1e-5, rtol=0)


def test_parameters_are_within_what_was_asked() -> None:
    drawn = Augment(scale=(0.3, 0.6), ratio=(0.8, 1.25), hue=0.2).draw(200, 3, seed=0)
    for value, low, high in ((drawn.area, 0.3, 0.6), (drawn.ratio, 0.8, 1.25), (drawn.hue, -0.2, 0.2)):
        assert value.shape == (200, 3)
        assert low <= value.min() < low + 0.05 * (high - low) + 0.01
        assert high - 0.05 * (high - low) - 0.01 < value.max() <= high
    assert torch.equal(drawn.area, drawn.area[:, :1].expand_as(drawn.area))  # shared by the views
    assert not drawn.solarised.any()
    assert not drawn.reversed.any()


def test_solarisation_inverts_what_is_bright() -> None:
    clips = noise(50, 2, 1)
    out = Augment(**(PLAIN | {"solarise_probability": 0.4, "solarise_threshold": 0.7}))(clips, seed=0)
    plain = clips.float() / 255
    solarised = torch.where(plain >= 0.7, 1 - plain, plain)
    changed = (out != plain).flatten(2).any(-1)
    assert 0.25 < changed.float().mean() < 0.55
    torch.testing.assert_close(out, torch.where(changed[..., None, None, None, None], solarised, plain))


def test_reversed_views_run_backwards() -> None:
    clips = noise(50, 2, 3)
    out = Augment(**(PLAIN | {"reverse_probability": 0.4}))(clips, seed=0)
    plain = clips.float() / 255
    backwards = (out != plain).flatten(2).any(-1)
    assert 0.25 < backwards.float().mean() < 0.55
    torch.testing.assert_close(out, torch.where(backwards[..., None, None, None, None], plain.flip(2), plain))


@pytest.mark.parametrize(
    ("side", "size", "num_frames"), [(24, 16, 2), (16, 24, 11), (1, 8, 1), (9, 1, 16), (90, 24, 3)]
)
def test_on_a_cpu_and_on_a_gpu_the_same_is_computed(side: int, size: int, num_frames: int) -> None:
    clips = noise(3, 2, num_frames, side=side)
    augment = Augment(size=size, jitter_probability=0.9, greyscale_probability=0.3, blur_sigma=(0.3, 2.0))
    drawn = augment.draw(3, 2, seed=0)
    found = augment.apply(clips, drawn)
    augment._change_on_cpu = augment._change_on_device  # type: ignore[method-assign]
    torch.testing.assert_close(found, augment.apply(clips, drawn), atol=5e-5, rtol=0)


def groups(**settings: Any) -> list[CropGroup]:
    return [
        CropGroup(views=2, size=16, scale=(0.5, 1.0), **settings),
        CropGroup(views=6, size=8, scale=(0.1, 0.5), **settings),
    ]


def test_groups_of_crops_have_their_own_sizes_and_views() -> None:
    multi = MultiCrop(groups())
    clips = noise(3, 8, 2, side=24)
    large, small = multi(clips, seed=1)
    assert large.shape == (3, 2, 2, 3, 16, 16)
    assert small.shape == (3, 6, 2, 3, 8, 8)
    assert multi.num_views == 8
    for once, again in zip((large, small), multi.apply(clips, multi.draw(3, seed=1)), strict=True):
        assert torch.equal(once, again)
    torch.manual_seed(1)  # the generator of torch gives what a generator of the same seed does
    assert all(torch.equal(once, again) for once, again in zip((large, small), multi(clips), strict=True))
    assert [part.shape[-1] for part in multi.eval()(clips)] == [16, 8]


def test_crops_of_few_clips_are_cut_from_them_in_turn() -> None:
    plain = PLAIN | {"size": 16}
    multi = MultiCrop([CropGroup(views=2, **plain), CropGroup(views=5, **plain)], own_clips=False)
    clips = noise(3, 2, 2)
    large, small = multi(clips)
    torch.testing.assert_close(large, clips.float() / 255)
    torch.testing.assert_close(small, clips[:, [0, 1, 0, 1, 0]].float() / 255)


@pytest.mark.parametrize("shared", [True, False])
def test_places_in_space_are_shared_by_the_views_of_a_group_or_not(shared: bool) -> None:
    for drawn in MultiCrop(groups(shared_crop=shared)).draw(8, seed=0):
        assert bool((drawn.left == drawn.left[:, :1]).all()) is shared


def test_wrong_groups_clips_and_parameters_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one group"):
        MultiCrop([])
    with pytest.raises(UsageError, match="at least 1 view"):
        CropGroup(views=0)
    with pytest.raises(UsageError, match=r"8 views \(2 \+ 6\)"):
        MultiCrop(groups())(noise(1, 2, 1))
    with pytest.raises(ValueError, match=r"expected parameters of \(2, 2\)"):
        Augment(size=8).apply(noise(2, 2, 1), Augment(size=8).draw(2, 3))
    with pytest.raises(UsageError, match="solarise_probability from 0 to 1"):
        Augment(solarise_probability=2.0)
