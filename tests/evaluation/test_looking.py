"""Looking at predictions: the pixel decoder, the arrays for the page, and surprise over the time of films."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from fake_models import D, KnowingModel, M, little_world, real_video, twin

from videossl.data import ClipPlanner
from videossl.evaluation import evaluate
from videossl.evaluation.decoded import decoder_for, latent_plane
from videossl.evaluation.films import Film, cuts, paced_frames, peaks, shift_of, surprises
from videossl.evaluation.pixel_decoder import fit_pixel_decoder, shrunk
from videossl.evaluation.space import embed_space


def squares(n: int, *, size: int = 16, colours: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of a bright square, and an embedding that says where it is."""
    corners = torch.randint(0, size - 4, (n, 2), generator=torch.Generator().manual_seed(0))
    clips = torch.zeros(n, 2, 3, size, size, dtype=torch.uint8)
    for clip, (x, y) in zip(clips, corners.tolist(), strict=True):
        clip[:, : colours if colours == 1 else 3, y : y + 4, x : x + 4] = 255
    if colours == 1:
        clips = clips[:, :, :1].expand(-1, -1, 3, -1, -1).contiguous()
    turn = 3 * corners.float() / size
    points = torch.cat([turn.cos(), turn.sin(), (2 * turn).cos(), (2 * turn).sin()], dim=1)
    return torch.nn.functional.normalize(points, dim=1), clips


def test_a_decoder_draws_what_the_embedding_says_and_leaves_the_embedding_alone():
    points, clips = squares(400)
    before = points.clone()
    decoder = fit_pixel_decoder(points, clips, num_steps=150, seed=0)
    assert decoder.explained > 0.4
    assert torch.equal(points, before)
    drawn = decoder.draw(points[:6].reshape(2, 3, -1))
    assert (drawn.shape, drawn.dtype) == ((2, 3, 2, 3, 16, 16), torch.uint8)
    assert (drawn[..., 0, :, :] == drawn[..., 2, :, :]).all()  # grey clips are drawn grey


def test_the_same_seed_trains_the_same_decoder():
    points, clips = squares(60)
    first, second = (fit_pixel_decoder(points, clips, num_steps=3, seed=1).draw(points[:2]) for _ in range(2))
    assert torch.equal(first, second)


def test_large_frames_are_drawn_at_most_64_pixels_high():
    assert shrunk(torch.zeros(2, 3, 3, 112, 112, dtype=torch.uint8)).shape[-2:] == (64, 64)
    assert shrunk(torch.zeros(2, 3, 3, 30, 30, dtype=torch.uint8)).shape[-2:] == (28, 28)


def test_too_few_clips_train_no_decoder():
    with pytest.raises(ValueError, match="at least 40 clips"):
        fit_pixel_decoder(*squares(39), num_steps=1, seed=0)


def test_the_decoder_learns_from_no_clip_of_a_scored_context(monkeypatch):
    from videossl.evaluation import decoded

    seen = {}

    def remember(points, clips, **_):
        seen["clips"] = clips

    monkeypatch.setattr(decoded, "fit_pixel_decoder", remember)
    for held_out in (little_world(), real_video()):
        tuning, scored = held_out.tuning_split(0)
        marked = {name: getattr(held_out, name).clone() for name in ("contexts", "futures", "branches", "decoys")
                  if getattr(held_out, name) is not None}  # fmt: skip
        for clips in marked.values():
            clips[scored, ..., -1, -1] = 7
        marked_world = replace(held_out, **marked)
        space = embed_space(KnowingModel(), marked_world, "run")
        decoder_for(KnowingModel(), marked_world, space, tuning, num_steps=1, seed=0)
        assert len(seen["clips"]) >= 40
        assert not (seen["clips"][..., -1, -1] == 7).any()


def test_the_gallery_holds_what_was_drawn_and_where_r_lies(tmp_path):
    evaluate(KnowingModel(), None, little_world(), num_samples=8, seed=0, decoder_steps=2, out=tmp_path)
    with np.load(tmp_path / "gallery.npz") as arrays:
        assert arrays["decoded_samples"].shape[:2] == (12, 8)
        assert arrays["decoded_branches"].shape[:2] == arrays["branch_shares"].shape == (12, M)
        assert arrays["branch_shares"].sum(axis=1) == pytest.approx(1)  # this model never misses
        assert arrays["latent_kick"].shape[0] == arrays["latent_sample"].shape[0] == 800


def test_there_is_no_plane_of_r_without_an_r_or_a_known_kick():
    assert latent_plane(twin(), little_world(), seed=0) == {}
    assert latent_plane(KnowingModel(), real_video(), seed=0) == {}


class Course(NamedTuple):
    frames: torch.Tensor
    nats: torch.Tensor


class Startled(KnowingModel):
    """Surprised where the brightness of the first pixel jumps."""

    def surprise(self, video, *, clip_frames=None, shift=None):
        frames = torch.arange(shift, len(video) - clip_frames + 1)
        first = video[:, 0, 0, 0].float()
        return Course(frames, (first[frames] - first[frames - 1]).abs())


def film(*, cut: int = 20, length: int = 40) -> Film:
    frames = torch.randint(0, 20, (length, 3, 8, D), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    frames[cut:] += 200
    return Film("film.mp4", frames, np.arange(length) / 10, 2, 4)


def test_a_cut_is_where_nearly_all_pixels_change_and_a_peak_stands_alone():
    assert cuts(film().frames).tolist() == [20]
    frames, nats = np.arange(10), np.array([0, 1, 5, 6, 5, 0, 0, 4, 0, 0.5])
    assert peaks(frames, nats, within=2, most=3) == [3, 7, 0]


def test_a_model_that_is_startled_by_the_cut_is_said_to_be():
    (entry,), pictures = surprises(Startled(), (film(),))
    assert (entry["cuts"], entry["peaks"][0], entry["cuts_found"]) == ([2.0], 2.0, 1)
    assert len(entry["seconds"]) == len(entry["nats"]) == len(entry["change"])
    assert pictures["surprise_after"].shape == (1, 3, 8, 8, 3)
    np.testing.assert_array_equal(pictures["surprise_after"][0, 0], film().frames[20].permute(1, 2, 0))
    np.testing.assert_array_equal(pictures["surprise_before"][0, 0], film().frames[20 - 4 + 2 - 1].permute(1, 2, 0))


def test_a_model_that_cannot_say_is_not_asked_and_the_evaluation_holds_what_it_says():
    assert surprises(KnowingModel(), (film(),)) == ([], {})
    metrics = evaluate(Startled(), None, replace(real_video(), films=(film(),)), num_samples=4, seed=0)
    assert metrics["surprise"][0]["cuts_found"] == 1


def test_films_are_read_at_the_pace_of_the_clips():
    seconds = np.arange(100) / 25
    assert paced_frames(seconds, ClipPlanner(frame_stride=3)).tolist()[:3] == [0, 3, 6]
    assert paced_frames(seconds, ClipPlanner(target_fps=5.0)).tolist()[:3] == [0, 5, 10]
    assert shift_of(seconds, ClipPlanner(num_frames=4, frame_stride=3)) == 4
    assert shift_of(seconds, ClipPlanner(num_frames=4, gap_frames=(2, 5), target_fps=5.0)) == 6
