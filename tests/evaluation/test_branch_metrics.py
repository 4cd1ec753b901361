"""Branch metrics and their oracles: hand-computed cases, brute force, and the ways of cheating."""

import itertools

import pytest
import torch
from torch import Tensor

from videossl.evaluation import BranchAccuracy, BranchCalibration, BranchCoverage, BranchPrecision, oracles
from videossl.evaluation.best_of_k import best_of_k
from videossl.evaluation.branch_coverage import branch_coverage
from videossl.evaluation.energy_score import energy_score
from videossl.evaluation.landing import NOWHERE, lands_on

AXES = torch.eye(4)[None]  # (1, 4, 4): four branches at right angles
DECOYS = -AXES
UNEQUAL = torch.tensor([[0.4, 0.3, 0.2, 0.1]])


def draws(probabilities: Tensor, num_contexts: int, num_samples: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.multinomial(probabilities.expand(num_contexts, -1), num_samples, replacement=True, generator=generator)


def test_a_sample_lands_on_the_nearest_branch_and_nowhere_when_a_decoy_is_nearer():
    samples = torch.tensor([[[0.9, 0.1, 0, 0], [0, 0, 0, 5.0], [-1, 0, 0, 0.5]]])
    assert lands_on(samples, AXES, DECOYS).tolist() == [[0, 3, NOWHERE]]


def test_a_sample_lands_nowhere_on_a_branch_that_cannot_happen():
    probabilities = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert lands_on(AXES, AXES, None, probabilities).tolist() == [[0, 1, NOWHERE, NOWHERE]]


def test_a_collapsed_encoder_lands_nowhere():
    ones = torch.ones(3, 5, 4)
    assert (lands_on(ones, torch.ones(3, 8, 4), torch.ones(3, 2, 4)) == NOWHERE).all()


def test_coverage_matches_a_hand_computed_case():
    metric = BranchCoverage()
    metric.update(AXES[:, [0, 0, 1]], AXES, DECOYS)
    metric.update(torch.cat([AXES, DECOYS], dim=1), AXES, DECOYS)
    torch.testing.assert_close(metric.compute().item(), (0.5 + 1) / 2)


def test_coverage_asks_only_for_branches_that_can_happen():
    probabilities = torch.tensor([[0.9, 0.1, 0.0, 0.0]])
    assert branch_coverage(AXES[:, :1], AXES, None, probabilities).item() == 0.5


def test_precision_matches_a_hand_computed_case():
    metric = BranchPrecision()
    metric.update(torch.cat([AXES[:, :3], DECOYS[:, :1]], dim=1), AXES, DECOYS)
    torch.testing.assert_close(metric.compute().item(), 0.75)


def test_calibration_matches_a_hand_computed_case():
    metric = BranchCalibration(num_branches=4)
    metric.update(AXES[:, [0, 0, 1, 3]], AXES, UNEQUAL)
    # frequencies .5 .25 0 .25 against .4 .3 .2 .1
    torch.testing.assert_close(metric.compute().item(), (0.1 + 0.05 + 0.2 + 0.15) / 2)


def test_calibration_with_decoys_leaves_out_the_samples_that_land_on_them():
    samples = torch.cat([AXES[:, [0, 1]], DECOYS[:, [2, 3]]], dim=1)
    metric = BranchCalibration(num_branches=4)
    metric.update(samples, AXES, None, DECOYS)
    torch.testing.assert_close(metric.compute().item(), 0.5)


def test_calibration_leaves_out_branches_that_cannot_happen():
    probabilities = torch.tensor([[0.0, 0.75, 0.0, 0.25]])
    samples = torch.tensor([[[5.0, 1, 0, 0], [5.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0.1]]])  # nearest of 1 and 3
    metric = BranchCalibration(num_branches=4)
    metric.update(samples, AXES, probabilities)
    # frequencies 0 .5 0 .5 against 0 .75 0 .25
    torch.testing.assert_close(metric.compute().item(), 0.25)


def test_calibration_is_worst_when_no_sample_lands():
    metric = BranchCalibration(num_branches=4)
    metric.update(DECOYS, AXES, None, DECOYS)
    assert metric.compute().item() == 1.0


def test_calibration_per_context_finds_out_a_model_that_picks_one_branch_for_each_context():
    samples = AXES.transpose(0, 1).expand(4, 6, 4)  # context i: six copies of branch i
    branches = AXES.expand(4, 4, 4)
    per_context, pooled = BranchCalibration(4), BranchCalibration(4, pooled=True)
    per_context.update(samples, branches)
    pooled.update(samples, branches)
    assert per_context.compute().item() == 0.75
    assert pooled.compute().item() == 0.0


@pytest.mark.parametrize("probabilities", [torch.full((1, 4), 0.25), UNEQUAL])
def test_oracle_of_coverage_and_calibration_is_what_exact_draws_reach(probabilities):
    num_contexts, num_samples = 20_000, 6
    samples = AXES[0][draws(probabilities, num_contexts, num_samples)]
    branches, many = AXES.expand(num_contexts, -1, -1), probabilities.expand(num_contexts, -1)
    coverage, calibration = BranchCoverage(), BranchCalibration(4)
    coverage.update(samples, branches)
    calibration.update(samples, branches, many)
    for metric, oracle in (
        (coverage, oracles.expected_coverage(probabilities, num_samples)),
        (calibration, oracles.expected_total_variation(probabilities, num_samples)),
    ):
        torch.testing.assert_close(metric.compute(), oracle[0], atol=0.005, rtol=0)


def test_oracle_of_the_total_variation_matches_counting_every_outcome():
    p, num_samples = UNEQUAL[0].double(), 3
    expected = 0.0
    for outcome in itertools.product(range(4), repeat=num_samples):
        frequencies = torch.bincount(torch.tensor(outcome), minlength=4) / num_samples
        expected += p[list(outcome)].prod().item() * (frequencies - p).abs().sum().item() / 2
    torch.testing.assert_close(oracles.expected_total_variation(UNEQUAL, num_samples).item(), expected)


def test_oracles_of_energy_score_and_best_of_k_match_counting_every_outcome():
    branches = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    num_samples, energy, best = 3, 0.0, 0.0
    for outcome in itertools.product(range(4), repeat=num_samples):
        chance = UNEQUAL[0, list(outcome)].prod().item()
        samples = branches[:, list(outcome)]
        energy += chance * energy_score(samples, branches, UNEQUAL).item()
        best += chance * best_of_k(samples, branches, UNEQUAL).item()
    torch.testing.assert_close(oracles.expected_energy_score(branches, UNEQUAL).item(), energy)
    torch.testing.assert_close(oracles.expected_best_of_k_curve(branches, UNEQUAL, 3)[0, -1].item(), best)


def test_oracle_of_the_energy_score_of_draws_leaves_out_pairs_of_a_draw_with_itself():
    equal = torch.full((1, 4), 0.25)
    of_branches, of_draws = (oracles.expected_energy_score(AXES, equal, draws=draws) for draws in (False, True))
    torch.testing.assert_close(of_draws, torch.tensor([2**0.5 / 2]))
    torch.testing.assert_close(of_branches, of_draws * 3 / 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BranchCoverage()(AXES[0], AXES), r"samples of shape \(B, K, D\)"),
        (lambda: BranchCoverage()(AXES, AXES[..., :3]), r"branches of shape \(1, M, 4\).*got \(1, 4, 3\)"),
        (lambda: BranchPrecision()(AXES, AXES, DECOYS[0]), r"decoys of shape \(1, J, 4\).*got \(4, 4\)"),
        (lambda: BranchPrecision()(AXES, AXES, None), r"at least one decoy of each context, got none"),
        (lambda: BranchPrecision()(AXES, AXES, AXES[:, :0]), r"at least one decoy of each context, got none"),
        (lambda: BranchCalibration(8)(AXES, AXES), r"expected 8 branches of each context, got 4"),
        (lambda: BranchCalibration(4)(AXES, AXES, UNEQUAL / 2), r"sum to 1 for every context, got sums from 0.5000"),
        (lambda: BranchCoverage()(AXES, AXES, None, UNEQUAL[:, :3]), r"probabilities of shape \(1, 4\).*got \(1, 3\)"),
        (lambda: BranchAccuracy()(AXES, torch.full((1, 4), 99), AXES), r"told branches from 0 to 3, got 99 to 99"),
        (lambda: BranchAccuracy()(AXES, torch.full((1, 4), -1), AXES, DECOYS), r"from 0 to 3, got -1 to -1"),
        (lambda: BranchCoverage().update(AXES.numpy(), AXES.numpy()), r"in a torch.Tensor, got a numpy.ndarray"),
        (
            lambda: BranchPrecision().update(AXES.numpy(), AXES, DECOYS),
            r"samples in a torch.Tensor, got a numpy",
        ),
        (lambda: BranchCalibration(4).update(AXES, AXES.numpy()), r"branches in a torch.Tensor, got a numpy.ndarray"),
    ],
)
def test_branch_metrics_say_what_they_want(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["samples", "branches", "decoys"])
@pytest.mark.parametrize("metric", [BranchCoverage(), BranchPrecision(), BranchCalibration(4)])
def test_what_is_not_finite_lands_nowhere_and_is_refused(metric, name):
    given = {"samples": AXES, "branches": AXES, "decoys": DECOYS}
    with pytest.raises(ValueError, match=rf"finite {name}, got 16 of 16 values"):
        metric.update(**given | {name: torch.full_like(AXES, torch.nan)})


@pytest.mark.parametrize("name", ["samples", "branches", "decoys"])
def test_a_branch_is_found_whatever_the_precision_of_the_other_embeddings(name):
    given = {"samples": AXES[:, [0, 1, 1]], "branches": AXES, "decoys": DECOYS}
    assert lands_on(**given | {name: given[name].double()}).tolist() == [[0, 1, 1]]
