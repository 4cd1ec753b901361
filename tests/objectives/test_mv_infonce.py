import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives import MultiViewObjective, MVInfoNCE, ViewGraph, info_nce, mv_infonce

FORMS = [("mean_of_logs", "per_pair"), ("mean_of_logs", "joint"), ("log_of_sum", "joint")]
forms = st.sampled_from(FORMS)
seeds = st.integers(0, 2**31)
temperatures = st.floats(0.01, 2.0)
quick = settings(max_examples=25, deadline=None)


def embeddings(num_views: int, num_videos: int, dim: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(num_views, num_videos, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain(logits: Tensor, alignment: str, energy: str) -> Tensor:
    """The table of mv_infonce.py with naive arithmetic: logits (P, B, B) -> ()."""
    aligned, energies = logits.diagonal(dim1=1, dim2=2), logits.exp().sum(2)
    energy_term = energies.log().mean(0) if energy == "per_pair" else energies.sum(0).log()
    alignment_term = aligned.mean(0) if alignment == "mean_of_logs" else aligned.exp().sum(0).log()
    return (energy_term - alignment_term).mean()


def pair_logits(z: Tensor, graph: ViewGraph, temperature: float) -> Tensor:
    u = torch.nn.functional.normalize(z, dim=-1)
    return torch.stack([u[left] @ u[right].T for left, right in graph.pairs]) / temperature


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("graph", ["all", "forward", [(2, 0), (1, 2)]])
def test_the_value_is_the_formula(form: tuple[str, str], graph: object) -> None:
    z = embeddings(3, 5, 4, seed=0)
    expected = plain(pair_logits(z, ViewGraph.of(graph, 3), 0.3), *form)
    value = mv_infonce(z, temperature=0.3, graph=graph, alignment=form[0], energy=form[1])
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_the_default_form_is_the_mean_of_the_infonces_of_all_pairs() -> None:
    z = embeddings(3, 6, 4, seed=1)
    one_by_one = [info_nce(z[left], z[right], temperature=0.2) for left, right in ViewGraph.all_pairs(3).pairs]
    torch.testing.assert_close(mv_infonce(z, temperature=0.2), torch.stack(one_by_one).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(MVInfoNCE(0.2)(z).terms["info_nce_per_pair"], torch.stack(one_by_one))


@quick
@given(form=forms, seed=seeds, temperature=temperatures)
def test_two_views_and_a_graph_of_one_pair_are_info_nce_in_every_form(
    form: tuple[str, str], seed: int, temperature: float
) -> None:
    z = embeddings(2, 7, 5, seed)
    value = mv_infonce(z, temperature=temperature, graph=[(0, 1)], alignment=form[0], energy=form[1])
    torch.testing.assert_close(value, info_nce(z[0], z[1], temperature=temperature), rtol=1e-10, atol=1e-12)


@quick
@given(form=forms, seed=seeds, temperature=temperatures, num_views=st.integers(2, 5), same_view=st.booleans())
def test_predictions_that_are_the_anchors_change_nothing(
    form: tuple[str, str], seed: int, temperature: float, num_views: int, same_view: bool
) -> None:
    z = embeddings(num_views, 6, 5, seed)
    objective = MVInfoNCE(temperature, "all", form[0], form[1], same_view)
    predictions = 3.0 * ViewGraph.all_pairs(num_views).anchors(z)
    torch.testing.assert_close(objective(z, predictions).total, objective(z).total, rtol=1e-10, atol=1e-12)


@quick
@given(form=forms, seed=seeds, same_view=st.booleans())
def test_the_order_of_the_videos_does_not_matter(form: tuple[str, str], seed: int, same_view: bool) -> None:
    z = embeddings(3, 8, 4, seed)
    predictions = embeddings(6, 8, 4, seed + 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    objective = MVInfoNCE(0.1, "all", form[0], form[1], same_view)
    moved = objective(z[:, order], predictions[:, order])
    torch.testing.assert_close(moved.total, objective(z, predictions).total, rtol=1e-10, atol=1e-12)


@quick
@given(form=forms, seed=seeds, same_view=st.booleans(), data=st.data())
def test_the_order_of_the_views_does_not_matter_if_the_graph_goes_with_them(
    form: tuple[str, str], seed: int, same_view: bool, data: st.DataObject
) -> None:
    every = ViewGraph.all_pairs(4).pairs
    graph = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    z, predictions = embeddings(4, 5, 3, seed), embeddings(len(graph), 5, 3, seed + 1)
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    value = MVInfoNCE(0.1, graph, form[0], form[1], same_view)(z, predictions).total
    moved = MVInfoNCE(0.1, moved_graph, form[0], form[1], same_view)(z[list(order)], predictions).total
    torch.testing.assert_close(moved, value, rtol=1e-10, atol=1e-12)


@quick
@given(form=forms, seed=seeds, exponent=st.floats(-6, 6))
def test_the_scale_of_every_embedding_does_not_matter(form: tuple[str, str], seed: int, exponent: float) -> None:
    z = embeddings(3, 5, 4, seed)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    objective = MVInfoNCE(0.1, "all", form[0], form[1])
    torch.testing.assert_close(objective(scale * z).total, objective(z).total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_videos", [2, 7, 64])
@pytest.mark.parametrize("num_views", [2, 3])
def test_collapsed_embeddings_are_at_the_chance_level_that_the_docstring_states(
    num_views: int, num_videos: int
) -> None:
    z, P = torch.ones(num_views, num_videos, 8), num_views * (num_views - 1)
    others = (num_videos - 1) * num_views
    chance = {
        ("mean_of_logs", "per_pair", False): math.log(num_videos),
        ("mean_of_logs", "joint", False): math.log(P * num_videos),
        ("log_of_sum", "joint", False): math.log(num_videos),
        ("mean_of_logs", "per_pair", True): math.log(2 * num_videos - 1),
        ("mean_of_logs", "joint", True): math.log(P * num_videos + others),
        ("log_of_sum", "joint", True): math.log(num_videos + others / P),
    }
    for (alignment, energy, same_view), expected in chance.items():
        value = MVInfoNCE(0.1, "all", alignment, energy, same_view)(z).total.item()
        assert value == pytest.approx(expected, rel=1e-5), (alignment, energy, same_view)


def batch(kind: str, num_views: int, num_videos: int, dim: int) -> Tensor:
    z = embeddings(num_views, num_videos, dim, seed=3)
    if kind == "collapsed":
        return 1 + 1e-3 * z
    if kind == "near-duplicate views":
        return z[:1] + 1e-4 * z
    return z


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(
    form: tuple[str, str], temperature: float, kind: str, autocast: bool
) -> None:
    single = batch(kind, 4, 32, 16).float().requires_grad_()
    double = single.detach().double().requires_grad_()
    objective = MVInfoNCE(temperature, "all", form[0], form[1])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = objective(single).total
    loss.backward()
    exact = objective(double).total
    exact.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
    # Where all videos are told apart already the true gradient is about zero; the floor is 1e-5 of a logit's.
    floor = 1e-5 / (temperature * single.shape[1])
    error = (single.grad - double.grad).abs().max() / double.grad.abs().max().clamp_min(floor)
    assert error < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradient_are_finite_in_low_precision_at_the_smallest_temperature(
    form: tuple[str, str], dtype: torch.dtype
) -> None:
    for z in (batch("random", 3, 16, 8), batch("collapsed", 3, 16, 8), torch.ones(3, 16, 8), torch.zeros(3, 16, 8)):
        low = z.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = MVInfoNCE(0.01, "all", form[0], form[1], same_view_negatives=True)(low, low.repeat(2, 1, 1)).total
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == torch.float32
        if z.abs().sum() > 0:  # normalising a zero vector has no slope worth the name
            assert low.grad.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_gradient_shares_are_the_norms_of_the_gradients_in_the_aligned_logits(form: tuple[str, str]) -> None:
    z = embeddings(3, 6, 4, seed=5)
    z[1] = z[0] + 0.3 * z[1]  # pairs at unequal distances
    graph = ViewGraph.all_pairs(3)
    logits = pair_logits(z, graph, 0.2).requires_grad_()
    (gradient,) = torch.autograd.grad(plain(logits, *form), logits)
    norms = gradient.diagonal(dim1=1, dim2=2).norm(dim=1)
    shares = MVInfoNCE(0.2, "all", form[0], form[1])(z).terms["gradient_share_per_pair"]
    torch.testing.assert_close(shares, norms / norms.sum(), rtol=1e-9, atol=1e-12)


def test_the_printed_form_gives_the_gradient_to_the_easiest_pairs_and_the_default_form_to_the_others() -> None:
    z = embeddings(3, 32, 16, seed=6)
    z[1] = z[0] + 0.5 * z[1]  # views 0 and 1 are close in time, view 2 is anywhere
    easy = [0, 2]  # (0, 1) and (1, 0)
    printed = MVInfoNCE(0.1, "all", "log_of_sum", "joint")(z).terms["gradient_share_per_pair"]
    default = MVInfoNCE(0.1)(z).terms["gradient_share_per_pair"]
    assert printed[easy].sum() > 0.7
    assert default[easy].sum() < 0.3


def test_terms_are_detached_and_one_a_pair() -> None:
    loss = MVInfoNCE(0.1, "forward")(embeddings(4, 5, 3, seed=0).requires_grad_())
    assert loss.total.requires_grad
    assert not any(term.requires_grad for term in loss.terms.values())
    assert loss.terms["info_nce_per_pair"].shape == loss.terms["gradient_share_per_pair"].shape == (6,)


@pytest.mark.parametrize("same_view", [False, True])
def test_no_step_makes_the_host_wait_for_the_device(same_view: bool) -> None:
    z, predictions = embeddings(3, 5, 4, seed=0).requires_grad_(), embeddings(6, 5, 4, seed=1)
    for form in FORMS:
        objective = MVInfoNCE(0.1, "all", form[0], form[1], same_view)
        with NothingWaits():
            objective(z).total.backward()
            objective(z, predictions).total.backward()


def test_a_learned_temperature_has_a_gradient() -> None:
    log_temperature = torch.tensor(-2.0, requires_grad=True)
    mv_infonce(embeddings(2, 5, 4, seed=0), temperature=log_temperature.exp()).backward()
    assert log_temperature.grad.abs() > 0


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"expected embeddings of shape \(V, B, D\), got \(4, 8\)"),
        ((2, 1, 8), {}, "at least 2 videos"),
        ((1, 4, 8), {}, "at least 2 views"),
        ((2, 4, 8), {"temperature": 0.0}, "temperature > 0, got 0.0"),
        ((2, 4, 8), {"temperature": math.nan}, "temperature > 0, got nan"),
        ((2, 4, 8), {"graph": [(0, 2)]}, r"two different views out of 0..1, got \(0, 2\)"),
        ((2, 4, 8), {"predictions": torch.zeros(1, 4, 8)}, r"\(P, B, D\) = \(2, 4, 8\), got \(1, 4, 8\)"),
        ((2, 4, 8), {"alignment": "log_of_sum"}, "log_of_sum \\+ per_pair"),
    ],
)
def test_wrong_use_says_what_is_wanted(shape: tuple[int, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mv_infonce(torch.ones(shape), **{"temperature": 0.1, **options})


@pytest.mark.parametrize("shapes", [((4, 8), (5, 8)), ((2, 4, 8), (2, 4, 8)), ((1, 8), (1, 8))])
def test_info_nce_refuses_what_is_not_a_batch_of_pairs(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match="expected"):
        info_nce(torch.ones(shapes[0]), torch.ones(shapes[1]), temperature=0.1)


@pytest.mark.parametrize("graph", ["forward", [[0, 1], [1, 2]]])
def test_a_config_can_say_an_objective(graph: object) -> None:
    def train(objective: MultiViewObjective) -> MultiViewObjective:
        return objective

    said = {"class_path": "videossl.objectives.MVInfoNCE", "init_args": {"temperature": 0.2, "graph": graph}}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, MVInfoNCE)
    assert objective(embeddings(3, 4, 5, seed=0)).total > 0
