import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional as F

from videossl.errors import UsageError
from videossl.objectives.base import TeacherObjective
from videossl.objectives.dino import DINO, dino_cross_entropy
from videossl.objectives.view_graph import ViewGraph

seeds = st.integers(0, 2**31)
quick = settings(max_examples=20, deadline=None)
GRAPHS = ["all", "forward", [(2, 0), (1, 2)]]


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def dino(*arguments: object, **options: object) -> DINO:
    torch.manual_seed(0)
    return DINO(*arguments, **options).double()


def test_the_value_is_the_formula() -> None:
    s, t, c = draw(6, 5, seed=0), draw(6, 5, seed=1), draw(5, seed=2)
    q = ((t - c) / 0.04).exp() / ((t - c) / 0.04).exp().sum(-1, keepdim=True)
    p = (s / 0.1).exp() / (s / 0.1).exp().sum(-1, keepdim=True)
    torch.testing.assert_close(dino_cross_entropy(s, t, centre=c), -(q * p.log()).sum(-1).mean())
    against_torch = F.cross_entropy(s / 0.1, q)
    torch.testing.assert_close(dino_cross_entropy(s, t, centre=c), against_torch)


@pytest.mark.parametrize("prototypes", [None, 7])
@pytest.mark.parametrize("graph", GRAPHS)
def test_the_objective_is_the_mean_over_the_pairs_of_the_graph(graph: object, prototypes: int | None) -> None:
    objective = dino(5, prototypes, graph)
    objective.centre.copy_(0.1 * draw(prototypes or 5, seed=9))
    z, t = draw(3, 6, 5, seed=0), draw(3, 6, 5, seed=1)
    centre = objective.centre.clone()

    def logits(points: Tensor) -> Tensor:
        if prototypes is None:
            return points
        return F.normalize(points, dim=-1) @ F.normalize(objective.prototypes, dim=-1).T

    pairs = ViewGraph.of(graph, 3).pairs
    one_by_one = torch.stack([dino_cross_entropy(logits(z[a]), logits(t[b]), centre=centre) for a, b in pairs])
    loss = objective(z, targets=t)
    torch.testing.assert_close(loss.total, one_by_one.mean())
    torch.testing.assert_close(loss.terms["dino_per_pair"], one_by_one)


def test_a_uniform_student_is_at_chance_whatever_the_teacher_says() -> None:
    assert dino_cross_entropy(torch.zeros(4, 9), 5 * draw(4, 9, seed=0).float()).item() == pytest.approx(math.log(9))


def test_collapse_is_at_chance_once_the_centre_has_reached_it() -> None:
    objective = dino(8, centre_momentum=0.5)
    z = torch.zeros(3, 16, 8).double()
    for _ in range(60):
        loss = objective(z, targets=z + draw(8, seed=0))
    assert loss.total.item() == pytest.approx(math.log(8), rel=1e-6)
    assert loss.terms["teacher_entropy"].item() == pytest.approx(math.log(8), rel=1e-6)
    fresh = dino(8)(z + 10 * draw(8, seed=0))  # before that: everything in one prototype
    assert fresh.terms["prototype_entropy"] < 1e-3


def test_the_teacher_bounds_the_value_from_below_and_its_entropies_are_logged() -> None:
    teacher = draw(2, 32, 6, seed=0)
    objective = DINO(6, student_temperature=0.04).double()
    loss = objective(teacher.flip(0), targets=teacher)
    q = torch.softmax(teacher / 0.04, -1)
    torch.testing.assert_close(loss.terms["teacher_entropy"], torch.special.entr(q).sum(-1).mean())
    torch.testing.assert_close(loss.terms["prototype_entropy"], torch.special.entr(q.mean((0, 1))).sum())
    torch.testing.assert_close(loss.total, loss.terms["teacher_entropy"])  # the student says what the teacher says
    assert objective(draw(2, 32, 6, seed=1), targets=teacher).total > loss.total


def test_the_centre_follows_the_mean_of_the_target_views_after_its_use_and_in_training_only() -> None:
    objective, targets = dino(5, graph="forward"), 1 + draw(3, 6, 5, seed=0)
    z = draw(3, 6, 5, seed=1)
    objective.eval()(z, targets=targets)
    assert not objective.centre.any()
    first = objective.train()(z, targets=targets).total
    torch.testing.assert_close(objective.centre, 0.1 * targets[1:].mean((0, 1)))
    before_the_centre = [dino_cross_entropy(z[a], targets[b]) for a, b in [(0, 1), (0, 2), (1, 2)]]
    torch.testing.assert_close(first, torch.stack(before_the_centre).mean())
    again = dino(5, graph="forward")
    again.load_state_dict(objective.state_dict())
    assert torch.equal(again.centre, objective.centre)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = draw(6, 5, seed=0).requires_grad_(), draw(6, 5, seed=1).requires_grad_()
    dino_cross_entropy(student, teacher).backward()
    assert student.grad.any()
    assert teacher.grad is None
    objective = dino(5, 7, "forward")
    z, targets = draw(3, 6, 5, seed=0).requires_grad_(), draw(3, 6, 5, seed=1).requires_grad_()
    objective(z, targets=targets).total.backward()
    assert targets.grad is None
    assert not z.grad[2].any()
    assert objective.prototypes.grad.abs().sum() > 0
    own = draw(3, 6, 5, seed=0).requires_grad_()
    objective(own).total.backward()
    assert not own.grad[2].any()  # a target only


@pytest.mark.parametrize("prototypes", [None, 7])
@pytest.mark.parametrize("graph", GRAPHS)
def test_predictions_that_are_the_anchors_change_nothing(graph: object, prototypes: int | None) -> None:
    z, t = draw(3, 6, 5, seed=0), draw(3, 6, 5, seed=1)
    anchors = ViewGraph.of(graph, 3).anchors(z)
    objective = dino(5, prototypes, graph).eval()
    torch.testing.assert_close(objective(z, anchors, targets=t).total, objective(z, targets=t).total)


@quick
@given(seed=seeds)
def test_the_order_of_the_videos_does_not_matter(seed: int) -> None:
    z, t = draw(3, 8, 5, seed=seed), draw(3, 8, 5, seed=seed + 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    plain, moved = dino(5, 7), dino(5, 7)
    torch.testing.assert_close(moved(z[:, order], targets=t[:, order]).total, plain(z, targets=t).total)
    torch.testing.assert_close(moved.centre, plain.centre)


@quick
@given(seed=seeds, data=st.data())
def test_the_order_of_the_views_does_not_matter_if_the_graph_goes_with_them(seed: int, data: st.DataObject) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    z = draw(4, 5, 3, seed=seed)
    moved, plain = dino(3, 6, moved_graph), dino(3, 6, graph)
    torch.testing.assert_close(moved(z[list(order)]).total, plain(z).total)
    torch.testing.assert_close(moved.centre, plain.centre)


@quick
@given(seed=seeds, exponent=st.floats(-6, 6))
def test_with_prototypes_the_scale_of_embeddings_and_prototypes_does_not_matter(seed: int, exponent: float) -> None:
    z = draw(3, 5, 4, seed=seed)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    objective = dino(4, 6).eval()
    expected = objective(z).total
    objective.prototypes.data.mul_(3.0)
    torch.testing.assert_close(objective(z * scale).total, expected)


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("prototypes", [None, 24])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(
    prototypes: int | None, temperature: float, kind: str, autocast: bool
) -> None:
    torch.manual_seed(0)
    z = draw(4, 32, 16, seed=3)
    z = {"random": z, "collapsed": 1 + 1e-3 * z, "near-duplicate views": z[:1] + 1e-4 * z}[kind]
    single = z.float().requires_grad_()
    double = single.detach().double().requires_grad_()
    objective = DINO(16, prototypes, "all", temperature, temperature / 2).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = objective(single).total
    loss.backward()
    exact = objective.double()(double).total
    exact.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
    floor = 1e-5 / (temperature * z.shape[0] * z.shape[1])  # of a gradient in a logit
    assert (single.grad - double.grad).abs().max() / double.grad.abs().max().clamp_min(floor) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_value_gradient_and_centre_are_finite_in_low_precision(dtype: torch.dtype) -> None:
    for z in (100 * draw(3, 8, 16, seed=0), torch.ones(3, 8, 16), torch.zeros(3, 8, 16)):
        for objective in (DINO(16, None, "all", 0.01, 0.01), DINO(16, 8, "all", 0.01, 0.01)):
            low = z.to(dtype).requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = objective(low).total
            loss.backward()
            assert loss.dtype == torch.float32
            assert loss.isfinite()
            if z.any() or dtype != torch.float16:  # the slope of normalising a zero vector is outside of float16
                assert low.grad.isfinite().all()
            assert objective.centre.isfinite().all()


def test_terms_are_detached() -> None:
    assert not any(term.requires_grad for term in DINO(4, 6)(torch.ones(3, 2, 4).requires_grad_()).terms.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dino_cross_entropy(torch.ones(4, 8), torch.ones(4, 7)), r"got \(4, 8\) and \(4, 7\)"),
        (lambda: dino_cross_entropy(torch.ones(4, 8), torch.ones(4, 8), teacher_temperature=0.0), "temperature > 0"),
        (lambda: DINO(8)(torch.ones(4, 8)), r"shape \(V, B, D\), got \(4, 8\)"),
        (lambda: DINO(4)(torch.ones(2, 4, 8)), "embeddings of 4 dimensions, got 8"),
        (lambda: DINO(8)(torch.ones(2, 4, 8), targets=torch.ones(3, 4, 8)), "expected targets"),
        (lambda: DINO(8)(torch.ones(2, 4, 8), torch.ones(3, 4, 8)), "one prediction a pair"),
        (lambda: DINO(8, 1), "at least 2 prototypes"),
        (lambda: DINO(8, centre_momentum=1.0), "centre_momentum in"),
        (lambda: DINO(8, student_temperature=-1.0), "temperature > 0"),
    ],
)
def test_wrong_use_says_what_is_wanted(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_a_config_can_say_a_dino() -> None:
    def train(objective: TeacherObjective) -> TeacherObjective:
        return objective

    arguments = {"embedding_dim": 5, "num_prototypes": 7, "graph": [[0, 1]]}
    said = {"class_path": "videossl.objectives.dino.DINO", "init_args": arguments}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, DINO)
    assert objective(draw(3, 4, 5, seed=0, dtype=torch.float32)).total.isfinite()
