"""The energy score in pixels: hand-computed and proper; and the real clips that samples are nearest to."""

import math
from dataclasses import replace

import pytest
import torch
from fake_models import M, little_world
from torch import Tensor

from videossl.evaluation import Trajectories, TrajectoryEnergy
from videossl.evaluation import nearest as nearest_module
from videossl.evaluation.nearest import DECOY, OTHER, TRUE, nearest_real
from videossl.evaluation.shapes import unit
from videossl.evaluation.space import Space
from videossl.evaluation.trajectory_energy import expected_trajectory_energy, trajectory_energy

N, D, J, T = 9, 16, 3, 4
PROBABILITIES = torch.tensor([0.4, 0.3, 0.2, 0.1])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def world() -> tuple[Space, Trajectories]:
    """N contexts of two objects, their clips at random places of a space; the first branches were observed."""
    branches, decoys = unit(noise(N, M, D)), unit(noise(N, J, D, seed=1))
    contexts = unit(noise(N, D, seed=2))
    paths = 5 * noise(N, M, T, 2, 2, seed=3)
    space = Space("run", contexts, branches[:, 0], contexts, branches, decoys)
    return space, Trajectories(paths[:, 0], paths)


def test_energy_of_trajectories_matches_a_hand_computed_case():
    still = [[[0.0, 0.0]], [[0.0, 0.0]]]  # two frames of one object
    away = [[[0.0, 0.0]], [[6.0, 8.0]]]  # 0 and 10 px from it: 10 / sqrt 2 in the root mean square
    aside = [[[3.0, 4.0]], [[3.0, 4.0]]]  # 5 px from `still` in both frames, and from `away` too
    metric = TrajectoryEnergy()
    metric.update(torch.tensor([[still, away]]), torch.tensor([aside]))
    torch.testing.assert_close(metric.compute().item(), 5 - 10 / math.sqrt(2) / 2)
    futures = torch.tensor([[still, aside]])
    weighted = trajectory_energy(torch.tensor([[still]]), futures, torch.tensor([[0.2, 0.8]]))
    torch.testing.assert_close(weighted, torch.tensor([0.8 * 5]))
    of_truth = expected_trajectory_energy(futures, torch.tensor([[0.2, 0.8]]))
    torch.testing.assert_close(of_truth, torch.tensor([0.2 * 0.8 * 5]))


def test_energy_of_trajectories_refuses_what_would_be_no_score():
    _, motion = world()
    samples, weights = motion.branches, torch.ones(N, M)
    with pytest.raises(ValueError, match=r"weights >= 0 that sum to 1 .* got sums from 4.0000"):
        TrajectoryEnergy().update(samples, motion.branches, weights)
    with pytest.raises(ValueError, match=r"finite samples, got 576 of 576"):
        TrajectoryEnergy().update(samples * torch.nan, motion.futures)


def test_objects_are_told_apart():
    one, other = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    path = torch.stack([one, other])[None]  # (T = 1, O, 2)
    assert trajectory_energy(path[None, None], path[None]).item() == 0
    assert trajectory_energy(path[None, None], path.flip(1)[None]).item() == 5


def test_the_oracle_is_what_counting_every_pair_of_draws_gives():
    _, motion = world()
    pairs = [(a, b, PROBABILITIES[a] * PROBABILITIES[b]) for a in range(M) for b in range(M)]
    p = PROBABILITIES.expand(N, -1)
    counted = sum(chance * trajectory_energy(motion.branches[:, [a, b]], motion.branches, p) for a, b, chance in pairs)
    torch.testing.assert_close(expected_trajectory_energy(motion.branches, p), counted)


@pytest.mark.parametrize("seed", range(10))
def test_no_distribution_over_real_clips_beats_the_truth(seed):
    _, motion = world()
    of_others = motion.futures.roll(1, dims=0)[:, None]
    candidates = torch.cat([motion.branches, 5 * noise(N, J, T, 2, 2, seed=4), of_others], dim=1)
    forecast = torch.softmax(3 * noise(candidates.shape[1], seed=seed), dim=0)
    p = PROBABILITIES.expand(N, -1)
    expected = torch.zeros(N)
    for a in range(len(forecast)):  # the score of K draws does not depend on K in expectation: all pairs of draws
        for b in range(len(forecast)):
            expected += forecast[a] * forecast[b] * trajectory_energy(candidates[:, [a, b]], motion.branches, p)
    assert (expected > expected_trajectory_energy(motion.branches, p)).all()


def test_samples_are_taken_for_the_clip_that_they_are_nearest_to():
    space, _ = world()
    assert space.decoys is not None
    of_next = space.futures.roll(-1, dims=0)
    samples = torch.stack([space.branches[:, 2], space.decoys[:, 1], of_next, space.futures], dim=1)
    found = nearest_real(3 * samples + 0.01 * noise(N, 4, D, seed=5), space)
    assert found.kind.tolist() == [[TRUE, DECOY, OTHER, TRUE]] * N
    assert torch.equal(found.of(space.futures, space.branches, space.decoys), samples)


def test_where_branches_are_not_known_the_observed_future_stands_for_them():
    space, _ = world()
    space = replace(space, branches=None, decoys=None)
    found = nearest_real(space.futures[:, None], space)
    assert (found.kind == TRUE).all()
    assert torch.equal(found.of(space.futures, space.futures[:, None], None), space.futures[:, None])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_collapsed_encoder_names_the_clip_of_another_context(value):
    space, _ = world()
    rounding = 1e-7 * noise(N, M, D)
    flat = Space(
        "run",
        contexts=torch.full((N, D), value),
        futures=torch.full((N, D), value),
        representations=space.representations,
        branches=torch.full((N, M, D), value) + value * rounding,  # no reason to take a branch
        decoys=torch.full((N, J, D), value),
    )
    found = nearest_real(torch.full((N, 5, D), value), flat)
    assert (found.kind == OTHER).all()
    assert found.number.tolist() == [[1] * 5, *[[0] * 5] * (N - 1)]  # the same for all, but never itself


def test_on_a_tie_within_the_own_context_a_decoy_is_named():
    space, _ = world()
    tied = replace(space, decoys=torch.cat([noise(N, 2, D, seed=6), space.branches[:, 1:2]], dim=1))
    found = nearest_real(space.branches[:, 1:2], tied)
    assert (found.number == N + 2).all()
    assert (found.kind == DECOY).all()


def test_the_number_of_contexts_at_once_changes_nothing(monkeypatch):
    space, _ = world()
    samples = noise(N, 6, D, seed=7)
    whole = nearest_real(samples, space).number
    monkeypatch.setattr(nearest_module, "CONTEXTS_AT_ONCE", 4)
    assert torch.equal(nearest_real(samples, space).number, whole)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TrajectoryEnergy()(noise(2, 3, 8), noise(2, 8)), r"\(B, K, T, O, 2\).*got \(2, 3, 8\)"),
        (lambda: trajectory_energy(noise(2, 3, 4, 1, 2), noise(2, 4, 2, 2)), r"same frames and objects, got"),
        (lambda: trajectory_energy(noise(2, 3, 4, 1, 2), noise(3, 4, 1, 2)), r"futures of shape \(2, M, 8\)"),
        (lambda: Trajectories(noise(2, 4, 1, 2), noise(2, 3, 5, 1, 2)), r"of branches \(n, M, T, O, 2\).*\(4, 1, 2\)"),
        (lambda: Trajectories(noise(2, 4, 1, 2), noise(3, 3, 4, 1, 2)), r"n = 2"),
        (lambda: Trajectories(noise(2, 4, 1, 3), noise(2, 3, 4, 1, 3)), r"of futures \(n, T, O, 2\)"),
        (lambda: Trajectories(noise(2, 4, 1, 2).long(), noise(2, 3, 4, 1, 2)), r"float.*torch.int64"),
        (lambda: replace(little_world(8), trajectories=little_world(9).trajectories), r"of the futures beside clips"),
        (
            lambda: replace(little_world(8), branches=None, branch_probabilities=None),
            r"trajectories of the branches beside clips None",
        ),
    ],
)
def test_trajectories_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
