import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import TeacherObjective
from videossl.objectives.dino import DINO
from videossl.objectives.distillation import Distillation
from videossl.objectives.prediction import Prediction, prediction
from videossl.objectives.sigreg import SIGReg
from videossl.objectives.vicreg import VarianceCovariance, VICReg, vicreg
from videossl.objectives.view_graph import ViewGraph

seeds = st.integers(0, 2**31)
quick = settings(max_examples=20, deadline=None)
GRAPHS = ["all", "forward", [(2, 0), (1, 2)]]


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_value_is_the_mean_squared_error_of_the_pairs_plus_the_regulariser(graph: object) -> None:
    z, t, regulariser = draw(3, 6, 5, seed=0), draw(3, 6, 5, seed=1), VarianceCovariance()
    pairs = ViewGraph.of(graph, 3).pairs
    p = draw(len(pairs), 6, 5, seed=2)
    errors = torch.stack([F.mse_loss(guess, t[right]) for guess, (_, right) in zip(p, pairs, strict=True)])
    loss = Prediction(regulariser, 2.0, 0.5, graph)(z, p, targets=t)
    torch.testing.assert_close(loss.total, 2 * errors.mean() + 0.5 * regulariser(z).total)
    torch.testing.assert_close(loss.terms["prediction_per_pair"], errors)
    torch.testing.assert_close(loss.terms["prediction"], errors.mean())
    torch.testing.assert_close(loss.terms["variance"], regulariser(z).terms["variance"])
    torch.testing.assert_close(prediction(z, predictions=p, targets=t, graph=graph).total, errors.mean())


@pytest.mark.parametrize("graph", GRAPHS)
def test_predictions_that_are_the_anchors_change_nothing(graph: object) -> None:
    objective = Prediction(VarianceCovariance(), graph=graph)
    z, again = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=0).requires_grad_()
    loss, plain = objective(z, ViewGraph.of(graph, 3).anchors(z)), objective(again)
    loss.total.backward()
    plain.total.backward()
    torch.testing.assert_close(loss.total, plain.total)
    torch.testing.assert_close(z.grad, again.grad)


def test_with_moving_targets_and_the_penalties_of_vicreg_it_is_vicreg() -> None:
    z, again = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=0).requires_grad_()
    loss = Prediction(VarianceCovariance(), prediction_weight=25.0, stop_gradient=False)(z).total
    loss.backward()
    expected = vicreg(again).total
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(z.grad, again.grad)


def test_the_error_over_all_pairs_is_that_of_lejepa_times_a_number() -> None:
    z = draw(4, 6, 5, seed=0)
    theirs = (z - z.mean(0)).square().mean()
    torch.testing.assert_close(prediction(z).total, 2 * 4 / 3 * theirs)


def test_the_gradient_of_the_targets_is_stopped_unless_it_is_wanted() -> None:
    moving, still = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=0).requires_grad_()
    prediction(moving, graph="forward", stop_gradient=False).total.backward()
    prediction(still, graph="forward").total.backward()
    assert not still.grad[2].any()  # a target only
    assert moving.grad[2].any()
    everywhere, half = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=0).requires_grad_()
    prediction(everywhere, stop_gradient=False).total.backward()
    prediction(half).total.backward()
    torch.testing.assert_close(everywhere.grad, 2 * half.grad)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_no_gradient_reaches_a_teacher(stop_gradient: bool) -> None:
    targets = draw(3, 6, 5, seed=1).requires_grad_()
    objective = Prediction(stop_gradient=stop_gradient)
    objective(draw(3, 6, 5, seed=0).requires_grad_(), targets=targets).total.backward()
    assert targets.grad is None


def test_the_levels_of_chance_are_the_documented_ones() -> None:
    assert prediction(torch.ones(3, 6, 5)).total == 0
    z = draw(2, 4096, 32, seed=0)
    assert prediction(z).total.item() == pytest.approx(2, rel=0.02)
    assert prediction(z, predictions=torch.zeros_like(z)).total.item() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("regulariser", [VarianceCovariance(), SIGReg(64)])
def test_a_regulariser_keeps_apart_what_prediction_alone_collapses(regulariser: torch.nn.Module) -> None:
    spreads = []
    for price in (None, regulariser):
        z = (0.1 * draw(2, 64, 4, seed=0)).float().requires_grad_()
        optimizer = torch.optim.Adam([z], 0.05)
        objective = Prediction(price, stop_gradient=False)
        for _ in range(100):
            optimizer.zero_grad()
            objective(z, z.mean((0, 1)).expand_as(z)).total.backward()  # the same guess for all videos
            optimizer.step()
        spreads.append(z.detach().std(1).mean().item())
    assert spreads[0] < 0.05
    assert spreads[1] > 0.3


@quick
@given(seed=seeds, data=st.data())
def test_the_order_of_videos_and_of_views_with_their_graph_does_not_matter(seed: int, data: st.DataObject) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    z, videos = draw(4, 5, 3, seed=seed), torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    p = draw(len(graph), 5, 3, seed=seed + 1)
    regulariser = SIGReg(8).eval()
    moved = Prediction(regulariser, graph=moved_graph)(z[list(order)][:, videos], p[:, videos]).total
    torch.testing.assert_close(moved, Prediction(regulariser, graph=graph)(z, p).total)


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(kind: str, autocast: bool) -> None:
    z = draw(4, 32, 16, seed=3)
    z = {"random": z, "collapsed": 1 + 1e-3 * z, "near-duplicate views": z[:1] + 1e-4 * z}[kind]
    for regulariser in (None, VarianceCovariance(), SIGReg(16).eval()):
        single = z.float().requires_grad_()
        double = single.detach().double().requires_grad_()
        objective = Prediction(regulariser)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = objective(single).total
        loss.backward()
        exact = objective(double).total
        exact.backward()
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)
        assert (single.grad - double.grad).abs().max() / double.grad.abs().max() < 1e-3


@pytest.mark.parametrize(
    "objective",
    [
        Distillation(),
        Distillation(4, 8),
        DINO(4),
        DINO(4, 6),
        VICReg(),
        Prediction(),
        Prediction(VarianceCovariance()),
        Prediction(SIGReg(8)),
    ],
    ids=repr,
)
def test_no_step_makes_the_host_wait_for_the_device(objective: torch.nn.Module) -> None:
    z, p = draw(3, 5, 4, seed=0).requires_grad_(), draw(6, 5, 4, seed=1).requires_grad_()
    objective = objective.double()
    with NothingWaits():
        objective(z).total.backward()
        objective(z, p).total.backward()
        if isinstance(objective, TeacherObjective):
            objective(z, p, targets=draw(3, 5, 4, seed=2)).total.backward()


def test_terms_are_detached() -> None:
    loss = Prediction(VarianceCovariance())(torch.ones(3, 2, 4).requires_grad_())
    assert not any(term.requires_grad for term in loss.terms.values())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"shape \(V, B, D\), got \(4, 8\)"),
        ((1, 4, 8), {}, "at least 2 views"),
        ((2, 4, 8), {"targets": torch.ones(2, 4, 7)}, r"\(2, 4, 8\), got \(2, 4, 7\)"),
        ((2, 4, 8), {"predictions": torch.ones(3, 4, 8)}, "one prediction a pair"),
        ((2, 1, 8), {"regulariser": VarianceCovariance()}, "N >= 2"),
    ],
)
def test_wrong_use_says_what_is_wanted(shape: tuple[int, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prediction(torch.ones(shape), **options)


@pytest.mark.parametrize("path", ["vicreg.VarianceCovariance", "sigreg.SIGReg"])
def test_a_config_can_say_a_prediction_with_its_regulariser(path: str) -> None:
    def train(objective: TeacherObjective) -> TeacherObjective:
        return objective

    said = {
        "class_path": "videossl.objectives.prediction.Prediction",
        "init_args": {"regulariser": {"class_path": f"videossl.objectives.{path}"}, "graph": "forward"},
    }
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, Prediction)
    assert objective(draw(3, 4, 5, seed=0, dtype=torch.float32)).total.isfinite()
