"""Metrics on sampled futures: exact hand-computed cases and what must hold for any model."""

import math

import pytest
import torch
from torch import Tensor

from videossl.evaluation import BestOfK, CandidateNLL, EnergyScore, FutureRetrieval, RankHistogram, SpreadSkill
from videossl.evaluation.best_of_k import best_of_k_curve
from videossl.evaluation.energy_score import energy_score
from videossl.evaluation.future_retrieval import retrieval_ranks
from videossl.evaluation.rank_histogram import observation_rank

RIGHT, UP, LEFT = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
CORNER = math.sqrt(2)  # distance from RIGHT to UP


def random_unit(*shape: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_best_of_k_matches_a_hand_computed_case():
    metric = BestOfK(num_samples=3)
    metric.update(torch.tensor([[RIGHT, UP, LEFT], [LEFT, LEFT, LEFT]]), torch.tensor([UP, RIGHT]))
    torch.testing.assert_close(metric.compute().item(), (0 + 2) / 2)


def test_best_of_k_curve_averages_over_all_subsets_of_the_samples():
    # distances to RIGHT: 0, sqrt 2, 2. k = 1: their mean; k = 2: minima 0, 0, sqrt 2 of the three pairs; k = 3: 0
    curve = best_of_k_curve(torch.tensor([[LEFT, RIGHT, UP]]), torch.tensor([RIGHT]))
    torch.testing.assert_close(curve, torch.tensor([[(CORNER + 2) / 3, CORNER / 3, 0.0]]))


def test_best_of_k_never_rises_with_more_samples():
    curve = best_of_k_curve(random_unit(20, 16, 8), random_unit(20, 8, seed=1))
    assert (curve.diff(dim=1) <= 1e-6).all()


def test_best_of_k_over_all_possible_futures_is_their_weighted_mean():
    samples, futures = random_unit(5, 4, 8), random_unit(5, 3, 8, seed=1)
    weights = torch.tensor([[0.5, 0.3, 0.2]]).expand(5, 3)
    one_by_one = torch.stack([best_of_k_curve(samples, futures[:, m]) for m in range(3)])
    expected = (one_by_one * torch.tensor([0.5, 0.3, 0.2])[:, None, None]).sum(dim=0)
    torch.testing.assert_close(best_of_k_curve(samples, futures, weights), expected)


def test_energy_score_matches_a_hand_computed_case():
    metric = EnergyScore()
    metric.update(torch.tensor([[RIGHT, LEFT]]), torch.tensor([UP]))
    # both samples are sqrt 2 away from UP; the one pair of different samples is 2 apart
    torch.testing.assert_close(metric.compute().item(), CORNER - 1)


def test_energy_score_of_the_points_themselves_counts_pairs_of_a_sample_with_itself():
    score = energy_score(torch.tensor([[RIGHT, LEFT]]), torch.tensor([UP]), fair=False)
    torch.testing.assert_close(score.item(), CORNER - 0.5)


def test_energy_score_of_copies_is_their_distance():
    metric = EnergyScore()
    metric.update(torch.tensor([[RIGHT] * 5]), torch.tensor([UP]))
    torch.testing.assert_close(metric.compute().item(), CORNER)


def test_energy_score_is_the_same_in_expectation_whatever_the_number_of_samples():
    branches = random_unit(4, 8)
    target = branches[torch.randint(4, (20_000,), generator=torch.Generator().manual_seed(1))]
    few, many = (
        energy_score(branches[torch.randint(4, (20_000, k), generator=torch.Generator().manual_seed(k))], target).mean()
        for k in (2, 16)
    )
    torch.testing.assert_close(few, many, atol=0.02, rtol=0)


def test_energy_score_prefers_the_truth_to_its_mean_and_to_a_wider_cloud():
    branches = torch.tensor([[1.0, 0.5], [1.0, -0.5]])
    draws = torch.randint(2, (4000, 17), generator=torch.Generator().manual_seed(0))
    target, truth = branches[draws[:, 0]], branches[draws[:, 1:]]
    mean = torch.tensor(RIGHT).expand(4000, 16, 2)
    wide = truth * torch.tensor([1.0, 4.0])
    right = energy_score(truth, target).mean()
    assert right < energy_score(mean, target).mean()
    assert right < energy_score(wide, target).mean()


def test_retrieval_matches_a_hand_computed_case():
    futures = torch.tensor([RIGHT, UP])
    samples = torch.tensor([[RIGHT], [RIGHT]])  # the second context is answered wrongly
    decoys = torch.tensor([[LEFT], [[1.0, 0.1]]])  # and its decoy is nearer than its future
    metric = FutureRetrieval(tops=(1, 2))
    metric.update(samples[:1], futures[:1], decoys[:1])
    metric.update(samples[1:], futures[1:], decoys[1:])
    found = metric.compute()
    assert retrieval_ranks(samples, futures, decoys).tolist() == [1.0, 3.0]
    torch.testing.assert_close(found["hit_at_1"].item(), 0.5)
    torch.testing.assert_close(found["hit_at_2"].item(), 0.5)
    torch.testing.assert_close(found["mrr"].item(), (1 + 1 / 3) / 2)


def test_retrieval_ranks_in_the_middle_when_embeddings_collapse():
    ranks = retrieval_ranks(torch.ones(9, 4, 3), torch.ones(9, 3), torch.ones(9, 2, 3))
    assert ranks.tolist() == [1 + (8 + 2) / 2] * 9


def test_retrieval_with_a_narrow_kernel_asks_for_the_nearest_sample_only():
    samples = torch.tensor([[RIGHT, LEFT, LEFT, LEFT]])
    decoys = torch.tensor([[[-1.0, 0.3]]])
    narrow = retrieval_ranks(samples, torch.tensor([RIGHT]), decoys, temperature=0.001)
    wide = retrieval_ranks(samples, torch.tensor([RIGHT]), decoys, temperature=1.0)
    assert (narrow.item(), wide.item()) == (1.0, 2.0)


def test_retrieval_does_not_depend_on_rows_at_once():
    samples, futures = random_unit(150, 4, 8), random_unit(150, 8, seed=1)
    whole = retrieval_ranks(samples, futures)
    direct = torch.logsumexp(torch.einsum("ikd,jd->ikj", samples, futures) / 0.01, dim=1)
    assert torch.equal(whole, 1.0 + (direct > direct.diagonal()[:, None]).sum(dim=1))


def test_rank_histogram_is_flat_when_the_observation_is_one_of_the_samples():
    points = random_unit(20_000, 5, 6)
    metric = RankHistogram(num_samples=4)
    metric.update(points[:, 1:], points[:, 0])
    torch.testing.assert_close(metric.compute(), torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_rank_histogram_puts_an_outsider_last_and_a_centre_first():
    samples = torch.tensor([[[1.0, 0.1], [1.0, -0.1], [1.0, 0.2], [1.0, -0.2]]])
    assert observation_rank(samples, torch.tensor([LEFT])).tolist() == [[0, 0, 0, 0, 1]]
    assert observation_rank(samples, torch.tensor([RIGHT])).tolist() == [[1, 0, 0, 0, 0]]


def test_rank_histogram_spreads_ties_evenly():
    ranks = observation_rank(torch.tensor([[RIGHT] * 3]), torch.tensor([RIGHT]))
    torch.testing.assert_close(ranks, torch.full((1, 4), 0.25))


def test_spread_skill_matches_a_hand_computed_case():
    metric = SpreadSkill()
    metric.update(torch.tensor([[RIGHT, LEFT]]), torch.tensor([UP]))
    # mean 0: variance (1 + 1) / 1 * 3/2 = 3, squared error 1
    torch.testing.assert_close(metric.compute().item(), math.sqrt(3))


def test_spread_skill_is_one_when_the_observation_is_drawn_like_the_samples():
    points = random_unit(20_000, 9, 6) + torch.tensor([2.0, 0, 0, 0, 0, 0])
    metric = SpreadSkill()
    metric.update(points[:, 1:], points[:, 0])
    torch.testing.assert_close(metric.compute().item(), 1.0, atol=0.01, rtol=0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_future_metrics_ignore_the_scale_of_embeddings(scale):
    samples, futures = random_unit(6, 4, 8), random_unit(6, 8, seed=1)
    for metric in (BestOfK(4), EnergyScore(), SpreadSkill(), RankHistogram(4), FutureRetrieval()):
        plain, scaled = metric.clone(), metric.clone()
        plain.update(samples, futures)
        scaled.update(scale * samples, scale * futures)
        torch.testing.assert_close(plain.compute(), scaled.compute())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BestOfK(0), r"expected num_samples >= 1 sampled futures, got 0"),
        (lambda: BestOfK(3)(torch.ones(2, 4, 8), torch.ones(2, 8)), r"expected 3 samples of each context, got 4"),
        (lambda: EnergyScore()(torch.ones(2, 8), torch.ones(2, 8)), r"\(B, K, D\) with K >= 1.*got \(2, 8\)"),
        (lambda: EnergyScore()(torch.ones(2, 0, 8), torch.ones(2, 8)), r"K >= 1 sampled futures, got \(2, 0, 8\)"),
        (
            lambda: EnergyScore()(torch.ones(2, 4, 8), torch.ones(2, 9)),
            r"futures of shape \(2, M, 8\).*got \(2, 1, 9\)",
        ),
        (lambda: SpreadSkill()(torch.ones(2, 1, 8), torch.ones(2, 8)), r"at least 2 samples .* got 1"),
        (lambda: FutureRetrieval()(torch.ones(2, 1, 8), torch.ones(3, 8)), r"futures of shape \(2, 8\).*got \(3, 8\)"),
        (
            lambda: BestOfK(1)(torch.ones(2, 1, 8), torch.ones(2, 3, 8), torch.ones(2, 4)),
            r"weights of shape \(2, 3\) = \(B, M\).*got \(2, 4\)",
        ),
        (
            lambda: BestOfK(1)(torch.ones(2, 1, 8), torch.ones(2, 3, 8), torch.ones(2, 3)),
            r"weights >= 0 that sum to 1 for every context, got sums from 3.0000 to 3.0000",
        ),
        (
            lambda: EnergyScore()(torch.ones(1, 2, 8), torch.ones(1, 2, 8), torch.tensor([[2.0, -1.0]])),
            r"weights >= 0 that sum to 1 .* and values from -1.0000",
        ),
        (
            lambda: EnergyScore()(torch.ones(1, 2, 8), torch.ones(1, 2, 8), torch.full((1, 2), torch.nan)),
            r"weights >= 0 that sum to 1 .* got sums from nan",
        ),
    ],
)
def test_future_metrics_say_what_they_want(call, message):
    with pytest.raises(ValueError, match=message):
        call()


METRICS_OF_ONE_FUTURE = [lambda: BestOfK(4), EnergyScore, FutureRetrieval, lambda: RankHistogram(4), SpreadSkill]


@pytest.mark.parametrize("make", METRICS_OF_ONE_FUTURE)
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_model_that_diverged_gets_no_score(make, broken):
    samples, futures = random_unit(6, 4, 8), random_unit(6, 8, seed=1)
    samples[2, 1, :3] = broken
    with pytest.raises(ValueError, match=r"finite samples, got 3 of 192 values .* diverged"):
        make().update(samples, futures)
    with pytest.raises(ValueError, match=r"finite futures, got 8 of 48 values"):
        make().update(random_unit(6, 4, 8), futures.index_fill(0, torch.tensor([3]), broken))


def test_decoys_that_are_not_finite_are_refused_before_they_are_kept():
    metric = FutureRetrieval()
    with pytest.raises(ValueError, match=r"finite decoys, got 48 of 48 values"):
        metric.update(random_unit(2, 4, 8), random_unit(2, 8), torch.full((2, 3, 8), torch.nan))
    assert metric.samples == []


@pytest.mark.parametrize("make", METRICS_OF_ONE_FUTURE)
@pytest.mark.parametrize("wide", [0, 1])
def test_samples_and_futures_of_two_precisions_score_as_in_the_wider(make, wide):
    given = [random_unit(6, 4, 8), random_unit(6, 8, seed=1)]
    mixed = [value.double() if number == wide else value for number, value in enumerate(given)]
    found, expected = make(), make()
    found.update(*mixed)
    expected.update(*(value.double() for value in given))
    torch.testing.assert_close(found.compute(), expected.compute(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_sum_to_one_as_well_as_they_can(dtype):
    weights = torch.softmax(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    EnergyScore().update(random_unit(64, 4, 8), random_unit(64, 8, 8, seed=1), weights.to(dtype))
    with pytest.raises(ValueError, match="sum to 1"):
        EnergyScore().update(random_unit(64, 4, 8), random_unit(64, 8, 8, seed=1), 1.1 * weights.to(dtype))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_log_densities_are_numbers_and_one_may_be_minus_infinity(value):
    densities, weights = torch.zeros(2, 3), torch.tensor([[1.0, 0.0, 0.0]] * 2)
    densities[:, 2] = -torch.inf
    assert CandidateNLL()(densities, weights) == pytest.approx(math.log(2))
    densities[1, 1] = value
    with pytest.raises(ValueError, match="log_densities that are numbers"):
        CandidateNLL().update(densities, weights)
    with pytest.raises(ValueError, match="log_densities that are numbers"):
        CandidateNLL().update(torch.full((2, 3), -torch.inf), weights)


def test_weights_may_be_of_another_precision_than_the_futures():
    samples, futures = random_unit(6, 4, 8).double(), random_unit(6, 3, 8, seed=1)
    weights = torch.tensor([[0.5, 0.25, 0.25]]).expand(6, 3)
    for metric in (BestOfK(4), EnergyScore()):
        plain, mixed = metric.clone(), metric.clone()
        plain.update(samples.float(), futures, weights)
        mixed.update(samples, futures, weights)
        torch.testing.assert_close(mixed.compute(), plain.compute(), atol=1e-6, rtol=1e-6)
