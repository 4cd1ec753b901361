"""What holds for every world, whatever its seed: probabilities, branches, decoys, horizons, reproducibility."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_worlds import every_world

from videossl.worlds import Billiards

seeds = st.integers(0, 2**40)
few = settings(max_examples=4, deadline=None, derandomize=True)


@every_world
@few
@given(seed=seeds)
def test_probabilities_of_every_context_sum_to_one(world, seed):
    probabilities = world.branches(world.truth(12, seed)).probabilities
    assert probabilities.shape == (12, world.num_branches)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-12)


@every_world
@few
@given(seed=seeds, data=st.data())
def test_the_true_future_is_a_possible_branch_at_every_horizon(world, seed, data):
    frames = data.draw(st.integers(1, world.num_frames - world.branch_frame))
    clips, truth = world.sample(8, seed)
    branches = world.branches(truth, frames)
    rows = torch.arange(8)
    future = slice(world.branch_frame, world.branch_frame + frames)
    assert torch.equal(branches.clips[rows, branches.taken], clips[:, future])
    np.testing.assert_array_equal(branches.positions[rows, branches.taken], truth.positions[:, future])
    assert (branches.probabilities[rows, branches.taken] > 0).all()


@every_world
@few
@given(seed=seeds, data=st.data())
def test_no_decoy_and_no_branch_of_probability_zero_is_a_possible_future(world, seed, data):
    frames = data.draw(st.integers(1, world.num_frames - world.branch_frame))
    truth = world.truth(8, seed)
    branches, decoys = world.branches(truth, frames), world.decoys(truth, frames)
    assert decoys.clips.shape[2] == decoys.positions.shape[2] == frames
    for row in range(8):
        possible = branches.probabilities[row] > 0
        futures = branches.positions[row, possible].flatten(1)
        cannot = torch.cat([decoys.positions[row], branches.positions[row, ~possible]]).flatten(1)
        assert torch.cdist(cannot, futures).min() > 0.2  # px
        seen = torch.cat([decoys.clips[row], branches.clips[row, ~possible]])
        assert (seen[:, None] != branches.clips[row, possible][None]).flatten(2).any(2).all()


@every_world
@few
@given(seed=seeds)
def test_the_possible_futures_of_a_context_all_differ(world, seed):
    branches = world.branches(world.truth(8, seed))
    for row in range(8):
        futures = branches.positions[row, branches.probabilities[row] > 0].flatten(1)
        apart = torch.cdist(futures, futures) + 10 * torch.eye(len(futures))
        assert apart.min() > 0.2  # px


@every_world
@few
@given(seed=seeds)
def test_the_context_does_not_tell_the_branch(world, seed):
    # Every branch leads on from the same last frame of the context, at most a few pixels away.
    truth = world.truth(8, seed)
    last = torch.from_numpy(truth.positions[:, None, world.branch_frame - 1])
    branches = world.branches(truth, 1)
    assert branches.positions.shape[2] == 1
    assert (branches.positions[:, :, 0] - last).norm(dim=-1).max() < 24


@every_world
def test_branches_are_taken_as_often_as_declared(world):
    truth = world.truth(1000, seed=11)
    branches = [world.branches(truth[start : start + 100], 1) for start in range(0, 1000, 100)]
    probabilities = torch.cat([found.probabilities for found in branches])
    taken = torch.nn.functional.one_hot(torch.cat([found.taken for found in branches]), probabilities.shape[1])
    spread = (probabilities * (1 - probabilities)).sum(dim=0).sqrt().clamp_min(1e-9)
    assert ((taken - probabilities).sum(dim=0).abs() / spread).max() < 4  # standard errors
    assert not (taken.bool() & (probabilities == 0)).any()


@every_world
@few
@given(seed=seeds)
def test_the_seed_fixes_the_videos_and_a_larger_draw_begins_with_the_smaller_one(world, seed):
    clips, truth = world.sample(9, seed)
    again = world.sample(4, seed)
    assert torch.equal(again.clips, clips[:4])
    np.testing.assert_array_equal(again.truth.branch, truth.branch[:4])
    assert not torch.equal(world.sample(9, seed + 1).clips, clips)


@every_world
def test_some_of_the_contexts_have_the_branches_and_decoys_that_they_have_among_all(world):
    truth = world.truth(9, seed=2)
    rows = [7, 1]
    for futures in (world.branches, world.decoys):
        for of_some, of_all in zip(futures(truth[rows]), futures(truth), strict=True):
            assert torch.equal(of_some, of_all[rows])
    assert torch.equal(world.render(truth[3]), world.render(truth)[3:4])


@every_world
def test_a_shorter_horizon_shows_the_beginning_and_adds_up_what_parts_later(world):
    truth = world.truth(10, seed=5)
    whole = world.branches(truth)
    for frames in range(1, world.num_frames - world.branch_frame + 1):
        branches = world.branches(truth, frames)
        merged = whole.probabilities.reshape(10, branches.probabilities.shape[1], -1)
        torch.testing.assert_close(branches.probabilities, merged.sum(dim=2))
        first_of_each = whole.clips[:, :: merged.shape[2], :frames]
        assert torch.equal(branches.clips, first_of_each)
        assert torch.equal(world.decoys(truth, frames).clips, world.decoys(truth).clips[:, :, :frames])


@every_world
def test_velocities_and_kicks_are_those_of_the_positions(world):
    truth = world.truth(40, seed=0)
    if isinstance(world, Billiards):
        kicked = np.linalg.norm(truth.kick, axis=-1)
        np.testing.assert_allclose(kicked.sum(axis=1), np.where(truth.branch > 0, world.kick_speed, 0))
        return
    np.testing.assert_allclose(np.diff(truth.positions, axis=1), truth.velocities[:, 1:], atol=1e-9)
    frame = world.branch_frame
    np.testing.assert_allclose(truth.velocities[:, frame] - truth.velocities[:, frame - 1], truth.kick, atol=1e-9)


@every_world
def test_every_class_can_be_seen_and_does_not_tell_the_branch(world):
    truth = world.truth(600, seed=1)
    assert set(truth.classes.flatten().tolist()) == set(range(10))
    digit = np.eye(10)[truth.classes[:, 0]]
    branch = np.eye(world.num_branches)[truth.branch]
    expected = digit.mean(axis=0)[:, None] * branch.mean(axis=0)
    joint = digit.T @ branch / 600
    assert np.abs(joint - expected).max() < 0.035
