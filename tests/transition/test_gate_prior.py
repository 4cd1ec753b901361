"""The prior over gates and values: its masses add up to one, its draws follow it, and gates can exclude each other."""

import pytest
import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives import AdaSSL, FixedBeta, LowRankEditor, MVInfoNCE
from videossl.training.prior_fit import fit_prior
from videossl.training.refit_settings import PriorRefit
from videossl.training.suited_prior import SparseFit, suited_prior
from videossl.transition import FlowPrior, GateMixture, GatePrior, Gates, SparseGate, StandardNormalPrior

D = 6


def states(*shape: int, seed: int = 0) -> Tensor:
    return nn.functional.normalize(torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def prior(latent_dim: int) -> GatePrior:
    torch.manual_seed(0)
    made = GatePrior(D, latent_dim, num_components=3, hidden_dim=8).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return made


def test_what_is_shut_and_what_is_open_add_up_to_one() -> None:
    net, context = prior(2), states(1).double()
    axis = torch.linspace(-9, 9, 400, dtype=torch.float64)  # 0 is none of these
    step = float(axis[1] - axis[0])
    zero = torch.zeros(1, dtype=torch.float64)
    total = 0.0
    for first, first_step in ((zero, 1.0), (axis, step)):
        for second, second_step in ((zero, 1.0), (axis, step)):
            points = torch.cartesian_prod(first, second)
            with torch.no_grad():
                total += (
                    float(net(context.expand(len(points), -1)).log_prob(points).exp().sum()) * first_step * second_step
                )
    assert total == pytest.approx(1.0, abs=1e-3)


def test_draws_are_open_as_often_and_as_large_as_told() -> None:
    given = prior(3)(states(1).double().expand(40_000, -1))
    drawn = given.sample(torch.Generator().manual_seed(0))
    shares = (torch.softmax(given.logits[0], -1)[:, None] * torch.sigmoid(given.gate_logits[0])).sum(0)
    torch.testing.assert_close((drawn != 0).double().mean(0), shares, rtol=0, atol=0.01)
    torch.testing.assert_close(drawn.mean(0), given.mean[0], rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.var(0), given.variance[0], rtol=0.05, atol=0.01)
    assert torch.equal(drawn, given.sample(torch.Generator().manual_seed(0)))


def test_inferred_gates_are_one_component_around_their_values() -> None:
    gates = Gates(torch.tensor([[9.0, -9.0, 0.0]]), torch.tensor([[3.0, 4.0, 5.0]]))
    wide = gates.widened(0.1)
    drawn = torch.stack([wide.sample(torch.Generator().manual_seed(seed)) for seed in range(200)])[:, 0]
    assert (drawn[:, 0] - 3).abs().max() < 0.5
    assert not drawn[:, 1].any()
    assert 0.35 < (drawn[:, 2] != 0).float().mean() < 0.65
    assert wide.log_prob(torch.tensor([[3.0, 0.0, 5.0]])) > wide.log_prob(torch.tensor([[3.5, 0.0, 5.0]]))


def test_a_fitted_prior_knows_that_one_of_two_gates_is_open_and_never_both() -> None:
    class OneOfTwo(SparseGate):
        """The future says which gate is open, and the value behind it."""

        def gates(self, context: Tensor, future: Tensor) -> Gates:
            side = future[..., :1] > 0
            logits = torch.where(side, torch.tensor([8.0, -8.0]), torch.tensor([-8.0, 8.0]))
            return Gates(logits, torch.tensor([2.0, -1.0]).expand_as(logits))

    latent = OneOfTwo(D, latent_dim=2)
    made, named = suited_prior(latent, None, None)
    assert named is not None
    assert named["class_path"] == "videossl.models.GatePrior"
    fit = fit_prior(SparseFit(latent), states(300), states(300, seed=1), PriorRefit(made, max_steps=150))
    assert fit.nats_before is None
    assert fit.is_better
    assert fit.nats_after < 1.5  # log 2 for which, and a little for the values
    assert latent.prior_net is not None
    drawn = latent.prior_net(states(500, seed=2)).sample(torch.Generator().manual_seed(0))
    assert ((drawn != 0).sum(-1) == 1).float().mean() > 0.8  # of independent gates half
    assert "there was none before" in str(fit)


def test_beside_the_training_the_prior_learns_and_nothing_learns_from_it() -> None:
    torch.manual_seed(0)
    latent = SparseGate(D, latent_dim=3, hidden_dim=8, prior=GatePrior)
    step = AdaSSL(MVInfoNCE(graph="forward"), latent, LowRankEditor(D, 3), FixedBeta(0.1))
    nn.init.normal_(step.editor.write.weight)  # type: ignore[union-attr, arg-type]
    views = torch.randn(2, 20, D, requires_grad=True)
    loss = step(views, generator=torch.Generator().manual_seed(0))
    assert loss.terms["prior_nats"] > 0
    loss.total.backward()
    assert latent.prior_net is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in latent.prior_net.parameters())
    with_prior = views.grad.clone()  # type: ignore[union-attr]
    views.grad = None
    latent.prior_net = None
    step(views, generator=torch.Generator().manual_seed(0)).total.backward()
    assert torch.equal(views.grad, with_prior)  # type: ignore[arg-type]


def test_under_autocast_it_stays_in_float32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = GatePrior(D, 3)(states(5))
        drawn = given.sample()
        nats = given.log_prob(drawn)
    assert isinstance(given, GateMixture)
    assert {drawn.dtype, nats.dtype} == {torch.float32}


def test_a_prior_without_components_is_refused() -> None:
    with pytest.raises(ValueError, match="num_components of at least 1, got 0"):
        GatePrior(D, 2, num_components=0)


def test_a_density_is_refused_as_the_prior_of_gates() -> None:
    with pytest.raises(UsageError, match=r"GatePrior as the prior of a SparseGate, got a StandardNormalPrior"):
        SparseGate(D, prior=StandardNormalPrior)
    with pytest.raises(UsageError, match="got a FlowPrior"):
        suited_prior(SparseGate(D), FlowPrior, {"class_path": "videossl.models.FlowPrior"})
    assert suited_prior(SparseGate(D), GatePrior, {}) == (GatePrior, {})
