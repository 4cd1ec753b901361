import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.vicreg import VarianceCovariance, VICReg, covariance_penalty, variance_penalty, vicreg
from videossl.objectives.view_graph import ViewGraph

seeds = st.integers(0, 2**31)
quick = settings(max_examples=20, deadline=None)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_the_penalties_are_their_formulas() -> None:
    z = 0.7 * draw(9, 4, seed=0)
    variances = torch.stack([((column - column.mean()) ** 2).sum() / 8 for column in z.T])
    torch.testing.assert_close(variance_penalty(z), (1 - (variances + 1e-4).sqrt()).clamp_min(0).mean())
    covariance = torch.cov(z.T)
    expected = sum(covariance[d, e] ** 2 for d in range(4) for e in range(4) if d != e) / 4
    torch.testing.assert_close(covariance_penalty(z), expected)


def test_the_penalties_take_many_sets_at_once() -> None:
    z = draw(3, 9, 4, seed=0)
    for penalty in (variance_penalty, covariance_penalty):
        torch.testing.assert_close(penalty(z), torch.stack([penalty(each) for each in z]))


@pytest.mark.parametrize("graph", ["all", "forward", [(1, 0)]])
def test_two_views_are_the_sum_that_is_published(graph: object) -> None:
    z = 0.6 * draw(2, 9, 4, seed=0)
    spread = (variance_penalty(z[0]) + variance_penalty(z[1])) / 2
    correlated = covariance_penalty(z[0]) + covariance_penalty(z[1])
    loss = vicreg(z, graph=graph)
    torch.testing.assert_close(loss.total, 25 * F.mse_loss(z[0], z[1]) + 25 * spread + correlated)
    torch.testing.assert_close(VICReg(graph=graph)(z).total, loss.total)
    torch.testing.assert_close(loss.terms["variance"], spread)
    torch.testing.assert_close(loss.terms["covariance"], correlated)


def test_more_views_take_the_mean_over_the_pairs_of_the_graph() -> None:
    z, graph = 0.6 * draw(4, 9, 5, seed=0), [(0, 1), (3, 1), (2, 3)]
    loss = VICReg(2.0, 3.0, 4.0, graph)(z)
    errors = torch.stack([F.mse_loss(z[left], z[right]) for left, right in graph])
    torch.testing.assert_close(loss.terms["invariance_per_pair"], errors)
    spread, correlated = variance_penalty(z).mean(), 2 * covariance_penalty(z).mean()
    torch.testing.assert_close(loss.total, 2 * errors.mean() + 3 * spread + 4 * correlated)


def test_collapse_costs_the_whole_variance_term_and_nothing_else() -> None:
    loss = vicreg(torch.ones(3, 6, 4))
    assert loss.total.item() == pytest.approx(25 * 0.99)
    assert loss.terms["invariance"] == loss.terms["covariance"] == 0


def test_views_that_agree_and_are_white_cost_nothing() -> None:
    z, _ = torch.linalg.qr(draw(64, 4, seed=0) - draw(64, 4, seed=0).mean(0))
    assert vicreg((2 * 64**0.5 * z).expand(2, 64, 4)).total.item() == pytest.approx(0, abs=1e-9)


def test_the_gradient_pushes_a_nearly_collapsed_batch_apart() -> None:
    z = (1 + 1e-2 * draw(2, 32, 4, seed=0)).requires_grad_()
    before = z.detach().var(1).mean()
    vicreg(z).total.backward()
    assert (z - 0.1 * z.grad).var(1).mean() > 2 * before


@pytest.mark.parametrize("graph", ["all", "forward", [(2, 0), (1, 2)]])
def test_predictions_that_are_the_anchors_change_nothing(graph: object) -> None:
    z, again = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=0).requires_grad_()
    loss, plain = VICReg(graph=graph)(z, ViewGraph.of(graph, 3).anchors(z)), VICReg(graph=graph)(again)
    loss.total.backward()
    plain.total.backward()
    torch.testing.assert_close(loss.total, plain.total)
    torch.testing.assert_close(z.grad, again.grad)


@quick
@given(seed=seeds, data=st.data())
def test_the_order_of_videos_and_of_views_with_their_graph_does_not_matter(seed: int, data: st.DataObject) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    z, videos = draw(4, 5, 3, seed=seed), torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    moved = vicreg(z[list(order)][:, videos], graph=moved_graph).total
    torch.testing.assert_close(moved, vicreg(z, graph=graph).total)


@quick
@given(seed=seeds, shift=st.floats(-100, 100))
def test_a_shift_of_all_embeddings_does_not_matter(seed: int, shift: float) -> None:
    z = draw(3, 8, 4, seed=seed)
    torch.testing.assert_close(vicreg(z + shift).total, vicreg(z).total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(kind: str, autocast: bool) -> None:
    z = draw(4, 32, 16, seed=3)
    z = {"random": z, "collapsed": 1 + 1e-3 * z, "near-duplicate views": z[:1] + 1e-4 * z}[kind]
    single = z.float().requires_grad_()
    double = single.detach().double().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = vicreg(single).total
    loss.backward()
    exact = vicreg(double).total
    exact.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)
    assert (single.grad - double.grad).abs().max() / double.grad.abs().max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_value_and_gradient_are_finite_in_low_precision(dtype: torch.dtype) -> None:
    for z in (10 * draw(3, 8, 16, seed=0), torch.ones(3, 8, 16), torch.zeros(3, 8, 16)):
        low = z.to(dtype).requires_grad_()
        loss = vicreg(low).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert low.grad.isfinite().all()


def test_terms_are_detached() -> None:
    for objective in (VICReg(), VarianceCovariance()):
        assert not any(term.requires_grad for term in objective(torch.ones(3, 2, 4).requires_grad_()).terms.values())


@pytest.mark.parametrize(
    ("shape", "predictions", "message"),
    [
        ((4, 8), None, r"shape \(V, B, D\), got \(4, 8\)"),
        ((2, 1, 8), None, r"N >= 2, so that there is a variance, got \(2, 1, 8\)"),
        ((1, 4, 8), None, "at least 2 views"),
        ((2, 4, 8), (3, 4, 8), "one prediction a pair"),
    ],
)
def test_wrong_use_says_what_is_wanted(
    shape: tuple[int, ...], predictions: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        vicreg(torch.ones(shape), predictions=None if predictions is None else torch.ones(predictions))
