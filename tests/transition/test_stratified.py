"""Stratified draws: each has the distribution of a single draw, and all together share it out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.transition.test_priors import D, every_prior, prior, states
from videossl.transition import CodebookLatent, Codes, GateMixture, GaussianMixture, Stratified
from videossl.transition.stratified import nearby_order, stratified_choice, stratified_normals, stratified_uniforms


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_each_is_chosen_as_often_as_it_is_likely_rounded_up_or_down(count: int, num_options: int, seed: int) -> None:
    weights = torch.rand(num_options, generator=seeded(seed)).softmax(0)
    chosen = stratified_choice(weights.expand(count, -1), seeded(seed))
    counts = torch.bincount(chosen, minlength=num_options)
    for some in range(1, num_options + 1):  # of neighbours together, too
        expected = count * weights.double()[:some].sum()
        assert abs(counts[:some].sum() - expected) < 1 + 1e-4


def test_each_row_is_drawn_by_its_own_weights() -> None:
    weights = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])
    drawn = torch.stack([stratified_choice(weights, seeded(seed)) for seed in range(4000)])
    shares = torch.nn.functional.one_hot(drawn, 3).float().mean(0)
    torch.testing.assert_close(shares, weights, rtol=0, atol=0.03)


@pytest.mark.parametrize("level", [0.0, 1 - 1e-16])
def test_at_the_ends_of_chance_no_weight_is_still_never_chosen(monkeypatch: pytest.MonkeyPatch, level: float) -> None:
    def same(_: Tensor, *shape: int, generator: torch.Generator | None) -> Tensor:
        return torch.full(shape, level, dtype=torch.float64)

    monkeypatch.setattr("videossl.transition.stratified._uniforms", same)
    weights = torch.tensor([[0.0, 0.3, 0.7, 0.0]])
    assert int(stratified_choice(weights)) in (1, 2)
    assert int(stratified_choice(weights * (1 - 1e-7))) in (1, 2)


def test_a_choice_of_no_weight_is_never_made() -> None:
    weights = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0]).expand(64, -1)
    assert set(stratified_choice(weights, seeded(0)).tolist()) == {1, 3}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 2**31))
def test_every_group_has_one_value_in_each_of_its_strata(groups: list[int], seed: int) -> None:
    of = torch.tensor(groups)
    levels = stratified_uniforms(torch.empty(len(of), 3, dtype=torch.float64), groups=of, generator=seeded(seed))
    for group in of.unique():
        mine = levels[of == group]
        strata = (mine * len(mine)).floor().long()
        for coordinate in strata.T:
            assert sorted(coordinate.tolist()) == list(range(len(mine)))


def test_normals_are_normal_and_finite() -> None:
    drawn = torch.stack([stratified_normals(torch.empty(2, 3), generator=seeded(seed)) for seed in range(4000)])
    assert drawn.dtype == torch.float32
    assert drawn.isfinite().all()
    torch.testing.assert_close(drawn.mean(0), torch.zeros(2, 3), rtol=0, atol=0.06)
    torch.testing.assert_close(drawn.std(0), torch.ones(2, 3), rtol=0, atol=0.06)
    one_of_each_sign = (drawn > 0).sum(1)
    assert (one_of_each_sign == 1).all()


def test_neighbours_in_the_order_are_near() -> None:
    clusters = torch.tensor([0.0, 10.0, 20.0])
    points = (clusters[torch.tensor([2, 0, 1, 0, 2, 1])] + torch.rand(6, generator=seeded(0)))[:, None]
    order = nearby_order(points)
    assert sorted(order.tolist()) == list(range(6))
    assert [round(float(points[number]) / 10) * 10 for number in order] == [20, 20, 10, 10, 0, 0]


@every_prior
def test_draws_of_every_prior_have_its_distribution_and_a_mean_that_is_nearer(kind: str) -> None:
    context = states(1).double().expand(16, -1)
    with torch.no_grad():
        told = prior(kind, 2)(context)
    assert isinstance(told, Stratified)
    spread, alone = (
        torch.stack([draw(seeded(seed)) for seed in range(600)]) for draw in (told.stratified_sample, told.sample)
    )
    everything = spread.flatten(0, 1)
    torch.testing.assert_close(everything.mean(0), told.mean[0], rtol=0, atol=0.05)
    torch.testing.assert_close(everything.var(0), told.variance[0], rtol=0.1, atol=0)
    # Each place among the 16 is as good as another.
    torch.testing.assert_close(spread.mean(0), told.mean, rtol=0, atol=0.25)
    assert (spread.mean(1).var(0) < 0.5 * alone.mean(1).var(0)).all()
    assert torch.equal(told.stratified_sample(seeded(3)), told.stratified_sample(seeded(3)))


def modes(count: int) -> Tensor:
    return 10 * torch.eye(count)


def test_as_many_draws_as_modes_find_all_of_a_mixture() -> None:
    means = modes(8).repeat(2, 1)  # two components each, far apart in the list
    mixture = GaussianMixture(torch.zeros(16), means, torch.full((16, 8), -6.0))
    of_eight = GaussianMixture(*(part.expand(8, *part.shape) for part in mixture))
    for seed in range(50):
        assert sorted(of_eight.stratified_sample(seeded(seed)).argmax(1).tolist()) == list(range(8))


def test_gates_and_codes_are_spread_too() -> None:
    gates = GateMixture(torch.zeros(8, 1), torch.zeros(8, 1, 4), torch.ones(8, 1, 4), torch.full((8, 1, 4), -6.0))
    assert ((gates.stratified_sample(seeded(0)) != 0).sum(0) == 4).all()  # half of the draws open each
    codes = Codes(torch.zeros(16, 4))
    drawn = codes.stratified_sample(seeded(0))
    assert torch.equal(drawn.sum(0), torch.full((4,), 4.0))
    assert torch.equal(drawn.sum(1), torch.ones(16))
    # Every second code is of the same future: neither is missed for good.
    of_eight = Codes(torch.zeros(4, 8))
    of_one = torch.stack([of_eight.stratified_sample(seeded(seed))[:, ::2].sum() for seed in range(200)])
    assert float(((of_one > 0) & (of_one < 4)).float().mean()) > 0.85
    assert isinstance(CodebookLatent(D, num_codes=4).prior(states(3)), Stratified)
