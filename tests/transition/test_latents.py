from collections.abc import Callable

import pytest
import torch
from torch import nn

from videossl.errors import UsageError
from videossl.transition import Gates, GaussianLatent, SparseGate, SparseLatent, VariationalLatent
from videossl.transition.distributions import LOG_VARIANCE_LIMIT

D, R = 6, 3


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def latent(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind(D, latent_dim=R, hidden_dim=8)


def test_each_latent_is_of_its_own_kind() -> None:
    assert isinstance(latent(GaussianLatent), VariationalLatent)
    assert not isinstance(latent(GaussianLatent), SparseLatent)
    assert isinstance(latent(SparseGate), SparseLatent)
    assert not isinstance(latent(SparseGate), VariationalLatent)


def test_the_gaussian_latent_starts_with_a_standard_normal_prior_and_a_posterior_that_reads_the_future() -> None:
    net = latent(GaussianLatent)
    prior = net.prior(states(2, 5))
    assert prior.mean.shape == prior.log_variance.shape == (2, 5, R)
    assert not torch.cat(prior).any()
    means = [net.posterior(states(5), states(5, seed=seed)).mean for seed in (1, 2)]
    assert not torch.allclose(*means)


def test_log_variances_stay_in_their_limits_whatever_the_network_says() -> None:
    net = latent(GaussianLatent)
    nn.init.constant_(net.prior_net[-1].bias, 1e4)
    assert (net.prior(states(5)).log_variance == LOG_VARIANCE_LIMIT).all()


def test_a_draw_repeats_with_its_generator() -> None:
    prior = latent(GaussianLatent).prior(states(5))
    first, again = (prior.sample(torch.Generator().manual_seed(seed)) for seed in (7, 7))
    assert torch.equal(first, again)
    assert not torch.equal(first, prior.sample(torch.Generator().manual_seed(8)))


def test_the_first_outputs_of_the_sparse_net_are_the_logits_and_the_last_the_values() -> None:
    net, context, future = latent(SparseGate), states(5), states(5, seed=1)
    gates = net.gates(context, future)
    outputs = net.net(D**0.5 * torch.cat([context, future], dim=-1))
    torch.testing.assert_close(torch.cat(gates, dim=-1), outputs)
    assert gates.logits.shape == gates.values.shape == (5, R)
    assert not torch.allclose(gates.logits, net.gates(context, states(5, seed=2)).logits)


def test_a_drawn_sparse_r_is_zero_or_the_value_and_gates_and_values_get_gradients() -> None:
    logits, values = (torch.randn(50, R, requires_grad=True) for _ in range(2))
    r = Gates(logits, values).sample(torch.Generator().manual_seed(0))
    assert ((r == 0) | (r == values)).all()
    assert 0 < (r == 0).float().mean() < 1
    r.sum().backward()
    torch.testing.assert_close(values.grad, (r != 0).float())
    assert (logits.grad != 0).any()


def test_the_noise_of_the_gates_can_be_given() -> None:
    gates = Gates(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    assert gates.sample(noise=torch.tensor([[0.4, 0.6]])).tolist() == [[0.0, 4.0]]


def test_the_most_likely_r_opens_the_gates_whose_odds_are_above_even() -> None:
    gates = Gates(torch.tensor([-2.0, 0.0, 0.1]), torch.tensor([3.0, 4.0, 5.0]))
    assert gates.most_likely().tolist() == [0.0, 0.0, 5.0]


@pytest.mark.parametrize("kind", [GaussianLatent, SparseGate])
def test_distributions_are_float32_under_autocast(kind: type[nn.Module]) -> None:
    net, context, future = latent(kind), states(5), states(5, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inferred = net.gates(context, future) if kind is SparseGate else net.posterior(context, future)
        drawn = inferred.sample()
    assert {part.dtype for part in (*inferred, drawn)} == {torch.float32}


@pytest.mark.parametrize("make", [lambda: GaussianLatent(D, latent_dim=0), lambda: SparseGate(D, latent_dim=0)])
def test_a_latent_of_no_dimensions_is_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(UsageError, match="latent_dim of at least 1, got 0"):
        make()
