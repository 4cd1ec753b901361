import math

import pytest
import torch
import torch.nn.functional as F

from videossl.errors import UsageError
from videossl.objectives import AdaSSL, Distillation, FixedBeta, InformationBudget, MVInfoNCE, Prediction, SIGReg
from videossl.objectives.codes import exact_posterior
from videossl.transition import CodebookLatent, Codes, MLPEditor


def parts(objective=None, beta=None, codes=8, **changes):
    torch.manual_seed(0)
    latent = CodebookLatent(16, num_codes=codes)
    objective = objective or MVInfoNCE(0.1, graph="forward")
    return AdaSSL(objective, latent, MLPEditor(16, codes), beta or InformationBudget(nats=1.4), **changes)


def test_the_exact_posterior_is_the_cheapest_of_all():
    torch.manual_seed(0)
    prior, closeness, beta = torch.randn(2, 3, 5).double(), torch.randn(2, 3, 5).double(), torch.tensor([0.2, 1.0])
    p = torch.log_softmax(prior, -1)

    def price(logits):
        q = torch.log_softmax(logits, -1)
        return -(q.exp() * closeness).sum(-1) + beta[:, None] * (q.exp() * (q - p)).sum(-1)

    best = exact_posterior(prior, closeness, beta.double())
    for _ in range(50):
        assert (price(best) <= price(best + 0.3 * torch.randn_like(best)) + 1e-12).all()


def test_with_a_price_of_one_the_posterior_is_that_of_bayes():
    prior, likelihood = torch.tensor([[[0.5, 0.5]]]).log(), torch.tensor([[[0.9, 0.3]]])
    q = torch.softmax(exact_posterior(prior, likelihood.log(), torch.ones(1)), -1)
    torch.testing.assert_close(q, torch.tensor([[[0.75, 0.25]]]))


def test_draws_of_codes_follow_their_probabilities():
    codes = Codes(torch.tensor([0.5, 0.25, 0.25]).log().expand(40_000, 3))
    drawn = codes.sample(torch.Generator().manual_seed(0))
    assert ((drawn == 0) | (drawn == 1)).all()
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.5, 0.25, 0.25]), atol=0.01, rtol=0)
    torch.testing.assert_close(codes.log_prob(drawn)[drawn[:, 0] == 1][0], torch.tensor(0.5).log())
    torch.testing.assert_close(codes.mean[0], torch.tensor([0.5, 0.25, 0.25]))


def test_draws_pass_gradients_straight_through():
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(6, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((Codes(logits).sample() * weights).sum(), logits)
    (expected,) = torch.autograd.grad((torch.softmax(logits, -1) * weights).sum(), logits)
    torch.testing.assert_close(gradient, expected)


def test_codes_learn_the_branches_of_a_world_and_the_prior_their_frequencies():
    ada = parts(codes=6, beta=InformationBudget(nats=1.25))
    turns = [torch.eye(16).roll(k, 1) for k in (1, 2, 3, 4)]
    shares = torch.tensor([0.4, 0.3, 0.2, 0.1])  # 1.28 nats
    optimizer = torch.optim.AdamW(ada.parameters(), lr=3e-3)
    for _ in range(500):
        context = torch.randn(96, 16)
        branch = torch.multinomial(shares, 96, replacement=True)
        future = torch.stack([context[i] @ turns[b] for i, b in enumerate(branch.tolist())])
        loss = ada(torch.stack([context, future]))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    with torch.no_grad():
        context = F.normalize(torch.randn(500, 16), dim=-1)
        futures = torch.stack([context @ turn for turn in turns], 1)  # (n, M, D)
        samples = torch.stack([ada.editor(context, ada.latent.prior(context).sample()) for _ in range(64)], 1)
        nearest = torch.einsum("nkd,nmd->nkm", F.normalize(samples, dim=-1), futures).argmax(-1)
        frequencies = F.one_hot(nearest, 4).float().mean((0, 1))
        told = torch.stack(
            [ada.editor(context, ada.latent.posterior(context, futures[:, m]).sample()) for m in range(4)], 1
        )
        landed = torch.einsum("nkd,nmd->nkm", F.normalize(told, dim=-1), futures).argmax(-1)
    assert 0.5 * (frequencies - shares).abs().sum() < 0.06
    assert (landed == torch.arange(4)).float().mean() > 0.9
    assert loss.terms["codes_used"] > 3


def test_the_nets_of_the_latent_do_not_move_the_states():
    ada = parts(beta=FixedBeta(0.1))
    views = torch.randn(2, 12, 16, requires_grad=True)
    loss = ada(views, generator=torch.Generator().manual_seed(1))
    (whole,) = torch.autograd.grad(loss.total, views, retain_graph=True)
    drawn = parts(beta=FixedBeta(0.1))
    drawn.latent.prior_net.requires_grad_(False)
    drawn.latent.posterior_net.requires_grad_(False)
    other = drawn(views, generator=torch.Generator().manual_seed(1))
    (without,) = torch.autograd.grad(other.total, views)
    torch.testing.assert_close(whole, without)
    gradients = torch.autograd.grad(loss.total, list(ada.latent.parameters()), allow_unused=False)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_total_is_the_sum_of_its_parts():
    loss = parts(beta=FixedBeta(0.3)).double()(torch.randn(3, 12, 16, dtype=torch.float64))
    assert loss.terms["kl_nats_per_pair"].shape == (3,)
    nets = loss.terms["kl_nats"] + loss.terms["posterior_net_nats"]
    expected = loss.total - loss.terms["objective"] - loss.terms["penalty"] - nets  # less the loss of drawn codes
    assert 0 < expected.abs() < 1
    assert loss.terms["kl_nats"] <= math.log(8)


@pytest.mark.parametrize(
    "objective",
    [MVInfoNCE(0.1), MVInfoNCE(0.1, graph="forward"), Distillation(), Prediction(SIGReg(), 2.0)],
    ids=["all", "forward", "distillation", "prediction"],
)
@pytest.mark.parametrize("taught", [False, True])
def test_the_loss_of_each_guess_is_that_of_the_objective(objective, taught):
    torch.manual_seed(2)
    views, targets = torch.randn(3, 6, 16, dtype=torch.float64), torch.randn(3, 6, 16, dtype=torch.float64)
    pairs = 3 if objective.graph == "forward" else 6
    guesses = torch.randn(2, pairs, 6, 16, dtype=torch.float64)
    takes_targets = not isinstance(objective, MVInfoNCE)
    given = {"targets": targets} if taught and takes_targets else {}
    each = objective.losses(views, guesses, **given)
    assert each.shape == (2, pairs, 6)
    whole = [objective(views, guess, **given) for guess in guesses]
    name = "prediction" if isinstance(objective, Prediction) else None
    for of_guess, loss in zip(each, whole, strict=True):
        value = 2.0 * loss.terms[name] if name else loss.total
        torch.testing.assert_close(of_guess.mean(), value)


def test_the_gradient_is_the_expectation_over_codes():
    ada = parts(beta=FixedBeta(0.5))
    ada.latent.requires_grad_(False)
    views = torch.randn(2, 12, 16, requires_grad=True)
    gradients = [
        torch.autograd.grad(ada(views, generator=torch.Generator().manual_seed(seed)).total, views)[0]
        for seed in range(2)
    ]
    torch.testing.assert_close(*gradients)  # whatever was drawn


@pytest.mark.parametrize(
    "objective",
    [
        MVInfoNCE(0.1, graph="forward", energy="joint"),
        Distillation(graph="forward"),
        Prediction(SIGReg(), graph="forward"),
    ],
)
def test_codes_stand_on_other_objectives(objective):
    given = {} if isinstance(objective, MVInfoNCE) else {"targets": torch.randn(2, 12, 16)}
    loss = parts(objective)(torch.randn(2, 12, 16), **given)
    loss.total.backward()
    assert loss.total.isfinite()


def test_a_view_that_is_missing_has_no_part_in_the_loss():
    torch.manual_seed(4)
    ada, views = parts(beta=FixedBeta(0.3)), torch.randn(2, 6, 16)
    present = torch.ones(2, 6, dtype=torch.bool)
    present[1, 2] = False
    changed = views.clone()
    changed[1, 2] = torch.randn(16)
    one, two = (
        ada(each, generator=torch.Generator().manual_seed(3), present=present).total for each in (views, changed)
    )
    torch.testing.assert_close(one, two)


def test_the_same_generator_draws_the_same_codes():
    views = torch.randn(2, 12, 16)
    one, two = (parts()(views, generator=torch.Generator().manual_seed(3)).total for _ in range(2))
    assert one == two


def test_noise_and_free_nats_are_refused_for_codes():
    with pytest.raises(UsageError, match="codes are drawn"):
        parts()(torch.randn(2, 4, 16), noise=torch.randn(1, 4, 8))
    with pytest.raises(UsageError, match="CodebookLatent has no KL to free"):
        parts(free_nats=0.1)
