"""The digits do what the truth says, and their futures are distributed as announced."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from videossl.errors import UsageError
from videossl.worlds import Digits

WORLDS = {
    "one digit": {},
    "one digit that does not bounce": {"bounce": False},
    "one of two digits is kicked": {"num_digits": 2, "num_branches": 16, "canvas": 64},
    "each of two digits is kicked": {"num_digits": 2, "num_branches": 16, "kicked": "each"},
    "a large kick, far bounces": {"kick_speed": 20.0, "speed": (10.0, 40.0)},
}


def taken(futures, truth):
    return futures[torch.arange(len(truth)), torch.from_numpy(truth.branch)]


@pytest.mark.parametrize("arguments", WORLDS.values(), ids=WORLDS.keys())
def test_the_observed_future_is_the_taken_branch_pixel_for_pixel(arguments):
    world = Digits(**arguments)
    clips, truth = world.sample(64, seed=3)
    assert clips.shape == (64, 8, 3, world.canvas, world.canvas)
    assert clips.dtype == torch.uint8
    branches = world.branches(truth)
    assert branches.clips.shape == (64, world.num_branches, 4, 3, world.canvas, world.canvas)
    assert torch.equal(taken(branches.clips, truth), clips[:, world.branch_frame :])
    assert torch.equal(branches.probabilities.sum(dim=1), torch.ones(64, dtype=torch.float64))


@pytest.mark.parametrize("arguments", WORLDS.values(), ids=WORLDS.keys())
def test_the_taken_branch_goes_where_the_truth_says(arguments):
    world = Digits(**arguments)
    truth = world.truth(64, seed=3)
    positions = world.branches(truth).positions
    assert positions.shape == (64, world.num_branches, 4, world.num_digits, 2)
    np.testing.assert_array_equal(taken(positions, truth), truth.positions[:, world.branch_frame :])


@pytest.mark.parametrize("arguments", [*WORLDS.values(), {"kick": "gaussian"}], ids=[*WORLDS.keys(), "gaussian"])
def test_branches_and_decoys_show_the_digits_at_their_positions(arguments):
    world = Digits(**arguments)
    truth = world.truth(8, seed=3)
    branches, decoys = world.branches(truth), world.decoys(truth)
    for clips, positions in ((branches.clips, branches.positions), (decoys.clips, decoys.positions)):
        assert len(positions) == len(clips) == 8
        for number in range(clips.shape[1]):
            moved = np.concatenate([truth.positions[:, : world.branch_frame], positions[:, number]], axis=1)
            drawn = world.render(replace(truth, positions=moved))
            assert torch.equal(drawn[:, world.branch_frame :], clips[:, number])


@pytest.mark.parametrize("arguments", WORLDS.values(), ids=WORLDS.keys())
def test_the_context_is_the_same_whatever_branch_is_taken(arguments):
    # Other probabilities, same seed: other branches of the very same contexts.
    world = Digits(**arguments)
    weights = np.arange(1, world.num_branches + 1)
    other = Digits(**arguments, probabilities=(weights / weights.sum()).tolist())
    (clips, truth), (other_clips, other_truth) = world.sample(64, seed=3), other.sample(64, seed=3)
    differs = torch.from_numpy(truth.branch != other_truth.branch)
    assert differs.sum() > 10
    assert torch.equal(clips[:, : world.branch_frame], other_clips[:, : world.branch_frame])
    assert (clips[differs, world.branch_frame :] != other_clips[differs, world.branch_frame :]).flatten(1).any(1).all()


def test_the_kick_moves_the_branch_frame_first():
    world = Digits(bounce=False)
    truth = world.truth(100, seed=0)
    steps = np.diff(truth.positions, axis=1)
    np.testing.assert_allclose(steps, truth.velocities[:, 1:], atol=1e-9)
    np.testing.assert_allclose(steps[:, 3] - steps[:, 2], truth.kick, atol=1e-9)
    np.testing.assert_allclose(steps[:, 2], steps[:, 0], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(truth.kick, axis=-1), 1.5)


def test_branches_are_taken_as_often_as_announced():
    probabilities = [0.4, 0.3, 0.2, 0.1]
    truth = Digits(num_branches=4, probabilities=probabilities).truth(20_000, seed=1)
    frequencies = np.bincount(truth.branch, minlength=4) / len(truth)
    np.testing.assert_allclose(frequencies, probabilities, atol=0.012)  # more than 3 standard errors


def test_the_branch_does_not_depend_on_the_context():
    truth = Digits(bounce=False).truth(20_000, seed=1)
    of_context = [truth.positions[:, 3, 0], truth.velocities[:, 3, 0], truth.exemplars]
    correlation = np.corrcoef(np.concatenate([truth.kick[:, 0], *of_context], axis=1).T)
    assert np.abs(correlation[:2, 2:]).max() < 0.03


def test_the_same_seed_gives_the_same_videos_and_another_seed_others():
    world = Digits(kick="gaussian")
    first, again, other = (world.sample(20, seed).clips for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_larger_draw_begins_with_the_smaller_one():
    world = Digits(num_digits=2)
    assert torch.equal(world.sample(50, seed=2).clips[:7], world.sample(7, seed=2).clips)


def test_the_subset_of_a_truth_has_the_same_branches_and_decoys():
    world = Digits()
    truth = world.truth(10, seed=2)
    rows = [7, 1]
    assert torch.equal(world.branches(truth[rows]).clips, world.branches(truth).clips[rows])
    assert torch.equal(world.decoys(truth[rows]).clips, world.decoys(truth).clips[rows])
    assert torch.equal(world.decoys(truth[rows]).positions, world.decoys(truth).positions[rows])
    assert torch.equal(world.render(truth[3]), world.render(truth)[3:4])


@pytest.mark.parametrize("bounce", [True, False])
def test_digits_stay_on_the_canvas_in_all_futures(bounce):
    world = Digits(bounce=bounce, speed=(0.0, 2.0))
    clips, truth = world.sample(300, seed=0)
    assert truth.positions.min() >= 8
    assert truth.positions.max() <= 40
    # No ink is cut off at an edge: up to rounding, each picture keeps the sum of its grey values.
    ink = torch.cat([clips[:, None, 4:], world.branches(truth).clips, world.decoys(truth).clips], dim=1)
    sums = ink[:, :, :, 0].double().sum(dim=(-1, -2)).flatten(1)
    assert (sums.amax(1) - sums.amin(1)).max() < 0.02 * sums.mean()


def test_digits_bounce_off_the_edges():
    truth = Digits(speed=(4.0, 4.0)).truth(200, seed=0)
    in_context = np.linalg.norm(truth.velocities[:, :4], axis=-1)
    np.testing.assert_allclose(in_context, 4.0)
    assert (np.sign(truth.velocities[:, 0]) != np.sign(truth.velocities[:, 3])).any()


@pytest.mark.parametrize("num_digits", [1, 2])
def test_digits_move_freely_where_every_future_is_the_one_of_an_empty_plane(num_digits):
    world = Digits(num_digits=num_digits, canvas=80)
    truth = world.truth(400, seed=4)
    steps = np.arange(8)
    start, velocity = truth.positions[:, 0], truth.velocities[:, 0]
    straight = start[:, None] + velocity[:, None] * steps[:4, None, None]
    in_context = np.isclose(truth.positions[:, :4], straight).all(axis=(1, 2, 3))
    ends = straight[:, 3][:, None, None] + (velocity[:, None] + world.kicks)[:, :, None] * steps[1:5, None, None]
    in_futures = np.isclose(world.branches(truth).positions.numpy(), ends).all(axis=(1, 2, 3, 4))
    free = world.moves_freely(truth)
    assert 20 < free.sum() < 380
    np.testing.assert_array_equal(free, in_context & in_futures)


def test_what_happens_beyond_the_horizon_does_not_count():
    short, long = Digits(), Digits(num_frames=14)
    of_short, of_long = (world.moves_freely(world.truth(300, seed=4), 4) for world in (short, long))
    assert of_short.any()
    np.testing.assert_array_equal(of_short, of_long)
    assert long.moves_freely(long.truth(300, seed=4)).sum() < of_long.sum()


def test_without_bounces_all_move_freely_and_where_any_kick_may_come_nobody_can_say():
    still, gaussian = Digits(bounce=False), Digits(kick="gaussian")
    assert still.moves_freely(still.truth(9, seed=0)).all()
    assert gaussian.moves_freely(gaussian.truth(9, seed=0)) is None


def test_decoys_are_futures_that_no_branch_is():
    world = Digits(bounce=False)
    truth = world.truth(20, seed=0)
    decoys, branches = world.decoys(truth).clips, world.branches(truth).clips
    assert decoys.shape == (20, 17, 4, 3, 48, 48)
    difference = (decoys[:, :, None].int() - branches[:, None].int()).abs().flatten(3).amax(-1)
    assert difference.min() > 20


def test_gaussian_kicks_are_normal_and_their_branches_are_drawn_anew():
    world = Digits(kick="gaussian", kick_speed=1.0, num_branches=32)
    clips, truth = world.sample(4000, seed=0)
    assert (truth.branch == -1).all()
    np.testing.assert_allclose(truth.kick.std(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose((truth.kick**4).mean(axis=0), 3.0, atol=0.5)
    few = truth[:4]
    branches = world.branches(few)
    assert torch.equal(branches.probabilities, torch.full((4, 32), 1 / 32, dtype=torch.float64))
    assert (branches.clips != clips[:4, None, 4:]).flatten(2).any(2).all()  # the observed kick is not among them
    assert torch.equal(branches.clips, world.branches(few).clips)
    assert world.decoys(few).clips.shape == (4, 32, 4, 3, 48, 48)


def test_the_kicks_of_two_digits_are_as_documented():
    one = Digits(num_digits=2, num_branches=16)
    assert ((np.linalg.norm(one.kicks, axis=-1) > 0).sum(axis=1) == 1).all()
    each = Digits(num_digits=2, num_branches=16, kicked="each")
    np.testing.assert_allclose(np.linalg.norm(each.kicks, axis=-1), 1.5)
    assert len(np.unique(each.kicks.round(6).reshape(16, -1), axis=0)) == 16


def test_a_digit_of_every_class_can_be_seen():
    clips, truth = Digits().sample(500, seed=0)
    assert set(truth.classes[:, 0].tolist()) == set(range(10))
    frames = clips[:, 0, 0]
    assert frames.flatten(1).amax(1).min() > 180
    bright = (frames > 64).flatten(1).sum(1)
    assert bright.min() > 25  # pixels of 2,304
    assert bright.max() < 16 * 16


def test_two_thousand_clips_are_drawn_in_a_second():
    world = Digits(canvas=64)
    seconds = []
    for seed in range(3):
        start = time.perf_counter()
        world.sample(1000, seed)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # a tenth of this on an idle core


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_digits": 0}, "num_digits to be at least 1, got 0"),
        ({"canvas": 16}, "canvas to be larger than digit_size=16, got 16"),
        ({"branch_frame": 8}, r"branch_frame in \[1, 8\), got 8"),
        ({"num_branches": 0}, "num_branches to be at least 1, got 0"),
        ({"num_digits": 2, "num_branches": 7}, "must be a multiple of 2, got 7. Set num_branches=6"),
        ({"num_digits": 2, "num_branches": 8, "kicked": "each"}, r"must be D \*\* 2, got 8. Set num_branches=9"),
        ({"probabilities": [0.5, 0.5]}, "probabilities needs 8 numbers above 0 that sum to 1"),
        ({"probabilities": [0.2] * 8}, "sum 1.6"),
        ({"num_branches": 2, "probabilities": [0.0, 1.0]}, "numbers above 0"),
        ({"kick": "gaussian", "num_branches": 2, "probabilities": [0.4, 0.6]}, "Gaussian kick has no branches"),
        ({"kick": "none"}, "kick to be branches or gaussian, got none"),
        ({"kick_speed": 0.0}, "kick_speed above 0"),
        ({"speed": (2.0, 1.0)}, r"speed to be \(least, greatest\)"),
        ({"bounce": False, "speed": (0.0, 5.0)}, "without bouncing, digits need 47 px of free way"),
    ],
)
def test_wrong_arguments_give_one_clear_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        Digits(**arguments)
    assert "\n" not in str(caught.value)


def test_wrong_draws_and_foreign_truths_give_one_clear_line():
    world = Digits()
    with pytest.raises(UsageError, match="at least 1 video, got num_videos=0"):
        world.sample(0, seed=0)
    with pytest.raises(UsageError, match="a seed is in"):
        world.sample(1, seed=-1)
    with pytest.raises(UsageError, match=r"8 frames and 1 object\(s\), got a truth of 10 frames and 1 object\(s\)"):
        world.branches(Digits(num_frames=10).truth(2, seed=0))
