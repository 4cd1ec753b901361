import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from reference import TOLERANCE, cases, embedding_gradient_error, load, loss_error
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.base import MultiViewObjective
from videossl.objectives.nt_xent import NTXent
from videossl.objectives.poly_view import PolyView, poly_view
from videossl.objectives.temperature import LearnedTemperature
from videossl.objectives.view_graph import Graph, ViewGraph

PUBLISHED = {"pvc_geometric": "geometric", "pvc_arithmetic_paper": "arithmetic"}
VARIANTS = list(PUBLISHED.values())
variants = st.sampled_from(VARIANTS)
seeds = st.integers(0, 2**31)
temperatures = st.floats(0.01, 2.0)
quick = settings(max_examples=20, deadline=None)


def embeddings(num_views: int, num_videos: int, dim: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(num_views, num_videos, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def golden() -> list[tuple[str, str]]:
    """Not both variants for the largest case."""
    found = []
    for case in cases("multiview.npz"):
        reference = load("multiview.npz", case)
        found += [(case, key) for key in PUBLISHED if f"{key}.loss" in reference]
    return found


@pytest.mark.parametrize("edited", [False, True], ids=["views", "identity_editor"])
@pytest.mark.parametrize(("case", "key"), golden())
def test_values_and_gradients_are_the_reference_ones(case: str, key: str, edited: bool) -> None:
    reference = load("multiview.npz", case)
    z, tau = reference["z"].requires_grad_(), reference["tau"].item()
    predictions = ViewGraph.all_pairs(len(z)).anchors(z) if edited else None
    loss = poly_view(z, temperature=tau, variant=PUBLISHED[key], predictions=predictions)
    loss.backward()
    assert loss_error(loss, reference[f"{key}.loss"]) < TOLERANCE
    assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE


@quick
@given(variant=variants, seed=seeds, temperature=temperatures)
def test_two_views_are_nt_xent_in_both_variants_with_and_without_predictions(
    variant: str, seed: int, temperature: float
) -> None:
    z, predictions = embeddings(2, 7, 5, seed), embeddings(2, 7, 5, seed + 1)
    for edited in (None, predictions):
        value = PolyView(temperature, variant)(z, edited).total
        torch.testing.assert_close(value, NTXent(temperature)(z, edited).total, rtol=1e-10, atol=1e-12)


def plain(z: Tensor, predictions: Tensor, graph: ViewGraph, temperature: float, variant: str) -> Tensor:
    """The docstring's formulas with naive arithmetic."""
    u, anchors = (torch.nn.functional.normalize(x, dim=-1) for x in (z, predictions))
    probabilities = []
    for anchor, (left, right) in zip(anchors, graph.pairs, strict=True):
        seen = {left, *(b for a, b in graph.pairs if a == left)}
        similar = {view: (anchor @ u[view].T / temperature).exp() for view in seen}
        others = sum(x.sum(1) - x.diagonal() for x in similar.values())
        probabilities.append(similar[right].diagonal() / (similar[right].diagonal() + others))
    if variant == "geometric":
        return -torch.stack(probabilities).log().mean()
    groups = [[p for p, (a, _) in zip(probabilities, graph.pairs, strict=True) if a == left] for left, _ in graph.pairs]
    return -torch.stack([torch.stack(group).mean(0).log() for group in groups]).mean()


@pytest.mark.parametrize("graph", ["all", "forward", [(2, 0), (1, 2), (2, 1)]])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_value_is_the_formula_over_any_graph(variant: str, graph: Graph) -> None:
    z, pairs = embeddings(3, 5, 4, seed=0), ViewGraph.of(graph, 3)
    for edited in (None, embeddings(len(pairs), 5, 4, seed=1)):
        value = poly_view(z, temperature=0.3, variant=variant, graph=graph, predictions=edited)
        expected = plain(z, pairs.anchors(z) if edited is None else edited, pairs, 0.3, variant)
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


@quick
@given(seed=seeds, temperature=temperatures, data=st.data())
def test_the_arithmetic_value_is_never_above_the_geometric_one(
    seed: int, temperature: float, data: st.DataObject
) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    z = embeddings(4, 5, 3, seed)
    arithmetic, geometric = (PolyView(temperature, variant, graph)(z).total for variant in ("arithmetic", "geometric"))
    assert 0 <= arithmetic <= geometric + 1e-12


def test_arithmetic_gives_the_gradient_to_the_best_aligned_target_and_geometric_to_the_others() -> None:
    z = embeddings(3, 32, 16, seed=6)
    z[1] = z[0] + 0.5 * z[1]  # views 0 and 1 are close in time, view 2 is anywhere
    shares = {}
    for variant in VARIANTS:
        predictions = ViewGraph.all_pairs(3).anchors(z).requires_grad_()
        PolyView(0.1, variant)(z, predictions).total.backward()
        norms = predictions.grad.norm(dim=(1, 2))[:2]  # pairs (0, 1) and (0, 2)
        shares[variant] = norms / norms.sum()
    assert shares["arithmetic"][0] > 2 * shares["geometric"][0]
    assert shares["geometric"][0] < 0.4


@quick
@given(variant=variants, seed=seeds, data=st.data())
def test_the_order_of_videos_and_of_views_with_their_graph_does_not_matter(
    variant: str, seed: int, data: st.DataObject
) -> None:
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    videos = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    z, edited = embeddings(4, 5, 3, seed), embeddings(len(graph), 5, 3, seed + 1)
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    before, after = PolyView(0.1, variant, graph), PolyView(0.1, variant, moved_graph)
    moved = z[list(order)][:, videos]
    torch.testing.assert_close(after(moved).total, before(z).total, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(after(moved, edited[:, videos]).total, before(z, edited).total, rtol=1e-10, atol=1e-12)


@quick
@given(variant=variants, seed=seeds, exponent=st.floats(-6, 6))
def test_the_scale_of_every_embedding_does_not_matter(variant: str, seed: int, exponent: float) -> None:
    z = embeddings(3, 5, 4, seed)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    objective = PolyView(0.1, variant)
    torch.testing.assert_close(objective(scale * z).total, objective(z).total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_videos", [2, 7, 64])
@pytest.mark.parametrize("num_views", [2, 3, 5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_collapsed_embeddings_are_at_the_chance_level_that_the_docstring_states(
    variant: str, num_views: int, num_videos: int
) -> None:
    z = torch.ones(num_views, num_videos, 8)
    chance = math.log(num_views * (num_videos - 1) + 1)
    assert PolyView(0.1, variant)(z).total.item() == pytest.approx(chance, rel=1e-5)
    pairs = ViewGraph.forward(num_views)
    seen = [count + 1 for count in pairs.pairs_per_anchor]
    chance = sum(math.log(views * (num_videos - 1) + 1) for views in seen) / len(pairs)
    assert PolyView(0.1, variant, "forward")(z).total.item() == pytest.approx(chance, rel=1e-5)


def test_the_arithmetic_mean_keeps_its_digits_where_targets_are_unequally_sure() -> None:
    near, turned = torch.eye(8, dtype=torch.float64).split(4)
    z = torch.stack([near, near, 0.8 * near + 0.6 * turned])
    value = poly_view(z, temperature=0.02, variant="arithmetic", graph=[(0, 1), (0, 2)])
    surprises = [math.log1p(9 * math.exp(-logit)) for logit in (50, 40)]  # about 2e-21 and 4e-17: log is linear here
    assert value.item() == pytest.approx(sum(surprises) / 2, rel=1e-9, abs=0)


@pytest.mark.parametrize("temperature", [0.01, 0.001])
def test_the_arithmetic_mean_keeps_its_digits_where_every_target_is_sure_and_where_none_is(temperature: float) -> None:
    sure = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    lost = torch.stack([sure[0], -sure[0], -sure[0]]).requires_grad_()
    expected = math.log1p(9 * math.exp(-1 / temperature))  # 3 videos in 3 views, at logit 0
    value = poly_view(sure, temperature=temperature, variant="arithmetic")
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=0)
    value = poly_view(lost, temperature=temperature, variant="arithmetic", graph=[(0, 1), (0, 2)])
    value.backward()
    assert value.item() == pytest.approx(1 / temperature + math.log(9), rel=1e-9)
    assert lost.grad.isfinite().all()


def batch(kind: str, num_views: int, num_videos: int, dim: int) -> Tensor:
    z = embeddings(num_views, num_videos, dim, seed=3)
    if kind == "collapsed":
        return 1 + 1e-3 * z
    if kind == "near-duplicate views":
        return z[:1] + 1e-4 * z
    return z


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_and_autocast_gradients_are_those_of_float64(variant: str, temperature: float, kind: str) -> None:
    objective = PolyView(temperature, variant)
    double = batch(kind, 4, 32, 16).float().double().requires_grad_()
    exact = objective(double).total
    exact.backward()
    # Where all videos are told apart already the true gradient is about zero; the floor is 1e-5 of a logit's.
    floor = 1e-5 / (temperature * double.shape[1])
    for autocast in (False, True):
        single = double.detach().float().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = objective(single).total
        loss.backward()
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
        assert (single.grad - double.grad).abs().max() / double.grad.abs().max().clamp_min(floor) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("variant", VARIANTS)
def test_value_and_gradient_are_finite_in_low_precision_at_the_smallest_temperature(
    variant: str, dtype: torch.dtype
) -> None:
    for z in (batch("random", 3, 16, 8), batch("collapsed", 3, 16, 8), torch.ones(3, 16, 8), torch.zeros(3, 16, 8)):
        low = z.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = PolyView(0.01, variant)(low, low.repeat(2, 1, 1)).total
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == torch.float32
        if z.abs().sum() > 0:  # normalising a zero vector has no slope worth the name
            assert low.grad.isfinite().all()


def test_terms_are_detached_and_one_a_pair() -> None:
    z = embeddings(4, 5, 3, seed=0).requires_grad_()
    loss = PolyView(0.1, graph="forward")(z)
    assert loss.total.requires_grad
    assert not any(term.requires_grad for term in loss.terms.values())
    assert loss.terms["poly_view_per_pair"].shape == (6,)
    torch.testing.assert_close(loss.terms["poly_view_per_pair"].mean(), loss.total.detach())
    assert torch.equal(loss.terms["poly_view"], loss.total.detach())


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_step_makes_the_host_wait_for_the_device(variant: str) -> None:
    z, predictions = embeddings(3, 5, 4, seed=0).requires_grad_(), embeddings(6, 5, 4, seed=1)
    with NothingWaits():
        PolyView(0.1, variant)(z).total.backward()
        PolyView(0.1, variant)(z, predictions).total.backward()


@pytest.mark.parametrize("num_dimensions", [None, 4])
@pytest.mark.parametrize("variant", VARIANTS)
def test_temperatures_are_learned_in_all_or_for_each_dimension(variant: str, num_dimensions: int | None) -> None:
    z = embeddings(3, 5, 4, seed=0)
    learned = LearnedTemperature(0.2, num_dimensions=num_dimensions).double()
    value = PolyView(learned, variant)(z).total
    value.backward()
    assert (learned.theta.grad.abs() > 0).all()
    torch.testing.assert_close(value, PolyView(0.2, variant)(z).total, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"expected embeddings of shape \(V, B, D\), got \(4, 8\)"),
        ((2, 1, 8), {}, "at least 2 videos"),
        ((1, 4, 8), {}, "at least 2 views"),
        ((2, 4, 8), {"temperature": 0.0}, "temperature > 0, got 0.0"),
        ((2, 4, 8), {"graph": [(0, 2)]}, r"two different views out of 0..1, got \(0, 2\)"),
        ((2, 4, 8), {"predictions": torch.zeros(1, 4, 8)}, r"\(P, B, D\) = \(2, 4, 8\), got \(1, 4, 8\)"),
        ((2, 4, 8), {"variant": "harmonic"}, '"geometric" or "arithmetic", got \'harmonic\''),
    ],
)
def test_wrong_use_says_what_is_wanted(shape: tuple[int, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        poly_view(torch.ones(shape), **{"temperature": 0.1, **options})


def test_a_module_is_refused_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="variant"):
        PolyView(0.1, "harmonic")
    with pytest.raises(UsageError, match="temperature"):
        PolyView(-1.0)


def test_a_config_can_say_it() -> None:
    def train(objective: MultiViewObjective) -> MultiViewObjective:
        return objective

    arguments = {"temperature": 0.2, "variant": "arithmetic", "graph": [[0, 1], [1, 2]]}
    said = {"class_path": "videossl.objectives.poly_view.PolyView", "init_args": arguments}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, PolyView)
    assert objective(embeddings(3, 4, 5, seed=0)).total > 0
