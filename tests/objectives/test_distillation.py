import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from reference import TOLERANCE, array_error, cases, load, loss_error
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import TeacherObjective
from videossl.objectives.distillation import Distillation, byol, distillation, negative_cosine
from videossl.objectives.view_graph import ViewGraph

seeds = st.integers(0, 2**31)
quick = settings(max_examples=20, deadline=None)
GRAPHS = ["all", "forward", [(2, 0), (1, 2)]]


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def published(reference: dict[str, Tensor]) -> Distillation:
    """Their predictor, if the case has one, in ours."""
    weights = {key.removeprefix("w.predictor."): value for key, value in reference.items() if key.startswith("w.")}
    objective = Distillation(*reversed(weights["0.weight"].shape)) if weights else Distillation()
    if objective.predictor is not None:
        missing, unexpected = objective.double().predictor.load_state_dict(weights, strict=False)
        assert not unexpected
        assert not any("weight" in name or "bias" in name for name in missing)
    return objective.train(bool(reference["train"]))


@pytest.mark.parametrize("case", cases("byol.npz", "c"))
def test_value_and_gradients_are_those_of_the_published_code(case: str) -> None:
    reference = load("byol.npz", case)
    objective = published(reference)
    predictions = [reference["y_hat"].requires_grad_(), reference["x_hat"].requires_grad_()]  # of view 1, of view 0
    targets = torch.stack([reference["target_x"], reference["target_y"]]).requires_grad_()
    views = draw(*targets.shape, seed=0)  # of no account where there are predictions and a teacher
    loss = byol(views, targets=targets, predictions=torch.stack(predictions), predictor=objective.predictor)
    loss.backward()
    assert loss_error(loss, reference["loss"]) < TOLERANCE
    assert array_error(predictions[0].grad, reference["grad_y_hat"]) < TOLERANCE
    assert array_error(predictions[1].grad, reference["grad_x_hat"]) < TOLERANCE
    assert targets.grad is None
    again = published(reference)(views, torch.stack(predictions), targets=targets)
    assert loss_error(2 * again.total, reference["loss"]) < TOLERANCE


def test_the_printed_loss_of_byol_is_four_plus_twice_the_value() -> None:
    z, targets = draw(2, 6, 5, seed=0), draw(2, 6, 5, seed=1)
    u, v = F.normalize(z, dim=-1), F.normalize(targets, dim=-1)
    printed = sum((u[left] - v[1 - left]).square().sum(-1).mean() for left in (0, 1))
    torch.testing.assert_close(printed, 4 + 2 * byol(z, targets=targets))


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_value_is_the_mean_over_the_pairs_of_the_graph(graph: object) -> None:
    z, targets = draw(3, 5, 4, seed=0), draw(3, 5, 4, seed=1)
    pairs = ViewGraph.of(graph, 3).pairs
    one_by_one = torch.stack([negative_cosine(z[left], targets[right]) for left, right in pairs])
    expected = -torch.stack([F.cosine_similarity(z[left], targets[right], dim=-1) for left, right in pairs]).mean()
    torch.testing.assert_close(distillation(z, targets=targets, graph=graph), expected)
    loss = Distillation(graph=graph)(z, targets=targets)
    torch.testing.assert_close(loss.terms["distillation_per_pair"], one_by_one)
    torch.testing.assert_close(loss.total, expected)


def test_without_targets_the_embeddings_are_the_targets_and_get_no_gradient_as_such() -> None:
    z, again = draw(3, 5, 4, seed=0).requires_grad_(), draw(3, 5, 4, seed=0).requires_grad_()
    distillation(z, graph="forward").backward()
    distillation(again, targets=again.detach(), graph="forward").backward()
    assert torch.equal(z.grad, again.grad)
    assert z.grad[2].abs().max() == 0  # a target only
    assert z.grad[0].abs().max() > 0


def test_no_gradient_reaches_the_targets_of_a_cosine() -> None:
    guesses, targets = draw(5, 4, seed=0).requires_grad_(), draw(5, 4, seed=1).requires_grad_()
    negative_cosine(guesses, targets).backward()
    assert guesses.grad.any()
    assert targets.grad is None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("graph", GRAPHS)
def test_predictions_that_are_the_anchors_change_nothing(graph: object, training: bool) -> None:
    torch.manual_seed(0)
    z, targets = draw(3, 6, 4, seed=0), draw(3, 6, 4, seed=1)
    objective = Distillation(4, 8, graph).double().train(training)
    anchors = ViewGraph.of(graph, 3).anchors(z)
    torch.testing.assert_close(objective(z, anchors, targets=targets).total, objective(z, targets=targets).total)


@quick
@given(seed=seeds, training=st.booleans())
def test_the_order_of_the_videos_does_not_matter(seed: int, training: bool) -> None:
    torch.manual_seed(0)
    objective = Distillation(4, 8).double().train(training)
    z, p, t = draw(3, 8, 4, seed=seed), draw(6, 8, 4, seed=seed + 1), draw(3, 8, 4, seed=seed + 2)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    moved = objective(z[:, order], p[:, order], targets=t[:, order]).total
    torch.testing.assert_close(moved, objective(z, p, targets=t).total)


@quick
@given(seed=seeds, data=st.data())
def test_the_order_of_the_views_does_not_matter_if_the_graph_goes_with_them(seed: int, data: st.DataObject) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    z, t = draw(4, 5, 3, seed=seed), draw(4, 5, 3, seed=seed + 1)
    moved = distillation(z[list(order)], targets=t[list(order)], graph=moved_graph)
    torch.testing.assert_close(moved, distillation(z, targets=t, graph=graph))


@quick
@given(seed=seeds, exponent=st.floats(-6, 6))
def test_the_scale_of_embeddings_and_targets_does_not_matter(seed: int, exponent: float) -> None:
    z, t = draw(3, 5, 4, seed=seed), draw(3, 5, 4, seed=seed + 1)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    torch.testing.assert_close(distillation(z * scale, targets=t / scale), distillation(z, targets=t))


def test_collapse_is_the_best_value_and_independent_directions_are_at_zero() -> None:
    assert distillation(torch.ones(3, 5, 4)).item() == pytest.approx(-1)
    assert byol(torch.ones(2, 5, 4)).item() == pytest.approx(-2)
    far = draw(2, 4096, 64, seed=0), draw(2, 4096, 64, seed=1)
    assert abs(distillation(far[0], targets=far[1]).item()) < 0.01


def test_a_step_trains_the_predictor_until_it_predicts() -> None:
    torch.manual_seed(0)
    z = draw(2, 64, 8, seed=0, dtype=torch.float32)
    targets = z.flip(-1).flip(0)  # the other view, mirrored
    objective = Distillation(8, 32)
    optimizer = torch.optim.Adam(objective.parameters(), 0.01)
    values = []
    for _ in range(150):
        loss = objective(z, targets=targets).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < -0.95 < values[0]


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("embedding_dim", [None, 16])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(
    embedding_dim: int | None, kind: str, autocast: bool
) -> None:
    torch.manual_seed(0)
    z = draw(4, 32, 16, seed=3)
    z = {"random": z, "collapsed": 1 + 1e-3 * z, "near-duplicate views": z[:1] + 1e-4 * z}[kind]
    single = z.float().requires_grad_()
    double = single.detach().double().requires_grad_()
    objective = Distillation(embedding_dim, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = objective(single).total
    loss.backward()
    exact = objective.double()(double).total
    exact.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)
    # Between equal directions the true gradient vanishes; the floor is 1e-3 of that of unlike ones, 1 / (V B |z|).
    floor = 1e-3 / (z.shape[0] * z.shape[1] * z.norm(dim=-1).max())
    assert (single.grad - double.grad).abs().max() / double.grad.abs().max().clamp_min(floor) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_value_and_gradient_are_finite_in_low_precision(dtype: torch.dtype) -> None:
    for z in (draw(3, 8, 16, seed=0), torch.ones(3, 8, 16), torch.zeros(3, 8, 16)):
        low = z.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = Distillation(16, 8)(low).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert low.grad.isfinite().all()


def test_a_predictor_of_your_own_is_used_and_trained() -> None:
    predictor = nn.Linear(4, 4).double()
    z, t = draw(3, 5, 4, seed=0), draw(3, 5, 4, seed=1)
    loss = Distillation(predictor=predictor)(z, targets=t).total
    torch.testing.assert_close(loss, distillation(predictor(z), targets=t))
    loss.backward()
    assert predictor.weight.grad.abs().sum() > 0


def test_terms_are_detached() -> None:
    assert not any(term.requires_grad for term in Distillation()(torch.ones(3, 2, 4).requires_grad_()).terms.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distillation(torch.ones(4, 8)), r"shape \(V, B, D\), got \(4, 8\)"),
        (lambda: distillation(torch.ones(2, 4, 8), targets=torch.ones(4, 8)), r"\(2, 4, 8\), got \(4, 8\)"),
        (lambda: distillation(torch.ones(2, 4, 8), predictions=torch.ones(1, 4, 8)), "one prediction a pair"),
        (lambda: distillation(torch.ones(1, 4, 8)), "at least 2 views"),
        (lambda: byol(torch.ones(3, 4, 8)), r"two views, shape \(2, B, D\), got \(3, 4, 8\)"),
        (lambda: Distillation(4, predictor=nn.Identity()), "not both"),
        (lambda: Distillation(0), "embedding_dim >= 1"),
    ],
)
def test_wrong_use_says_what_is_wanted(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_a_config_can_say_a_distillation() -> None:
    def train(objective: TeacherObjective) -> TeacherObjective:
        return objective

    arguments = {"embedding_dim": 5, "hidden_dim": 7, "graph": "forward"}
    said = {"class_path": "videossl.objectives.distillation.Distillation", "init_args": arguments}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, Distillation)
    assert objective(draw(3, 4, 5, seed=0, dtype=torch.float32)).total.isfinite()
