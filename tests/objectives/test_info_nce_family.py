import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives import (
    AdaSSL,
    FixedBeta,
    GaussianLatent,
    LearnedTemperature,
    MLPEditor,
    MultiViewObjective,
    MVInfoNCE,
    ViewGraph,
)
from videossl.objectives.an_info_nce import AnInfoNCE, an_info_nce
from videossl.objectives.h_info_nce import HInfoNCE, h_info_nce
from videossl.objectives.info_nce import InfoNCE, info_nce

seeds = st.integers(0, 2**31)
temperatures = st.floats(0.01, 2.0)
graphs = st.sampled_from(["all", "forward", [(2, 0), (0, 1), (2, 1)]])
quick = settings(max_examples=15, deadline=None)
NAMES = ["info_nce", "an_info_nce", "h_info_nce", "h_info_nce_inner_product"]


def embeddings(num_views: int, num_videos: int, dim: int, seed: int) -> Tensor:
    return torch.randn(num_views, num_videos, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(
    name: str, dim: int, temperature: float = 0.1, graph: object = "all", trained: bool = True
) -> MultiViewObjective:
    """In float64; `trained`: with weights that are not all 1."""
    if name == "info_nce":
        return InfoNCE(temperature, graph)
    if name == "an_info_nce":
        made: MultiViewObjective = AnInfoNCE(dim, temperature, graph)
    else:
        form = "inner_product" if name.endswith("inner_product") else "squared_distance"
        made = HInfoNCE(dim, None, 8, temperature, graph, form)
    generator = torch.Generator().manual_seed(7)
    for parameter in made.parameters() if trained else []:
        nn.init.normal_(parameter, generator=generator)
    return made.double()


def plain(anchors: Tensor, positives: Tensor, weights: Tensor, temperature: float, form: str) -> Tensor:
    """Naive arithmetic, (B, B, D) at once; weights (D,) or (B, D)."""
    a, b = (nn.functional.normalize(x, dim=-1) for x in (anchors, positives))
    weights = weights.expand_as(a)[:, None]
    pull = -0.5 * (a[:, None] - b).square() if form == "squared_distance" else a[:, None] * b
    logits = (weights * pull).sum(-1) / temperature
    return (logits.logsumexp(1) - logits.diagonal()).mean()


@quick
@given(seed=seeds, temperature=temperatures)
def test_the_values_are_the_formulas(seed: int, temperature: float) -> None:
    a, b = embeddings(2, 6, 5, seed)
    shared, own = embeddings(1, 6, 5, seed + 1)[0].exp()[0], embeddings(1, 6, 5, seed + 2)[0].exp()
    value = an_info_nce(a, b, weights=shared, temperature=temperature)
    torch.testing.assert_close(value, plain(a, b, shared, temperature, "squared_distance"), rtol=1e-9, atol=1e-11)
    for form in ("squared_distance", "inner_product"):
        value = h_info_nce(a, b, weights=own, temperature=temperature, similarity=form)
        torch.testing.assert_close(value, plain(a, b, own, temperature, form), rtol=1e-9, atol=1e-11)


@quick
@given(seed=seeds, temperature=temperatures, weight=st.floats(0.05, 5.0))
def test_equal_weights_are_info_nce_at_temperature_over_weight(seed: int, temperature: float, weight: float) -> None:
    a, b = embeddings(2, 6, 5, seed)
    expected = info_nce(a, b, temperature=temperature / weight)
    same = torch.full((5,), weight, dtype=a.dtype)
    value = an_info_nce(a, b, weights=same, temperature=temperature)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)
    for form in ("squared_distance", "inner_product"):
        value = h_info_nce(a, b, weights=same.expand(6, 5), temperature=temperature, similarity=form)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)


@quick
@given(seed=seeds, temperature=temperatures)
def test_weights_that_are_the_same_for_every_anchor_are_an_info_nce(seed: int, temperature: float) -> None:
    a, b = embeddings(2, 6, 5, seed)
    weights = embeddings(1, 1, 5, seed + 1)[0, 0].exp()
    value = h_info_nce(a, b, weights=weights.expand(6, 5), temperature=temperature)
    expected = an_info_nce(a, b, weights=weights, temperature=temperature)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)
    linear = h_info_nce(a, b, weights=weights.expand(6, 5), temperature=temperature, similarity="inner_product")
    by_dimension = info_nce(a, b, temperature=temperature / weights)
    torch.testing.assert_close(linear, by_dimension, rtol=1e-9, atol=1e-11)


@quick
@given(seed=seeds, temperature=temperatures, graph=graphs, edited=st.booleans())
def test_info_nce_over_a_graph_is_mv_infonce_in_its_form_of_one_energy_a_pair(
    seed: int, temperature: float, graph: object, edited: bool
) -> None:
    z = embeddings(3, 6, 5, seed)
    predictions = embeddings(len(ViewGraph.of(graph, 3)), 6, 5, seed + 1) if edited else None
    ours = InfoNCE(temperature, graph)(z, predictions)
    theirs = MVInfoNCE(temperature, graph, "mean_of_logs", "per_pair")(z, predictions)
    torch.testing.assert_close(ours.total, theirs.total, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(ours.terms["info_nce_per_pair"], theirs.terms["info_nce_per_pair"])


@pytest.mark.parametrize("name", NAMES)
def test_over_a_graph_it_is_the_mean_of_its_pairs(name: str) -> None:
    z, graph = embeddings(3, 6, 5, seed=0), [(2, 0), (0, 1), (2, 1)]
    made = objective(name, 5, 0.2, graph)
    one_by_one = []
    for left, right in graph:
        if name == "info_nce":
            one_by_one.append(info_nce(z[left], z[right], temperature=0.2))
        elif name == "an_info_nce":
            one_by_one.append(an_info_nce(z[left], z[right], weights=made.weights, temperature=0.2))
        else:
            weights = made.weights(z[left])
            one_by_one.append(
                h_info_nce(z[left], z[right], weights=weights, temperature=0.2, similarity=made.similarity)
            )
    loss, expected = made(z), torch.stack(one_by_one)
    torch.testing.assert_close(loss.total, expected.mean(), rtol=1e-12, atol=0)
    per_pair = loss.terms[f"{name.removesuffix('_inner_product')}_per_pair"]
    torch.testing.assert_close(per_pair, expected, rtol=1e-12, atol=0)
    assert loss.total.requires_grad is (name != "info_nce")
    assert not any(term.requires_grad for term in loss.terms.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_value_also_through_predicted_weights(name: str) -> None:
    z, predictions = (embeddings(count, 3, 3, seed=4).requires_grad_() for count in (2, 2))
    made = objective(name, 3, 0.5)
    assert torch.autograd.gradcheck(lambda *given: made(*given).total, (z, predictions))
    assert torch.autograd.gradcheck(lambda given: made(given).total, (z,))


@pytest.mark.parametrize("name", NAMES)
def test_training_starts_at_info_nce(name: str) -> None:
    z = embeddings(3, 6, 5, seed=1)
    loss = objective(name, 5, trained=False)(z)
    torch.testing.assert_close(loss.total, InfoNCE(0.1)(z).total, rtol=1e-12, atol=0)
    if name != "info_nce":
        assert loss.terms["mean_weight"].item() == pytest.approx(1)
        assert loss.terms["effective_dimensions"].item() == pytest.approx(5)


@quick
@given(name=st.sampled_from(NAMES), seed=seeds, temperature=temperatures, graph=graphs)
def test_predictions_that_are_the_anchors_change_nothing(
    name: str, seed: int, temperature: float, graph: object
) -> None:
    z, made = embeddings(3, 6, 5, seed), objective(name, 5, temperature, graph)
    predictions = 3.0 * ViewGraph.of(graph, 3).anchors(z)
    torch.testing.assert_close(made(z, predictions).total, made(z).total, rtol=1e-10, atol=1e-12)


@quick
@given(name=st.sampled_from(NAMES), seed=seeds, data=st.data())
def test_order_and_scale_do_not_matter(name: str, seed: int, data: st.DataObject) -> None:
    z, predictions, graph = embeddings(3, 6, 5, seed), embeddings(3, 6, 5, seed + 1), [(2, 0), (0, 1), (2, 1)]
    value = objective(name, 5, 0.1, graph)(z, predictions).total
    videos, views = data.draw(st.permutations(range(6))), data.draw(st.permutations(range(3)))
    moved = [(views.index(left), views.index(right)) for left, right in graph]
    scale = 10 ** (4 * torch.rand(3, 6, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype) - 2)
    other = objective(name, 5, 0.1, moved)((scale * z)[list(views)][:, list(videos)], predictions[:, list(videos)])
    torch.testing.assert_close(other.total, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_videos", [2, 33])
def test_collapsed_embeddings_are_at_chance(name: str, num_videos: int) -> None:
    z = torch.ones(3, num_videos, 5, dtype=torch.float64)
    assert objective(name, 5)(z).total.item() == pytest.approx(math.log(num_videos))


def batch(kind: str) -> Tensor:
    z = embeddings(4, 32, 16, seed=3)
    if kind == "collapsed":
        return 1 + 1e-3 * z
    return z[:1] + 1e-4 * z if kind == "near-duplicate views" else z


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(
    name: str, temperature: float, kind: str, autocast: bool
) -> None:
    single = batch(kind).float().requires_grad_()
    double = single.detach().double().requires_grad_()
    made = objective(name, 16, temperature)
    exact = made(double).total
    exact.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = made.float()(single).total
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
    # Where all videos are told apart already the true gradient is about zero; the floor is 1e-5 of a logit's.
    floor = 1e-5 / (temperature * single.shape[1])
    error = (single.grad - double.grad).abs().max() / double.grad.abs().max().clamp_min(floor)
    assert error < 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_embeddings_give_a_finite_float32_value_and_gradient(name: str, dtype: torch.dtype) -> None:
    made = objective(name, 16, 0.01).float()
    for z in (batch("random"), batch("collapsed"), torch.ones(4, 32, 16)):
        low = z.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = made(low).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert low.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_step_makes_the_host_wait_for_the_device(name: str) -> None:
    z, predictions = embeddings(3, 5, 4, seed=0).requires_grad_(), embeddings(6, 5, 4, seed=1)
    made = objective(name, 4)
    with NothingWaits():
        made(z).total.backward()
        made(z, predictions).total.backward()


def test_learned_weights_find_the_dimensions_that_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(256, 8, generator=generator)
    noise = torch.randn(256, 8, generator=generator) * torch.tensor([0.1] * 4 + [2.0] * 4)
    for made in (AnInfoNCE(8, 0.2, [(0, 1)]), HInfoNCE(8, None, 16, 0.2, [(0, 1)])):
        optimiser = torch.optim.Adam(made.parameters(), lr=0.05)
        for _ in range(60):
            optimiser.zero_grad()
            made(torch.stack([z, z + noise])).total.backward()
            optimiser.step()
        weights = made.weights if isinstance(made, AnInfoNCE) else made.weights(z).mean(0)
        assert weights[:4].min() > 2 * weights[4:].max()


def test_predicted_weights_say_where_the_future_is_less_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(256, 8, generator=generator)
    unsure = z[:, :1] > 0
    future = z + torch.where(unsure, 1.5, 0.1) * torch.randn(256, 8, generator=generator)
    torch.manual_seed(0)
    made = HInfoNCE(8, None, 32, 0.2, [(0, 1)])
    optimiser = torch.optim.Adam(made.parameters(), lr=0.01)
    for _ in range(80):
        optimiser.zero_grad()
        loss = made(torch.stack([z, future]))
        loss.total.backward()
        optimiser.step()
    weights = made.weights(z).mean(-1)
    assert weights[~unsure[:, 0]].mean() > 2 * weights[unsure[:, 0]].mean()
    assert loss.terms["weight_spread"] > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_adassl_with_an_editor_that_does_nothing_yet_is_the_objective(name: str) -> None:
    z = embeddings(3, 6, 5, seed=2)
    made = objective(name, 5)
    edited = AdaSSL(made, GaussianLatent(5, latent_dim=2), MLPEditor(5, 2), FixedBeta(0.0)).double()
    torch.testing.assert_close(edited(z).total, made(z).total, rtol=1e-10, atol=1e-12)


def test_a_temperature_can_be_learned() -> None:
    for num_dimensions in (None, 4):
        temperature = LearnedTemperature(num_dimensions=num_dimensions)
        for made in (InfoNCE(temperature), AnInfoNCE(4, temperature), HInfoNCE(4, temperature=temperature)):
            temperature.theta.grad = None
            made(embeddings(2, 5, 4, seed=0).float()).total.backward()
            assert (temperature.theta.grad.abs() > 0).all()


def test_a_given_net_predicts_the_weights() -> None:
    made = HInfoNCE(4, nn.Linear(4, 4))
    assert made.weights(torch.randn(3, 4)).shape == (3, 4)
    made(embeddings(2, 5, 4, seed=0)).total.backward()  # float64 embeddings, a net in float32
    assert made.net.weight.grad.abs().max() > 0
    with pytest.raises(UsageError, match=r"a net that gives \(1, 5, 4\) weights, got \(1, 5, 3\)"):
        HInfoNCE(4, nn.Linear(4, 3), graph=[(0, 1)])(embeddings(2, 5, 4, seed=0))


def test_wrong_use_says_what_is_wanted() -> None:
    a = torch.ones(4, 8)
    with pytest.raises(UsageError, match=r"weights of shape \(D,\) = \(8,\), got \(4, 8\)"):
        an_info_nce(a, a, weights=a, temperature=0.1)
    with pytest.raises(UsageError, match=r"weights of shape \(B, D\) = \(4, 8\), got \(8,\)"):
        h_info_nce(a, a, weights=a[0], temperature=0.1)
    with pytest.raises(UsageError, match='"squared_distance" or "inner_product", got \'cosine\''):
        h_info_nce(a, a, weights=a, temperature=0.1, similarity="cosine")
    with pytest.raises(UsageError, match="temperature > 0"):
        AnInfoNCE(8, 0.0)
    with pytest.raises(UsageError, match="embedding_dim"):
        HInfoNCE(0)
    for made in (AnInfoNCE(4), HInfoNCE(4)):
        with pytest.raises(UsageError, match="expected embeddings of 4 dimensions, got 8"):
            made(a.expand(2, 4, 8))
    for made in (InfoNCE(), AnInfoNCE(8), HInfoNCE(8)):
        with pytest.raises(UsageError, match=r"expected embeddings of shape \(V, B, D\)"):
            made(a)
        with pytest.raises(UsageError, match="at least 2 videos"):
            made(torch.ones(2, 1, 8))
        with pytest.raises(UsageError, match=r"\(P, B, D\) = \(2, 4, 8\), got \(1, 4, 8\)"):
            made(a.expand(2, 4, 8), torch.ones(1, 4, 8))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("info_nce.InfoNCE", {"temperature": 0.2, "graph": "forward"}),
        ("an_info_nce.AnInfoNCE", {"embedding_dim": 4, "graph": [[0, 1]]}),
        ("h_info_nce.HInfoNCE", {"embedding_dim": 4, "hidden_dim": 8, "similarity": "inner_product"}),
    ],
)
def test_a_config_can_say_them(name: str, options: dict[str, object]) -> None:
    def train(objective: MultiViewObjective) -> MultiViewObjective:
        return objective

    said = json.dumps({"class_path": f"videossl.objectives.{name}", "init_args": options})
    made = auto_cli(train, args=[f"--objective={said}"], as_positional=False)
    assert made(embeddings(2, 5, 4, seed=0)).total > 0
