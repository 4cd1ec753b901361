import importlib
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from reference import TOLERANCE, cases, embedding_gradient_error, load, loss_error
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from videossl.errors import UsageError
from videossl.objectives import AdaSSL, FixedBeta, GaussianLatent, MLPEditor, MultiViewObjective, ViewGraph, info_nce
from videossl.objectives.energies import Logits
from videossl.objectives.similarity_graph import embedding_similarity, label_similarity, time_similarity
from videossl.objectives.x_sample import XSample, x_sample

seeds = st.integers(0, 2**31)
temperatures = st.floats(0.01, 2.0)
graphs = st.sampled_from(["all", "forward", [(2, 0), (0, 1), (2, 1)]])
sides = st.sampled_from([(False, True), (True, True), (False, False)])  # keep_diagonal, same_view
quick = settings(max_examples=20, deadline=None)


def embeddings(num_views: int, num_videos: int, dim: int, seed: int) -> Tensor:
    return torch.randn(num_views, num_videos, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarity_of(num_videos: int, seed: int) -> Tensor:
    return embedding_similarity(embeddings(1, num_videos, 3, seed + 100)[0])


def plain(
    z: Tensor, similarity: Tensor, tau: float, target_tau: float, side: tuple[bool, bool], graph: object
) -> Tensor:
    """The head of x_sample.py with the whole matrix of logits."""
    V, B, _ = z.shape
    u = torch.nn.functional.normalize(z, dim=-1).flatten(0, 1)
    keep, same_view = side
    views = torch.arange(V).repeat_interleave(B)
    allowed = {*ViewGraph.of(graph, V).pairs, *((view, view) for view in range(V) if same_view)}
    candidate = torch.tensor([[(int(left), int(right)) in allowed for right in views] for left in views])
    if not keep:
        candidate.fill_diagonal_(False)
    targets = (similarity.repeat(V, V) / target_tau).masked_fill(~candidate, -torch.inf).softmax(1)
    log_p = (u @ u.T / tau).masked_fill(~candidate, -torch.inf).log_softmax(1).masked_fill(~candidate, 0)
    is_anchor = torch.tensor([int(view) in ViewGraph.of(graph, V).anchor_views for view in views])
    return -(targets * log_p).sum(1)[is_anchor].mean()


@pytest.mark.parametrize("edited", [False, True], ids=["views", "identity_editor"])
@pytest.mark.parametrize("key", ["incl", "excl"])
@pytest.mark.parametrize("case", cases("xclr.npz"))
def test_value_and_gradient_are_the_reference(case: str, key: str, edited: bool) -> None:
    reference = load("xclr.npz", case)
    z, tau = reference["z"].requires_grad_(), reference["tau"].item()
    loss = x_sample(
        z,
        reference["graph"],
        temperature=tau,
        target_temperature=reference["tau_s"].item(),
        keep_diagonal=key == "incl",
        predictions=ViewGraph.all_pairs(len(z)).anchors(z) if edited else None,
    )
    loss.backward()
    assert loss_error(loss, reference[f"{key}.loss"]) < TOLERANCE
    assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE


def test_hard_targets_are_nt_xent() -> None:
    (case,) = [case for case in cases("xclr.npz") if "ntxent.loss" in load("xclr.npz", case)]
    reference = load("xclr.npz", case)
    for target_temperature in (reference["tau_s"].item(), 1e-6):
        objective = XSample(reference["tau"].item(), target_temperature)
        for similarity in (None, reference["graph"]):
            loss = objective(reference["z"], similarity=similarity)
            assert loss_error(loss.total, reference["ntxent.loss"]) < 1e-14
            assert loss.terms["own_video_share"].item() == pytest.approx(1)
            assert loss.terms["target_entropy"].item() == pytest.approx(0, abs=1e-12)


def test_hard_targets_without_the_own_view_are_info_nce() -> None:
    z = embeddings(2, 6, 5, seed=0)
    value = x_sample(z, None, temperature=0.2, target_temperature=1e-3, same_view=False, graph=[(0, 1)])
    torch.testing.assert_close(value, info_nce(z[0], z[1], temperature=0.2), rtol=1e-12, atol=0)


@quick
@given(seed=seeds, tau=temperatures, target_tau=temperatures, side=sides, graph=graphs)
def test_the_value_and_gradient_are_the_formula(
    seed: int, tau: float, target_tau: float, side: tuple[bool, bool], graph: object
) -> None:
    z, similarity = embeddings(3, 5, 4, seed).requires_grad_(), similarity_of(5, seed)
    loss = XSample(tau, target_tau, *side, graph)(z, similarity=similarity)
    expected = plain(z, similarity, tau, target_tau, side, graph)
    torch.testing.assert_close(loss.total, expected, rtol=1e-10, atol=1e-12)
    (ours,), (theirs,) = torch.autograd.grad(loss.total, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@quick
@given(seed=seeds, target_tau=temperatures, side=sides, graph=graphs)
def test_no_similarity_is_the_identity_graph(
    seed: int, target_tau: float, side: tuple[bool, bool], graph: object
) -> None:
    z, objective = embeddings(3, 5, 4, seed), XSample(0.1, target_tau, *side, graph)
    without, identity = objective(z), objective(z, similarity=torch.eye(5))
    torch.testing.assert_close(without.total, identity.total, rtol=1e-10, atol=1e-12)
    for name, value in without.terms.items():
        torch.testing.assert_close(value, identity.terms[name], rtol=1e-9, atol=1e-10)


@quick
@given(seed=seeds, side=sides, graph=graphs)
def test_the_target_entropy_is_the_value_at_logits_that_are_the_targets(
    seed: int, side: tuple[bool, bool], graph: object
) -> None:
    # The same embedding in every view, and their cosines as the graph: the best there is.
    z = embeddings(1, 5, 4, seed).expand(3, 5, 4)
    loss = XSample(0.3, 0.3, *side, graph)(z, similarity=embedding_similarity(z[0]))
    torch.testing.assert_close(loss.total, loss.terms["target_entropy"], rtol=1e-9, atol=1e-10)
    worse = XSample(0.3, 0.3, *side, graph)(embeddings(3, 5, 4, seed + 1), similarity=embedding_similarity(z[0]))
    torch.testing.assert_close(worse.terms["target_entropy"], loss.terms["target_entropy"])
    assert worse.total > worse.terms["target_entropy"]


@quick
@given(seed=seeds, side=sides, graph=graphs, tau=temperatures)
def test_predictions_that_are_the_anchors_change_nothing(
    seed: int, side: tuple[bool, bool], graph: object, tau: float
) -> None:
    z, objective = embeddings(3, 5, 4, seed), XSample(tau, 0.2, *side, graph)
    predictions, similarity = 3.0 * ViewGraph.of(graph, 3).anchors(z), similarity_of(5, seed)
    expected = objective(z, similarity=similarity)
    edited = objective(z, predictions, similarity=similarity)
    torch.testing.assert_close(edited.total, expected.total, rtol=1e-10, atol=1e-12)


def test_predictions_share_the_own_view_of_their_anchor() -> None:
    z, p = embeddings(3, 5, 4, seed=0), embeddings(2, 5, 4, seed=1)
    similarity = similarity_of(5, 0)
    graph = [(0, 1), (0, 2)]
    value = XSample(0.4, 0.3, keep_diagonal=True, graph=graph)(z, p, similarity=similarity).total
    u, q = (torch.nn.functional.normalize(x, dim=-1) for x in (z, p))
    logits = [q[0] @ u[1].T / 0.4, q[1] @ u[2].T / 0.4]
    own = [q[0] @ u[0].T / 0.4, q[1] @ u[0].T / 0.4]
    normaliser = sum(each.exp().sum(1) for each in logits) + 0.5 * sum(each.exp().sum(1) for each in own)
    targets = (similarity / 0.3).softmax(1) / 3
    mean_logit = (targets * (logits[0] + logits[1] + 0.5 * own[0] + 0.5 * own[1])).sum(1)
    torch.testing.assert_close(value, (normaliser.log() - mean_logit).mean(), rtol=1e-12, atol=0)


@quick
@given(seed=seeds, side=sides, data=st.data())
def test_order_and_scale_do_not_matter(seed: int, side: tuple[bool, bool], data: st.DataObject) -> None:
    z, predictions, graph = embeddings(3, 5, 4, seed), embeddings(3, 5, 4, seed + 1), [(2, 0), (0, 1), (2, 1)]
    similarity = torch.rand(5, 5, generator=torch.Generator().manual_seed(seed))  # need not be symmetric
    value = XSample(0.1, 0.1, *side, graph)(z, predictions, similarity=similarity).total
    videos, views = list(data.draw(st.permutations(range(5)))), list(data.draw(st.permutations(range(3))))
    moved = [(views.index(left), views.index(right)) for left, right in graph]
    scale = 10 ** (4 * torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(seed), dtype=z.dtype) - 2)
    other = XSample(0.1, 0.1, *side, moved)(
        (scale * z)[views][:, videos], predictions[:, videos], similarity=similarity[videos][:, videos]
    )
    torch.testing.assert_close(other.total, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_videos", [2, 33])
@pytest.mark.parametrize("num_views", [2, 3])
def test_collapsed_embeddings_are_at_chance(num_views: int, num_videos: int) -> None:
    z, similarity = torch.ones(num_views, num_videos, 8, dtype=torch.float64), similarity_of(num_videos, 0)
    points = num_views * num_videos
    chance = {(False, True): points - 1, (True, True): points, (False, False): points - num_videos}
    for side, candidates in chance.items():
        value = XSample(0.1, 0.1, *side)(z, similarity=similarity).total.item()
        assert value == pytest.approx(math.log(candidates)), side


def batch(kind: str) -> Tensor:
    z = embeddings(4, 32, 16, seed=3)
    if kind == "collapsed":
        return 1 + 1e-3 * z
    return z[:1] + 1e-4 * z if kind == "near-duplicate views" else z


def gradients(objective: XSample, z: Tensor, similarity: Tensor | None, autocast: bool) -> tuple[Tensor, Tensor]:
    """Of the float32 batch, in float32 and in float64."""
    single = z.float().requires_grad_()
    double = single.detach().double().requires_grad_()
    exact = objective(double, similarity=similarity).total
    exact.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = objective(single, similarity=similarity).total
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
    return single.grad, double.grad


@pytest.mark.parametrize("kind", ["random", "collapsed", "near-duplicate views"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("target_temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bf16_autocast"])
def test_float32_and_autocast_gradients_are_those_of_float64(
    temperature: float, target_temperature: float, kind: str, autocast: bool
) -> None:
    z = batch(kind)
    for similarity in (None, similarity_of(32, 0).float()):
        for keep_diagonal in (False, True):
            objective = XSample(temperature, target_temperature, keep_diagonal)
            ours, exact = gradients(objective, z, similarity, autocast)
            error = (ours - exact).abs().max()
            if kind == "collapsed" and target_temperature == 1.0:
                # Embeddings all alike and targets nearly so: what is left of the gradient is 1e-4 of a logit's.
                norm = z.norm(dim=-1).max()
                assert error * norm < 5e-7 / (temperature * 4 * 32)
            else:
                assert error / exact.abs().max().clamp_min(1e-5 / (temperature * 32)) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_embeddings_give_a_finite_float32_value_and_gradient(dtype: torch.dtype) -> None:
    for z in (batch("random"), batch("collapsed"), torch.ones(4, 32, 16)):
        low = z.to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = XSample(0.01, 0.01)(low, low.repeat(3, 1, 1), similarity=similarity_of(32, 0).to(dtype)).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert low.grad.isfinite().all()


def test_the_similarity_gets_no_gradient_and_is_not_changed() -> None:
    similarity = similarity_of(5, 0).requires_grad_()
    before = similarity.detach().clone()
    z = embeddings(2, 5, 4, seed=0).requires_grad_()
    loss = XSample()(z, similarity=similarity)
    loss.total.backward()
    assert similarity.grad is None
    assert torch.equal(similarity, before)
    assert z.grad.abs().max() > 0
    assert not any(term.requires_grad for term in loss.terms.values())


class _Watch(TorchDispatchMode):
    """Refuses what would stop the host until a device has caught up, and notes the largest tensor made."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        waits = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "index.Tensor", "lift_fresh")
        assert not any(name in str(func) for name in waits), func
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        return result


@pytest.mark.parametrize("side", [(False, True), (True, True), (False, False)])
def test_no_step_makes_the_host_wait_for_the_device(side: tuple[bool, bool]) -> None:
    z, predictions = embeddings(3, 5, 4, seed=0).requires_grad_(), embeddings(6, 5, 4, seed=1)
    similarity = similarity_of(5, 0)
    objective = XSample(0.1, 0.1, *side)
    with _Watch():
        for graph in (None, similarity):
            objective(z, similarity=graph).total.backward()
            objective(z, predictions, similarity=graph).total.backward()


def test_no_matrix_of_all_views_is_held_and_with_the_identity_graph_none_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_logits(anchors: Tensor, candidates: Tensor, pairs: list[tuple[int, int]], *, bound: float) -> Logits:
        same = (anchors + candidates).sum().expand(len(pairs), anchors.shape[1])  # it has tests of its own
        return Logits(same, same)

    module = importlib.import_module("videossl.objectives.x_sample")  # the name in the package is the function
    monkeypatch.setattr(module, "logits_of_pairs", no_logits)
    V, B, D = 4, 64, 8
    z, objective = embeddings(V, B, D, seed=0).requires_grad_(), XSample()
    for similarity, limit in ((None, V * B * D), (similarity_of(B, 0), B * B)):
        with _Watch() as watch:
            objective(z, similarity=similarity).total.backward()
        assert V * B <= watch.largest <= limit


def test_adassl_with_an_editor_that_does_nothing_yet_is_x_sample() -> None:
    z = embeddings(3, 6, 5, seed=2)
    edited = AdaSSL(XSample(), GaussianLatent(5, latent_dim=2), MLPEditor(5, 2), FixedBeta(0.0)).double()
    torch.testing.assert_close(edited(z).total, XSample()(z).total, rtol=1e-10, atol=1e-12)


def test_a_missing_label_is_like_nothing_but_itself() -> None:
    similarity = label_similarity(torch.tensor([3, -1, 3, -1, 5]))
    expected = torch.eye(5)
    expected[0, 2] = expected[2, 0] = 1
    assert torch.equal(similarity, expected)


def test_embedding_similarity_is_the_cosine() -> None:
    z = torch.tensor([[2.0, 0.0], [3.0, 3.0], [-1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        similarity = embedding_similarity(z)
    half = 2**-0.5
    expected = torch.tensor([[1, half, -1, 0], [half, 1, -half, 0], [-1, -half, 1, 0], [0, 0, 0, 1]])
    torch.testing.assert_close(similarity, expected, atol=1e-7, rtol=0)
    assert not similarity.requires_grad


def test_time_similarity_falls_with_the_seconds_between_clips_of_one_video() -> None:
    similarity = time_similarity(torch.tensor([0, 0, 7]), torch.tensor([1.0, 3.0, 1.0]), scale=4.0)
    near = math.exp(-0.5)
    torch.testing.assert_close(similarity, torch.tensor([[1, near, 0], [near, 1, 0], [0, 0, 1]]))


def test_wrong_use_says_what_is_wanted() -> None:
    z = torch.ones(2, 4, 8)
    with pytest.raises(UsageError, match="Set same_view=True"):
        XSample(keep_diagonal=True, same_view=False)
    with pytest.raises(UsageError, match="temperature > 0, got 0"):
        XSample(target_temperature=0.0)
    with pytest.raises(UsageError, match="temperature > 0, got -1"):
        x_sample(z, None, temperature=-1.0, target_temperature=0.1)
    with pytest.raises(UsageError, match=r"\(B, B\) = \(4, 4\), got \(8, 8\)"):
        XSample()(z, similarity=torch.eye(8))
    with pytest.raises(UsageError, match=r"\(P, B, D\) = \(2, 4, 8\), got \(1, 4, 8\)"):
        XSample()(z, torch.ones(1, 4, 8))
    with pytest.raises(UsageError, match="at least 2 videos"):
        XSample()(z[:, :1])
    with pytest.raises(UsageError, match=r"labels of shape \(B,\), got \(2, 1\)"):
        label_similarity(torch.ones(2, 1))
    with pytest.raises(UsageError, match=r"shape \(B, E\), got \(3,\)"):
        embedding_similarity(torch.ones(3))
    with pytest.raises(UsageError, match="2 videos, 3 times and scale 1"):
        time_similarity(torch.zeros(2), torch.zeros(3), scale=1.0)
    with pytest.raises(UsageError, match="scale 0"):
        time_similarity(torch.zeros(2), torch.zeros(2), scale=0.0)


def test_a_config_can_say_it() -> None:
    def train(objective: MultiViewObjective) -> MultiViewObjective:
        return objective

    options = {"temperature": 0.2, "target_temperature": 0.05, "same_view": False, "graph": [[0, 1]]}
    said = {"class_path": "videossl.objectives.x_sample.XSample", "init_args": options}
    objective = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(objective, XSample)
    assert objective(embeddings(2, 5, 4, seed=0)).total > 0
