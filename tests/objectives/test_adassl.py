from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives import AdaSSL, FixedBeta, InformationBudget, MVInfoNCE, kl_divergence

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
