from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from no_waiting import NothingWaits
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives import (
    AdaSSL,
    Beta,
    FixedBeta,
    GaussianLatent,
    InformationBudget,
    LearnedTemperature,
    LowRankEditor,
    MLPEditor,
    MultiViewObjective,
    MVInfoNCE,
    SparseGate,
    ViewGraph,
    kl_divergence,
    mv_infonce,
)
from videossl.objectives.an_info_nce import AnInfoNCE
from videossl.objectives.dino import DINO
from videossl.objectives.distillation import Distillation
from videossl.objectives.h_info_nce import HInfoNCE
from videossl.objectives.info_nce import InfoNCE
from videossl.objectives.latent import balanced_kl
from videossl.objectives.mv_dhel import MVDHEL
from videossl.objectives.prediction import Prediction
from videossl.objectives.sigreg import SIGReg
from videossl.objectives.vicreg import VarianceCovariance, VICReg
from videossl.objectives.x_sample import XSample
from videossl.transition import FlowPrior
from videossl.transition.transported import Transported

D, R = 6, 3
FORMS = [("mean_of_logs", "per_pair"), ("mean_of_logs", "joint"), ("log_of_sum", "joint")]


class Gaussian(NamedTuple):
    mean: Tensor
    log_variance: Tensor


class ToyLatent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.posterior_net = nn.Linear(2 * D, 2 * R)
        self.prior_net = nn.Linear(D, 2 * R)
        self.seen: dict[str, Tensor] = {}

    def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
        self.seen = {"context": context, "future": future}
        return Gaussian(*self.posterior_net(torch.cat([context, future], -1)).chunk(2, -1))

    def prior(self, context: Tensor) -> Gaussian:
        self.seen["prior"] = context
        return Gaussian(*self.prior_net(context).chunk(2, -1))


class ToyEditor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Linear(R, D)

    def forward(self, state: Tensor, latent: Tensor) -> Tensor:
        return state + self.change(latent)


def identity(state: Tensor, latent: Tensor | None) -> Tensor:
    return state


def teacher(z: Tensor) -> dict[str, Tensor]:
    return {"targets": (z + 0.3 * z.roll(1, dims=1)).detach()}


def closeness(z: Tensor) -> dict[str, Tensor]:
    return {"similarity": torch.cosine_similarity(z[0, :, None], z[0, None], dim=-1).detach()}


def nothing(z: Tensor) -> dict[str, Tensor]:
    return {}


# Every objective that AdaSSL stands on, and what it is given by name.
OBJECTIVES: dict[str, tuple[Callable[[], MultiViewObjective], Callable[[Tensor], dict[str, Tensor]]]] = {
    **{
        f"mv_infonce_{'_'.join(form)}_{graph}": (lambda f=form, g=graph: MVInfoNCE(0.2, g, *f), nothing)
        for form in FORMS
        for graph in ("all", "forward")
    },
    "mv_infonce_same_view": (lambda: MVInfoNCE(0.2, same_view_negatives=True), nothing),
    "mv_infonce_learned_temperature": (lambda: MVInfoNCE(LearnedTemperature(0.2)), nothing),
    "mv_dhel": (lambda: MVDHEL(0.2), nothing),
    "info_nce": (lambda: InfoNCE(0.2, "forward"), nothing),
    "an_info_nce": (lambda: AnInfoNCE(D, 0.2), nothing),
    "h_info_nce": (lambda: HInfoNCE(D, hidden_dim=8, temperature=0.2), nothing),
    "x_sample_identity": (lambda: XSample(0.2), nothing),
    "x_sample": (lambda: XSample(0.2), closeness),
    "distillation": (lambda: Distillation(D, hidden_dim=8), teacher),
    "distillation_without_teacher": (lambda: Distillation(), nothing),
    "dino": (lambda: DINO(D), teacher),
    "prediction": (lambda: Prediction(), teacher),
    "prediction_variance_covariance": (lambda: Prediction(VarianceCovariance()), nothing),
    "prediction_sigreg": (lambda: Prediction(SIGReg()), nothing),
    "vicreg": (lambda: VICReg(), nothing),
}
# The three ways in which AdaSSL is its parent: no latent, or one that costs nothing and edits nothing.
NO_LATENT: dict[str, Callable[[], nn.Module | None]] = {
    "no_latent": lambda: None,
    "variational": lambda: GaussianLatent(D, latent_dim=R, hidden_dim=8),
    "sparse": lambda: SparseGate(D, latent_dim=R, hidden_dim=8),
}


def views(num_views: int = 3, num_videos: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(num_views, num_videos, D, generator=generator, dtype=torch.float64)


def toy(objective: MVInfoNCE | None = None, beta: float = 0.5) -> AdaSSL:
    torch.manual_seed(0)
    return AdaSSL(objective or MVInfoNCE(0.2), ToyLatent(), ToyEditor(), FixedBeta(beta)).double()


@settings(max_examples=25, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    graph=st.sampled_from(["all", "forward", [(1, 0)]]),
    same_view=st.booleans(),
    temperature=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**31),
)
def test_an_identity_editor_and_no_price_give_mv_infonce_exactly(
    form: tuple[str, str], graph: object, same_view: bool, temperature: float, seed: int
) -> None:
    objective = MVInfoNCE(temperature, graph, form[0], form[1], same_view)
    edited = AdaSSL(objective, ToyLatent().double(), identity, FixedBeta(0.0))
    z, again = views(seed=seed).requires_grad_(), views(seed=seed).requires_grad_()
    total, expected = edited(z).total, objective(again).total
    total.backward()
    expected.backward()
    torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(z.grad, again.grad, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("latent", NO_LATENT)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_without_a_latent_it_is_its_parent(name: str, latent: str) -> None:
    make, given = OBJECTIVES[name]
    z = [views().requires_grad_() for _ in range(2)]
    losses, parameters = [], []
    for model, embeddings in zip(("parent", "adassl"), z, strict=True):
        torch.manual_seed(0)
        objective = make().double()
        parameters.append(list(objective.parameters()))
        step: nn.Module = objective
        if model == "adassl":
            step = AdaSSL(objective, NO_LATENT[latent](), identity, FixedBeta(0.0), normalise=False).double()
        torch.manual_seed(1)  # for objectives that draw
        options = {"generator": torch.Generator()} if model == "adassl" else {}
        losses.append(step(embeddings, **options, **given(embeddings)))
        losses[-1].total.backward()
    torch.testing.assert_close(losses[1].total, losses[0].total, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(z[1].grad, z[0].grad, rtol=1e-9, atol=1e-12)
    for theirs, ours in zip(*parameters, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    assert losses[0].terms.keys() <= losses[1].terms.keys()


def test_the_total_is_the_objective_on_the_predictions_plus_the_mean_price_of_the_pairs() -> None:
    model, z = toy(), views()
    noise = torch.randn(6, 5, R, dtype=torch.float64)
    loss = model(z, noise=noise)
    u = nn.functional.normalize(z, dim=-1)
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    predictions, kls = [], []
    for (left, right), pair_noise in zip(pairs, noise, strict=True):
        q, p = model.latent.posterior(u[left], u[right]), model.latent.prior(u[left])
        predictions.append(model.editor(u[left], q.mean + pair_noise * (q.log_variance / 2).exp()))
        kls.append(kl_divergence(q, p).mean())
    expected = model.objective(z, torch.stack(predictions)).total + 0.5 * torch.stack(kls).mean()
    torch.testing.assert_close(loss.total, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss.terms["kl_nats_per_pair"], torch.stack(kls).detach())
    torch.testing.assert_close(loss.terms["objective"] + loss.terms["penalty"], loss.total.detach())


def test_every_part_is_trained_by_the_total() -> None:
    model, z = toy(), views().requires_grad_()
    model(z).total.backward()
    assert z.grad.abs().sum() > 0
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_posterior_reads_the_future_from_the_inference_view_and_the_prior_reads_each_anchor_once() -> None:
    model, z, inference = toy(MVInfoNCE(0.2, "forward")), views(), views(seed=1)
    model(z, inference)
    unit, unit_inference = (nn.functional.normalize(each, dim=-1) for each in (z, inference))
    torch.testing.assert_close(model.latent.seen["context"], unit[[0, 0, 1]])
    torch.testing.assert_close(model.latent.seen["future"], unit_inference[[1, 2, 2]])
    torch.testing.assert_close(model.latent.seen["prior"], unit[[0, 1]])


@pytest.mark.parametrize(
    ("given", "read"), [({}, "embeddings"), ({"targets"}, "targets"), ({"targets", "inference"}, "inference")]
)
def test_r_is_inferred_from_the_inference_view_else_from_the_teacher_else_from_the_future(
    given: set[str], read: str
) -> None:
    sources = {name: views(seed=seed) for seed, name in enumerate(("embeddings", "targets", "inference"))}
    objective = Distillation(graph="forward")
    model = AdaSSL(objective, ToyLatent(), ToyEditor(), FixedBeta(1.0), normalise=True).double()
    model(sources["embeddings"], **{name: sources[name] for name in given})
    unit = {name: nn.functional.normalize(source, dim=-1) for name, source in sources.items()}
    torch.testing.assert_close(model.latent.seen["context"], unit["embeddings"][[0, 0, 1]])
    torch.testing.assert_close(model.latent.seen["future"], unit[read][[1, 2, 2]])


def test_no_gradient_reaches_the_teacher() -> None:
    model = AdaSSL(Distillation(), ToyLatent(), ToyEditor(), FixedBeta(1.0)).double()
    z, targets = views().requires_grad_(), views(seed=1).requires_grad_()
    model(z, targets=targets).total.backward()
    assert targets.grad is None
    assert z.grad.abs().sum() > 0


def test_targets_of_other_views_are_refused() -> None:
    with pytest.raises(UsageError, match=r"targets of the shape of the embeddings, \(3, 5, 6\), got \(2, 5, 6\)"):
        AdaSSL(Distillation(), ToyLatent(), ToyEditor(), FixedBeta(1.0)).double()(views(), targets=views(2))


def sparse(beta: Beta | None = None, objective: MultiViewObjective | None = None) -> AdaSSL:
    torch.manual_seed(0)
    latent, editor = SparseGate(D, latent_dim=R, hidden_dim=8), LowRankEditor(D, R)
    nn.init.normal_(editor.write.weight)  # away from the identity
    return AdaSSL(objective or MVInfoNCE(0.2), latent, editor, beta or FixedBeta(0.5)).double()


def test_a_sparse_latent_costs_the_gates_that_are_expected_to_be_open() -> None:
    model, z = sparse(), views()
    noise = torch.rand(6, 5, R, dtype=torch.float64)
    loss = model(z, noise=noise)
    u = nn.functional.normalize(z, dim=-1)
    predictions, gates = [], []
    for (left, right), pair_noise in zip(ViewGraph.of("all", 3).pairs, noise, strict=True):
        inferred = model.latent.gates(u[left], u[right])
        is_open = pair_noise > 1 - torch.sigmoid(inferred.logits)
        predictions.append(model.editor(u[left], is_open * inferred.values))
        gates.append(torch.sigmoid(inferred.logits).sum(-1).mean())
    expected = model.objective(z, torch.stack(predictions)).total + 0.5 * torch.stack(gates).mean()
    torch.testing.assert_close(loss.total, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss.terms["open_gates_per_pair"], torch.stack(gates).detach())
    torch.testing.assert_close(loss.terms["open_gates"], torch.stack(gates).mean().detach())
    torch.testing.assert_close(loss.terms["objective"] + loss.terms["penalty"], loss.total.detach())
    assert {"beta", "beta_per_pair"} <= loss.terms.keys()
    assert "kl_nats" not in loss.terms


def test_every_part_of_a_sparse_latent_is_trained_by_the_total() -> None:
    model, z = sparse(), views().requires_grad_()
    model(z).total.backward()
    assert z.grad.abs().sum() > 0
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_budget_of_a_sparse_latent_is_a_number_of_gates() -> None:
    budgets = {"few": InformationBudget(0.5), "many": InformationBudget(2.9)}
    for budget in budgets.values():
        before = budget.weights(6).clone()
        assert 0.5 < sparse(budget).train()(views()).terms["open_gates"] < 2.9
        budget.change = budget.weights(6) - before
    assert (budgets["few"].change > 0).all()
    assert (budgets["many"].change < 0).all()


def test_a_temperature_is_learned_under_the_editor() -> None:
    model = sparse(objective=MVInfoNCE(LearnedTemperature(0.2)))
    model(views()).total.backward()
    assert model.objective.temperature.theta.grad.abs() > 0


def kl_gradient(**options: float) -> tuple[Tensor, Tensor, Tensor]:
    """Penalty, and its gradient for the networks of posterior and prior."""
    torch.manual_seed(0)
    model = AdaSSL(MVInfoNCE(0.2), ToyLatent(), identity, FixedBeta(1.0), **options).double()
    loss = model(views().detach())
    loss.total.backward()
    return loss.terms["penalty"], model.latent.posterior_net.weight.grad, model.latent.prior_net.weight.grad


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
def test_balancing_divides_the_gradient_of_the_kl_and_leaves_its_value(share: float) -> None:
    (plain, to_posterior, to_prior), balanced = kl_gradient(), kl_gradient(kl_balance=share)
    for ours, expected in zip(balanced, (plain, (1 - share) * to_posterior, share * to_prior), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)


def test_balancing_is_the_sum_of_two_divergences_with_stopped_gradients() -> None:
    tensors = [torch.randn(4, R, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    q, p = (tensors[0], tensors[1]), (tensors[2], tensors[3])
    stopped_q, stopped_p = (tuple(part.detach() for part in parts) for parts in (q, p))
    expected = 0.8 * kl_divergence(stopped_q, p) + 0.2 * kl_divergence(q, stopped_p)
    ours = balanced_kl(q, p, 0.8).sum(-1)
    torch.testing.assert_close(ours, expected)
    for left, right in zip(
        torch.autograd.grad(ours.sum(), tensors), torch.autograd.grad(expected.sum(), tensors), strict=True
    ):
        torch.testing.assert_close(left, right)


def test_the_editor_trains_the_posterior_wholly_however_the_kl_is_balanced() -> None:
    gradients = []
    for share in (None, 1.0):
        model = AdaSSL(MVInfoNCE(0.2), ToyLatent(), ToyEditor(), FixedBeta(0.0), kl_balance=share).double()
        model.load_state_dict(toy(beta=0.0).state_dict())
        model(views(), noise=torch.ones(6, 5, R, dtype=torch.float64)).total.backward()
        gradients.append(model.latent.posterior_net.weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


class Told(nn.Module):
    """A posterior of unit variance whose means are given, beside a standard normal prior: KL mean^2 / 2."""

    def __init__(self, *means: float) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.tensor(means, dtype=torch.float64))

    def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
        mean = self.means.expand(*context.shape[:-1], -1)
        return Gaussian(mean, torch.zeros_like(mean))

    def prior(self, context: Tensor) -> Gaussian:
        zero = context.new_zeros(*context.shape[:-1], len(self.means))
        return Gaussian(zero, zero)


def test_nats_below_the_free_ones_have_no_gradient_and_the_controller_sees_them_all() -> None:
    latent, budget = Told(0.4, 2.0, 0.0), InformationBudget(1.0, initial_beta=1.0)
    loss = AdaSSL(MVInfoNCE(0.2), latent, identity, budget, free_nats=0.1)(views())
    loss.total.backward()
    torch.testing.assert_close(latent.means.grad, torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64))
    assert loss.terms["penalty"].item() == pytest.approx(0.1 + 2.0 + 0.1)
    assert loss.terms["kl_nats"].item() == pytest.approx(0.08 + 2.0)
    assert (budget.weights(6) > 1).all()  # 2.08 nats are above the budget


def test_nats_are_free_on_average_over_the_batch_and_not_for_every_video() -> None:
    class Uneven(Told):
        def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
            few = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)[:, None]  # one video of five tells 0.5 nats
            mean = few * self.means.expand(*context.shape[:-1], -1)
            return Gaussian(mean, torch.zeros_like(mean))

    for free, is_charged in ((0.09, True), (0.11, False)):  # around the mean, 0.1
        latent = Uneven(1.0)
        AdaSSL(MVInfoNCE(0.2), latent, identity, FixedBeta(1.0), free_nats=free)(views()).total.backward()
        assert bool(latent.means.grad.abs() > 0) == is_charged


@pytest.mark.parametrize(
    ("latent", "options", "says"),
    [
        (ToyLatent, {"free_nats": -1.0}, "free_nats >= 0"),
        (ToyLatent, {"kl_balance": 1.5}, "kl_balance between 0 and 1"),
        (lambda: SparseGate(D), {"free_nats": 0.1}, "no KL to free or balance"),
        (lambda: SparseGate(D), {"kl_balance": 0.8}, "no KL to free or balance"),
        (lambda: nn.Linear(D, R), {}, "posterior and prior, or gates, got a Linear"),
    ],
)
def test_options_and_latents_that_cannot_work_are_refused(
    latent: Callable[[], nn.Module], options: dict[str, float], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        AdaSSL(MVInfoNCE(0.2), latent(), identity, FixedBeta(1.0), **options)


@pytest.mark.parametrize("latent", [GaussianLatent, SparseGate])
def test_it_trains_a_plain_encoder_without_any_other_part_of_the_package(latent: type[nn.Module]) -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(4, D)
    step = AdaSSL(
        InfoNCE(0.2, "forward"),
        latent(D, latent_dim=R, hidden_dim=16),
        MLPEditor(D, R, hidden_dim=16),
        FixedBeta(0.01),
    )
    optimizer = torch.optim.Adam([*encoder.parameters(), *step.parameters()], 1e-2)
    first, losses = torch.randn(64, 4), []
    for _ in range(60):
        second = first.roll(1, dims=1) * torch.randint(0, 2, (64, 1)).mul(2).sub(1)  # one of two futures
        loss = step(torch.stack([encoder(first), encoder(second)]))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.terms["objective"].item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_scale_of_the_embeddings_does_not_matter() -> None:
    model, noise = toy(), torch.randn(6, 5, R, dtype=torch.float64)
    torch.testing.assert_close(model(1e3 * views(), noise=noise).total, model(views(), noise=noise).total)


def test_the_order_of_the_videos_does_not_matter() -> None:
    model, noise, order = toy(), torch.randn(6, 5, R, dtype=torch.float64), torch.tensor([3, 1, 4, 0, 2])
    moved = model(views()[:, order], noise=noise[:, order]).total
    torch.testing.assert_close(moved, model(views(), noise=noise).total)


def test_the_same_generator_gives_the_same_loss_and_the_next_draw_another() -> None:
    model, z, generator = toy(), views(), torch.Generator().manual_seed(7)
    first, second = model(z, generator=generator).total, model(z, generator=generator).total
    assert model(z, generator=torch.Generator().manual_seed(7)).total == first
    assert second != first


def test_without_a_latent_the_editor_predicts_alone_and_nothing_is_charged() -> None:
    class Predictor(nn.Module):
        def forward(self, state: Tensor, latent: Tensor | None) -> Tensor:
            assert latent is None
            return state.flip(-1)

    objective, z = MVInfoNCE(0.2, [(0, 1)]), views(2)
    loss = AdaSSL(objective, None, Predictor())(z)
    torch.testing.assert_close(loss.total, objective(z, z[:1].flip(-1)).total)
    assert "kl_nats" not in loss.terms


def test_the_price_moves_in_training_only_and_is_kept_in_the_checkpoint() -> None:
    model = AdaSSL(MVInfoNCE(0.2), ToyLatent(), ToyEditor(), InformationBudget(1.0))
    z = views().float()
    before = model.eval()(z).terms["beta_per_pair"]
    assert torch.equal(model(z).terms["beta_per_pair"], before)
    model.train()(z)
    after = model.eval()(z).terms["beta_per_pair"]
    assert not torch.equal(after, before)
    resumed = AdaSSL(MVInfoNCE(0.2), ToyLatent(), ToyEditor(), InformationBudget(1.0))
    resumed.load_state_dict(model.state_dict())
    assert torch.equal(resumed.eval()(z).terms["beta_per_pair"], after)


def test_active_units_counts_the_coordinates_that_tell_something() -> None:
    class OneSpeaks(nn.Module):
        def posterior(self, context: Tensor, future: Tensor) -> Gaussian:
            mean = torch.cat([3 * future[..., :1], torch.zeros_like(future[..., : R - 1])], -1)
            return Gaussian(mean, torch.zeros_like(mean))

        def prior(self, context: Tensor) -> Gaussian:
            zero = torch.zeros_like(context[..., :R])
            return Gaussian(zero, zero)

    assert AdaSSL(MVInfoNCE(0.2), OneSpeaks(), identity, FixedBeta(1.0))(views()).terms["active_units"] == 1


def test_a_step_does_not_ask_a_flow_for_its_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    # They are a hundred draws of it, with their gradients: many times the step.
    def moment(distribution: Transported) -> Tensor:
        raise AssertionError("asked for")

    monkeypatch.setattr(Transported, "mean", property(moment))
    monkeypatch.setattr(Transported, "variance", property(moment))
    ada = AdaSSL(MVInfoNCE(), GaussianLatent(D, latent_dim=R, prior=FlowPrior), MLPEditor(D, R), 0.1)
    assert ada(torch.randn(2, 4, D)).total.isfinite()


def test_terms_are_detached() -> None:
    assert not any(term.requires_grad for term in toy()(views().requires_grad_()).terms.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_step_is_finite_under_bf16_autocast_at_the_smallest_temperature(form: tuple[str, str]) -> None:
    model = toy(MVInfoNCE(0.01, "all", form[0], form[1])).float()
    z = views().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(z)
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.isfinite()
    assert z.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_latent_without_a_price_is_refused() -> None:
    with pytest.raises(UsageError, match="a latent needs a price"):
        AdaSSL(MVInfoNCE(0.2), ToyLatent(), ToyEditor())


def test_inference_views_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"inference alike, got \(3, 5, 6\) and inference \(2, 5, 6\)"):
        toy()(views(), views(2))


@pytest.mark.parametrize("options", [{}, {"free_nats": 0.1, "kl_balance": 0.8}])
@pytest.mark.parametrize("beta", [lambda: FixedBeta(0.5, warmup_steps=10), lambda: InformationBudget(1.0)])
def test_no_step_makes_the_host_wait_for_the_device(beta: Callable[[], Beta], options: dict[str, float]) -> None:
    variational = AdaSSL(MVInfoNCE(0.2), ToyLatent(), ToyEditor(), beta(), **options).double()
    for model in (variational, sparse(beta())):
        z = views().requires_grad_()
        model(z)  # the controller learns how many pairs there are
        with NothingWaits():
            model(z).total.backward()


class Same(nn.Module):
    def forward(self, state: Tensor, latent: Tensor | None) -> Tensor:
        return state


@pytest.mark.parametrize("objective", [MVInfoNCE(), DINO(D), VICReg(), Distillation(D, hidden_dim=8), Prediction()])
def test_the_identity_gives_the_objective_itself_whether_or_not_it_reads_norms(objective: MultiViewObjective) -> None:
    objective.eval()  # DINO's centre stays
    z = 3 * views().float()
    torch.testing.assert_close(AdaSSL(objective, None, Same())(z).total, objective(z).total)


def test_views_that_are_not_present_have_no_part_in_the_cost_of_r() -> None:
    torch.manual_seed(0)
    model = AdaSSL(MVInfoNCE(), GaussianLatent(D, latent_dim=R), MLPEditor(D, R), 0.1)
    z, there = views().float().requires_grad_(), torch.ones(3, 5, dtype=torch.bool)
    there[2, 3:] = False
    noise = torch.randn(6, 5, R)
    loss = model(z, noise=noise, present=there)
    loss.total.backward()
    assert z.grad is not None
    assert z.grad[2, 3:].abs().max() == 0
    elsewhere = torch.where(there[..., None], z.detach(), 7.0)
    again = model(elsewhere, noise=noise, present=there)
    torch.testing.assert_close(again.total, loss.total)
    torch.testing.assert_close(again.terms["kl_nats"], loss.terms["kl_nats"])


@pytest.mark.parametrize(
    ("objective", "beta", "message"),
    [
        (mv_infonce, 0.1, "a multi-view objective like MVInfoNCE"),
        (MVInfoNCE(), "much", "beta as a number or a Beta"),
    ],
)
def test_what_is_no_objective_or_no_price_is_refused(objective: object, beta: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AdaSSL(objective, ToyLatent(), ToyEditor(), beta)  # type: ignore[arg-type]


def test_noise_of_another_shape_is_refused_and_not_spread_out() -> None:
    model = AdaSSL(MVInfoNCE(), GaussianLatent(D, latent_dim=R), MLPEditor(D, R), 0.1)
    with pytest.raises(UsageError, match=r"noise of shape \(P, B, R\)"):
        model(views().float(), noise=torch.randn(R))
