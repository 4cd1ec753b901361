"""Samples read as motion: what is there to be read is read, in any rotation, and nothing is read where nothing is."""

from dataclasses import replace

import pytest
import torch
from fake_models import (
    KICKS,
    PROBABILITIES,
    STEPS,
    D,
    KnowingModel,
    little_probe,
    little_states,
    little_world,
    motion,
    unit,
)
from torch import Tensor

from videossl.evaluation import Trajectories, evaluate
from videossl.evaluation.readout import MotionReadout
from videossl.evaluation.trajectory_energy import expected_trajectory_energy, trajectory_energy

N, K = 2000, 16


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def futures(n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Embeddings (n, D) of futures of the little world and the true motion in them, no function linear in them."""
    generator = torch.Generator().manual_seed(seed)
    states = little_states(n, generator)
    taken = torch.multinomial(PROBABILITIES.expand(n, -1), 1, generator=generator)[:, 0]
    return unit(states + STEPS[taken]), motion(states, KICKS)[torch.arange(n), taken]


def contexts(n: int = 100, *, seed: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Exact draws (n, K, D), the branches' motion and probabilities, of contexts that no readout was fitted on."""
    generator = torch.Generator().manual_seed(seed)
    states, p = little_states(n, generator), PROBABILITIES.expand(n, -1)
    drawn = torch.multinomial(p, K, replacement=True, generator=generator)
    return unit(states[:, None] + STEPS[drawn]), motion(states, KICKS), p


@pytest.fixture(scope="module")
def readout() -> MotionReadout:
    return MotionReadout.fit(*futures(N, seed=0), 0)


def rms(error: Tensor) -> float:
    return float(error.square().sum(dim=-1).mean().sqrt())


def test_motion_that_is_no_linear_function_of_the_embeddings_is_recovered(readout):
    embeddings, paths = futures(500, seed=1)
    read = readout(embeddings[:, None])
    assert read.shape == (500, 1, 2, 1, 2)
    fitted_on, paths_there = futures(N, seed=0)
    weights = torch.linalg.lstsq(fitted_on, paths_there.flatten(1)).solution
    linear = (embeddings @ weights).reshape(paths.shape)
    assert rms(read[:, 0] - paths) < 0.6 * rms(linear - paths)
    assert rms(read[:, 0] - paths) < 0.3 * rms(paths - paths.mean(dim=0))


def test_the_error_of_the_readout_is_that_on_clips_it_has_not_seen(readout):
    embeddings, paths = futures(500, seed=1)
    assert readout.error_px == pytest.approx(rms(readout(embeddings[:, None])[:, 0] - paths), rel=0.2)


def test_the_same_seed_gives_the_same_readout_and_samples_may_have_any_scale(readout):
    samples = noise(7, 5, D)
    again = MotionReadout.fit(*futures(N, seed=0), 0)
    assert torch.equal(again(samples), readout(samples))
    assert again.error_px == readout.error_px
    torch.testing.assert_close(readout(1000 * samples), readout(samples), atol=1e-3, rtol=1e-3)


def test_a_rotated_space_gives_nearly_the_same_score(readout):
    turn = torch.linalg.qr(noise(D, D, seed=8)).Q
    embeddings, paths = futures(N, seed=0)
    turned = MotionReadout.fit(embeddings @ turn, paths, 0)
    samples, branches, p = contexts()
    before = trajectory_energy(readout(samples), branches, p).mean()
    after = trajectory_energy(turned(samples @ turn), branches, p).mean()
    assert after == pytest.approx(float(before), rel=0.03)


def test_exact_draws_come_near_the_oracle_and_one_answer_does_not(readout):
    samples, branches, p = contexts()
    oracle = float(expected_trajectory_energy(branches, p).mean())
    several = float(trajectory_energy(readout(samples), branches, p).mean())
    one = trajectory_energy(readout(samples[:, :1].expand(-1, K, -1)), branches, p).mean()
    middle = trajectory_energy(readout(samples.mean(dim=1, keepdim=True).expand(-1, K, -1)), branches, p).mean()
    assert oracle < several < oracle + 0.4
    assert min(one, middle) > several + 0.5


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_is_read_from_a_collapsed_encoder_and_its_rounding(value):
    _, paths = futures(N, seed=0)
    rounding = 1e-7 * futures(N, seed=0)[0]  # which says everything, to who listens
    flat = MotionReadout.fit(value * (1 + rounding), paths, 0)
    _, branches, p = contexts()
    read = flat(torch.full((len(branches), K, D), value))
    assert torch.isfinite(read).all()
    assert flat.error_px > 0.95 * rms(paths - paths.mean(dim=0))
    mean = trajectory_energy(paths.mean(dim=0).expand(len(branches), K, -1, -1, -1), branches, p).mean()
    assert trajectory_energy(read, branches, p).mean() > 0.95 * mean
    elsewhere = flat(noise(3, K, D))  # where no clip of the fit was
    assert (elsewhere >= paths.amin(dim=0)).all()
    assert (elsewhere <= paths.amax(dim=0)).all()


def test_with_several_objects_there_is_no_score_in_pixels_and_it_is_said_why():
    held_out = little_world()
    one = held_out.trajectories
    of_two = Trajectories(*(torch.cat([points, points], dim=-2) for points in (one.futures, one.branches)))
    probe = little_probe()
    probe = replace(probe, trajectories=torch.cat([probe.trajectories] * 2, dim=-2))
    metrics = evaluate(KnowingModel(), None, replace(held_out, trajectories=of_two, probe=probe), num_samples=4, seed=0)
    assert metrics["readouts"] == {}
    assert "energy_px" not in metrics["metric_help"]
    assert not any("energy_px" in row["metrics"] for row in metrics["rows"])
    assert any(reason.startswith("energy score in px: with several objects") for reason in metrics["skipped"])
    assert {one["metric"] for one in metrics["comparisons"]} == {"coverage", "energy_score"}


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (None, "there are no other clips with known motion"),
        (replace(little_probe(), trajectories=None), "there are no other clips with known motion"),
        (little_probe(39), "at least 40 other clips of which it is known, got 39"),
    ],
)
def test_without_clips_to_learn_from_there_is_no_score_in_pixels(probe, reason):
    metrics = evaluate(KnowingModel(), None, replace(little_world(), probe=probe), num_samples=2, seed=0)
    assert "energy_px" not in metrics["metric_help"]
    assert any(reason in skipped for skipped in metrics["skipped"])


def test_few_clips_are_enough_to_fit_without_a_warning(recwarn):
    assert MotionReadout.fit(*futures(40, seed=0), 0).error_px > 0
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MotionReadout.fit(noise(50, D), noise(49, 2, 1, 2), 0), r"of the same clips, got \(50, 8\)"),
        (lambda: MotionReadout.fit(noise(39, D), noise(39, 2, 1, 2), 0), r"at least 40 clips, got 39"),
        (lambda: replace(little_probe(50), trajectories=noise(50, 3, 1, 2)), r"with \(n, T\) = \(50, 2\), got"),
        (lambda: replace(little_probe(50), trajectories=noise(50, 2, 1, 2).long()), r"float.*torch.int64"),
        (
            lambda: replace(little_world(8), probe=replace(little_probe(50), trajectories=noise(50, 2, 2, 2))),
            r"\(T, O, 2\) = \(2, 1, 2\), as the futures have, got \(2, 2, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
