"""NT-Xent, and how two-view losses are aggregated over more views: pairwise, average, multi-positive."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from reference import TOLERANCE, array_error, cases, embedding_gradient_error, load, loss_error
from torch import Tensor

from videossl.errors import UsageError
from videossl.objectives.average import Average, average
from videossl.objectives.base import MultiViewObjective
from videossl.objectives.multi_positive import MultiPositive, multi_positive
from videossl.objectives.mv_dhel import mv_dhel
from videossl.objectives.mv_infonce import mv_infonce
from videossl.objectives.nt_xent import NTXent, nt_xent
from videossl.objectives.pairwise import Pairwise, pairwise
from videossl.objectives.temperature import LearnedTemperature
from videossl.objectives.view_graph import Graph, ViewGraph

Made = Callable[..., MultiViewObjective]
AGGREGATIONS: list[tuple[Made, str]] = [
    (made, base) for made in (Pairwise, Average, MultiPositive) for base in ("nt_xent", "dhel")
]
EDITABLE = [(made, base) for made, base in AGGREGATIONS if made is not Average]
PUBLISHED: dict[str, Callable[..., Tensor]] = {
    "ntxent": nt_xent,
    "ntxent_pwe": pairwise,
    "ntxent_avg": average,
    "ntxent_mv": multi_positive,
    "mvdhel_pwe": lambda z, temperature: pairwise(z, temperature=temperature, base="dhel"),
    "mvdhel_avg": lambda z, temperature: average(z, temperature=temperature, base="dhel"),
}
GRAPHS: list[Graph] = ["all", "forward", [(2, 0), (1, 2), (2, 1)]]
aggregations = st.sampled_from(AGGREGATIONS)
seeds = st.integers(0, 2**31)
temperatures = st.floats(0.01, 2.0)
quick = settings(max_examples=20, deadline=None)


def embeddings(num_views: int, num_videos: int, dim: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(num_views, num_videos, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def golden() -> list[tuple[str, str]]:
    found = []
    for case in cases("multiview.npz"):
        reference = load("multiview.npz", case)
        found += [(case, key) for key in PUBLISHED if f"{key}.loss" in reference]
    return found


@pytest.mark.parametrize(("case", "key"), golden())
def test_values_and_gradients_are_those_of_the_published_code(case: str, key: str) -> None:
    reference = load("multiview.npz", case)
    z, tau = reference["z"].requires_grad_(), reference["tau"].item()
    loss = PUBLISHED[key](z, temperature=tau)
    loss.backward()
    assert loss_error(loss, reference[f"{key}.loss"]) < TOLERANCE
    assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE


@pytest.mark.parametrize(
    "case", [case for case in cases("multiview.npz") if len(load("multiview.npz", case)["z"]) == 2]
)
def test_for_two_views_every_aggregation_is_the_published_two_view_loss(case: str) -> None:
    reference = load("multiview.npz", case)
    for made, base in AGGREGATIONS:
        z, tau = reference["z"].clone().requires_grad_(), reference["tau"].item()
        loss = made(tau, base)(z).total
        loss.backward()
        key = "ntxent" if base == "nt_xent" else "mvdhel"
        assert loss_error(loss, reference[f"{key}.loss"]) < TOLERANCE, (made, base)
        assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE, (made, base)


@pytest.mark.parametrize("case", cases("adassl_ntxent.npz"))
@pytest.mark.parametrize("made", [NTXent, Pairwise, MultiPositive])
def test_nt_xent_with_predictions_is_the_contrastive_loss_of_adassl(made: Made, case: str) -> None:
    reference = load("adassl_ntxent.npz", case)
    tau, num_videos = reference["tau"].item(), reference["targ"].shape[1]
    predicted, targets, weight = (reference[name].requires_grad_() for name in ("cont", "targ", "weight"))
    # The pair (0, 1) predicts view 1: their `y_hat`, the second of (x_hat, y_hat).
    loss = made(tau / weight)(targets, predicted.flip(0)).total
    loss.backward()
    assert loss_error(loss, reference["noclamp_loss"]) < TOLERANCE
    assert embedding_gradient_error(predicted, reference["noclamp_grad_cont"], tau, num_videos) < TOLERANCE
    assert embedding_gradient_error(targets, reference["noclamp_grad_targ"], tau, num_videos) < TOLERANCE
    assert array_error(weight.grad, reference["noclamp_grad_weight"]) < TOLERANCE


def off_diagonal(similarities: Tensor) -> Tensor:
    """(B, B) -> (B,): the sum over the other videos."""
    return similarities.sum(1) - similarities.diagonal()


def plain(made: Made, base: str, u: Tensor, graph: ViewGraph, tau: float, p: dict[tuple[int, int], Tensor]) -> Tensor:
    """The docstrings' formulas with naive arithmetic: u (V, B, D) of unit norm, p the anchors of the pairs."""

    def exp(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / tau).exp()

    def two_views(a: Tensor, b: Tensor, to_b: Tensor, to_a: Tensor, ways: str) -> Tensor:
        """Anchors `to_b` of view a, which look for view b, and back; `ways` there are."""
        if base == "dhel":
            energies = off_diagonal(exp(a, a)).log() + off_diagonal(exp(b, b)).log()
            alignment = {">": exp(to_b, b).diagonal(), "<": exp(to_a, a).diagonal()}
            return (energies - torch.stack([alignment[way] for way in ways]).mean(0).log()).mean()
        there = exp(to_b, b).diagonal() / (exp(to_b, b).sum(1) + off_diagonal(exp(to_b, a)))
        back = exp(to_a, a).diagonal() / (exp(to_a, a).sum(1) + off_diagonal(exp(to_a, b)))
        return -(there.log() + back.log()).mean() / 2

    pairs = graph.pairs
    if made is Pairwise:
        joined = {(min(pair), max(pair)) for pair in pairs}
        ways = {(a, b): ">" * ((a, b) in pairs) + "<" * ((b, a) in pairs) for a, b in joined}
        return torch.stack(
            [two_views(u[a], u[b], p.get((a, b), u[a]), p.get((b, a), u[b]), ways[a, b]) for a, b in joined]
        ).mean()
    targets = {a: [right for left, right in pairs if left == a] for a, _ in pairs}
    if made is Average:
        means = {a: u[of].mean(0) for a, of in targets.items()}
        if base == "dhel":
            means = {a: torch.nn.functional.normalize(mean, dim=-1) for a, mean in means.items()}
        return torch.stack([two_views(u[a], mean, u[a], mean, ">") for a, mean in means.items()]).mean()
    if base == "dhel":
        views = {view for pair in pairs for view in pair}
        energy = sum(off_diagonal(exp(u[view], u[view])).log() for view in views)
        alignment = torch.stack([(p[pair] * u[pair[1]]).sum(-1) / tau for pair in pairs]).mean(0)
        return (energy - alignment).mean()
    losses = []
    for left, right in pairs:
        anchor = p[left, right]
        seen = off_diagonal(exp(anchor, u[left])) + sum(exp(anchor, u[view]).sum(1) for view in targets[left])
        losses.append(-(exp(anchor, u[right]).diagonal() / seen).log().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(("made", "base"), AGGREGATIONS)
def test_the_value_is_the_formula(made: Made, base: str, graph: Graph) -> None:
    z, pairs = embeddings(3, 5, 4, seed=0), ViewGraph.of(graph, 3)
    u = torch.nn.functional.normalize(z, dim=-1)
    expected = plain(made, base, u, pairs, 0.3, {pair: u[pair[0]] for pair in pairs.pairs})
    torch.testing.assert_close(made(0.3, base, graph)(z).total, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("graph", [*GRAPHS, [(0, 1), (2, 1), (1, 0), (1, 2)]])
@pytest.mark.parametrize(("made", "base"), EDITABLE)
def test_the_value_with_predictions_is_the_formula(made: Made, base: str, graph: Graph) -> None:
    z, pairs = embeddings(3, 5, 4, seed=0), ViewGraph.of(graph, 3)
    predictions = embeddings(len(pairs), 5, 4, seed=1)
    if (made, base) == (Pairwise, "nt_xent") and {(b, a) for a, b in pairs.pairs} != set(pairs.pairs):
        with pytest.raises(UsageError, match="mv_infonce"):
            made(0.3, base, graph)(z, predictions)
        return
    u, edited = (torch.nn.functional.normalize(x, dim=-1) for x in (z, predictions))
    expected = plain(made, base, u, pairs, 0.3, dict(zip(pairs.pairs, edited, strict=True)))
    torch.testing.assert_close(made(0.3, base, graph)(z, predictions).total, expected, rtol=1e-12, atol=0)


@quick
@given(seed=seeds, temperature=temperatures, num_views=st.integers(2, 5))
def test_pairwise_nt_xent_is_mv_infonce_with_one_energy_a_pair_and_same_view_negatives(
    seed: int, temperature: float, num_views: int
) -> None:
    z, predictions = embeddings(num_views, 6, 5, seed), embeddings(num_views * (num_views - 1), 6, 5, seed + 1)
    for edited in (None, predictions):
        other = mv_infonce(z, temperature=temperature, same_view_negatives=True, predictions=edited)
        ours = pairwise(z, temperature=temperature, predictions=edited)
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("graph", GRAPHS)
def test_multi_positive_over_dhel_is_mv_dhel_with_the_mean_of_the_logs(graph: Graph) -> None:
    z = embeddings(3, 6, 5, seed=0)
    for edited in (None, embeddings(len(ViewGraph.of(graph, 3)), 6, 5, seed=1)):
        options = {"temperature": 0.2, "graph": graph, "predictions": edited}
        ours, other = multi_positive(z, base="dhel", **options), mv_dhel(z, alignment="mean_of_logs", **options)
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)


def test_two_views_over_dhel_are_mv_dhel_with_every_pair_counted_once() -> None:
    z, predictions = embeddings(2, 6, 5, seed=0), embeddings(2, 6, 5, seed=1)
    for made in (Pairwise, Average, MultiPositive):
        torch.testing.assert_close(made(0.2, "dhel")(z).total, mv_dhel(z, temperature=0.2, graph="forward"))
    both_ways = mv_dhel(z, temperature=0.2, predictions=predictions) + math.log(2)
    torch.testing.assert_close(pairwise(z, temperature=0.2, base="dhel", predictions=predictions), both_ways)


@quick
@given(aggregation=st.sampled_from(EDITABLE), seed=seeds, temperature=temperatures, num_views=st.integers(2, 4))
def test_predictions_that_are_the_anchors_change_nothing(
    aggregation: tuple[Made, str], seed: int, temperature: float, num_views: int
) -> None:
    z = embeddings(num_views, 6, 5, seed)
    objective = aggregation[0](temperature, aggregation[1])
    predictions = 3.0 * ViewGraph.all_pairs(num_views).anchors(z)
    torch.testing.assert_close(objective(z, predictions).total, objective(z).total, rtol=1e-10, atol=1e-12)


@quick
@given(aggregation=aggregations, seed=seeds, data=st.data())
def test_the_order_of_videos_and_of_views_with_their_graph_does_not_matter(
    aggregation: tuple[Made, str], seed: int, data: st.DataObject
) -> None:
    made, base = aggregation
    graph = data.draw(st.lists(st.sampled_from(ViewGraph.all_pairs(4).pairs), min_size=1, unique=True))
    order = data.draw(st.permutations(range(4)))
    videos = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    z = embeddings(4, 5, 3, seed)
    moved_graph = [(order.index(left), order.index(right)) for left, right in graph]
    moved = made(0.1, base, moved_graph)(z[list(order)][:, videos]).total
    torch.testing.assert_close(moved, made(0.1, base, graph)(z).total, rtol=1e-10, atol=1e-12)
    if aggregation in EDITABLE and aggregation != (Pairwise, "nt_xent"):
        edited = embeddings(len(graph), 5, 3, seed + 1)
        value = made(0.1, base, graph)(z, edited).total
        moved = made(0.1, base, moved_graph)(z[list(order)][:, videos], edited[:, videos]).total
        torch.testing.assert_close(moved, value, rtol=1e-10, atol=1e-12)


@quick
@given(aggregation=aggregations, seed=seeds, exponent=st.floats(-6, 6))
def test_the_scale_of_every_embedding_does_not_matter(
    aggregation: tuple[Made, str], seed: int, exponent: float
) -> None:
    z = embeddings(3, 5, 4, seed)
    scale = 10 ** (exponent * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype))
    objective = aggregation[0](0.1, aggregation[1])
    torch.testing.assert_close(objective(scale * z).total, objective(z).total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_videos", [2, 7, 64])
@pytest.mark.parametrize("num_views", [2, 3])
def test_collapsed_embeddings_are_at_the_chance_level_that_the_docstring_states(
    num_views: int, num_videos: int
) -> None:
    z, sharp = torch.ones(num_views, num_videos, 8), 1 / 0.1
    chance = {
        (Pairwise, "nt_xent"): math.log(2 * num_videos - 1),
        (Average, "nt_xent"): math.log(2 * num_videos - 1),
        (MultiPositive, "nt_xent"): math.log(num_views * num_videos - 1),
        (Pairwise, "dhel"): 2 * math.log(num_videos - 1) + sharp,
        (Average, "dhel"): 2 * math.log(num_videos - 1) + sharp,
        (MultiPositive, "dhel"): num_views * math.log(num_videos - 1) + (num_views - 1) * sharp,
    }
    for (made, base), expected in chance.items():
        assert made(0.1, base)(z).total.item() == pytest.approx(expected, rel=1e-5), (made, base)
    assert nt_xent(z[:2], temperature=0.1).item() == pytest.approx(math.log(2 * num_videos - 1), rel=1e-5)


def test_other_positives_keep_multi_positive_nt_xent_above_the_limit_that_its_docstring_states() -> None:
    z = torch.eye(8, dtype=torch.float64).expand(4, 8, 8)  # every video told apart, its views equal
    assert multi_positive(z, temperature=0.02).item() == pytest.approx(math.log(3))
    assert pairwise(z, temperature=0.02).item() == pytest.approx(0, abs=1e-12)


def batch(kind: str, num_views: int, num_videos: int, dim: int) -> Tensor:
    z = embeddings(num_views, num_videos, dim, seed=3)
    if kind == "collapsed":
        return 1 + 1e-3 * z
    if kind == "near-duplicate views":
        return z[:1] + 1e-4 * z
    return z


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize(("made", "base"), AGGREGATIONS)
def test_float32_and_autocast_gradients_are_those_of_float64(
    made: Made, base: str, temperature: float, kind: str
) -> None:
    objective = made(temperature, base)
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
@pytest.mark.parametrize(("made", "base"), AGGREGATIONS)
def test_value_and_gradient_are_finite_in_low_precision_at_the_smallest_temperature(
    made: Made, base: str, dtype: torch.dtype
) -> None:
    for z in (batch("random", 3, 16, 8), batch("collapsed", 3, 16, 8), torch.ones(3, 16, 8), torch.zeros(3, 16, 8)):
        low = z.to(dtype).requires_grad_()
        predictions = None if made is Average else low.repeat(2, 1, 1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = made(0.01, base)(low, predictions).total
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == torch.float32
        if z.abs().sum() > 0:  # normalising a zero vector has no slope worth the name
            assert low.grad.isfinite().all()


def test_terms_are_detached_and_one_a_pair_of_the_graph() -> None:
    z = embeddings(4, 5, 3, seed=0).requires_grad_()
    for made, base in AGGREGATIONS:
        loss = made(0.1, base, "forward")(z)
        assert loss.total.requires_grad
        assert not any(term.requires_grad for term in loss.terms.values())
        for name, term in loss.terms.items():
            assert term.shape == ((6,) if name.endswith("_per_pair") else ())
    one_by_one = torch.stack([nt_xent(z[[a, b]], temperature=0.1) for a, b in ViewGraph.forward(4).pairs])
    torch.testing.assert_close(Pairwise(0.1, graph="forward")(z).terms["pairwise_per_pair"], one_by_one)
    both = Pairwise(0.1)(z).terms["pairwise_per_pair"]
    torch.testing.assert_close(both.mean(), one_by_one.mean())
    multiple = MultiPositive(0.1)(z)
    torch.testing.assert_close(multiple.terms["multi_positive_per_pair"].mean(), multiple.total.detach())
    two = NTXent(0.1)(z[:2])
    torch.testing.assert_close(two.terms["nt_xent_per_pair"].mean(), two.total.detach())


@pytest.mark.parametrize(("made", "base"), AGGREGATIONS)
def test_no_step_makes_the_host_wait_for_the_device(made: Made, base: str) -> None:
    z, predictions = embeddings(3, 5, 4, seed=0).requires_grad_(), embeddings(6, 5, 4, seed=1)
    with NothingWaits():
        made(0.1, base)(z).total.backward()
        if made is not Average:
            made(0.1, base)(z, predictions).total.backward()


@pytest.mark.parametrize(("made", "base"), AGGREGATIONS)
def test_temperatures_are_learned_in_all_or_for_each_dimension(made: Made, base: str) -> None:
    z = embeddings(3, 5, 4, seed=0)
    for num_dimensions in (None, 4):
        learned = LearnedTemperature(0.2, num_dimensions=num_dimensions).double()
        value = made(learned, base)(z).total
        value.backward()
        assert (learned.theta.grad.abs() > 0).all()
        torch.testing.assert_close(value, made(0.2, base)(z).total, rtol=1e-6, atol=0)


@pytest.mark.parametrize("function", [pairwise, average, multi_positive])
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"expected embeddings of shape \(V, B, D\), got \(4, 8\)"),
        ((2, 1, 8), {}, "at least 2 videos"),
        ((1, 4, 8), {}, "at least 2 views"),
        ((2, 4, 8), {"temperature": 0.0}, "temperature > 0, got 0.0"),
        ((2, 4, 8), {"graph": [(0, 2)]}, r"two different views out of 0..1, got \(0, 2\)"),
        ((2, 4, 8), {"base": "info_nce"}, '"nt_xent" or "dhel", got \'info_nce\''),
    ],
)
def test_wrong_use_says_what_is_wanted(
    function: Callable[..., Tensor], shape: tuple[int, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        function(torch.ones(shape), **{"temperature": 0.1, **options})


@pytest.mark.parametrize("shape", [(3, 4, 8), (1, 4, 8), (4, 8), (2, 1, 8)])
def test_nt_xent_refuses_what_is_not_two_views_of_videos(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"expected two views|at least 2|expected embeddings"):
        nt_xent(torch.ones(shape), temperature=0.1)


@pytest.mark.parametrize("made", [NTXent, Pairwise, MultiPositive])
def test_predictions_of_another_shape_are_refused(made: Made) -> None:
    with pytest.raises(UsageError, match=r"\(P, B, D\) = \(2, 4, 8\), got \(1, 4, 8\)"):
        made(0.1)(torch.ones(2, 4, 8), torch.ones(1, 4, 8))


def test_average_refuses_predictions_and_names_what_takes_them() -> None:
    with pytest.raises(UsageError, match="mv_infonce"):
        Average(0.1)(torch.ones(2, 4, 8), torch.ones(2, 4, 8))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf])
@pytest.mark.parametrize("made", [NTXent, Pairwise, Average, MultiPositive])
def test_a_module_is_refused_when_it_is_made(made: Made, temperature: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        made(temperature)
    if made is not NTXent:
        with pytest.raises(UsageError, match="base"):
            made(0.1, "mse")


@pytest.mark.parametrize(("name", "made"), [(made.__name__, made) for made, base in AGGREGATIONS if base == "dhel"])
def test_a_config_can_say_an_aggregation(name: str, made: Made) -> None:
    def train(objective: MultiViewObjective) -> MultiViewObjective:
        return objective

    settings = {"temperature": 0.2, "base": "dhel", "graph": [[0, 1], [1, 2]]}
    said = {"class_path": f"{made.__module__}.{name}", "init_args": settings}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, made)
    assert objective(embeddings(3, 4, 5, seed=0)).total.isfinite()
