import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from videossl.transition import expected_open_gates, gate_sample, gaussian_sample, kl_divergence


def gaussian(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, 4, generator=generator, dtype=torch.float64), torch.randn(3, 5, 4, generator=generator)


def test_the_kl_is_that_of_torch_distributions_summed_over_the_latent() -> None:
    q, p = gaussian(0), gaussian(1)
    expected = torch_kl(Normal(q[0], (q[1] / 2).exp()), Normal(p[0], (p[1] / 2).exp())).sum(-1)
    torch.testing.assert_close(kl_divergence(q, p), expected, rtol=1e-5, atol=1e-6)
    assert kl_divergence(q, p).shape == (3, 5)


def test_the_kl_of_nearly_equal_gaussians_keeps_its_digits_in_float32() -> None:
    # 0.25 d^2 for log-variances that differ by d; the textbook order of terms gives 0 or less.
    small = torch.full((1, 1), 1e-4)
    zero = torch.zeros(1, 1)
    assert kl_divergence((zero, small), (zero, zero)).item() == pytest.approx(0.25e-8, rel=0.1)


def test_samples_have_the_mean_and_spread_asked_and_repeat_with_their_generator() -> None:
    mean, log_variance = torch.full((20_000, 1), 2.0), torch.full((20_000, 1), -1.0)
    draws = [gaussian_sample(mean, log_variance, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    assert torch.equal(*draws)
    assert draws[0].mean().item() == pytest.approx(2.0, abs=0.02)
    assert draws[0].std().item() == pytest.approx(torch.tensor(-0.5).exp().item(), rel=0.02)


def test_gates_are_zero_or_one_and_open_as_often_as_their_odds_say() -> None:
    logits = torch.tensor([-2.0, 0.0, 1.0]).expand(20_000, 3)
    gates = gate_sample(logits, generator=torch.Generator().manual_seed(0))
    assert set(gates.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(gates.mean(0), torch.sigmoid(logits[0]), rtol=0, atol=0.01)
    torch.testing.assert_close(gates.sum(-1).mean(), expected_open_gates(logits)[0], rtol=0, atol=0.02)


def test_an_absurd_log_variance_stays_finite() -> None:
    absurd = (torch.zeros(2, 3), torch.full((2, 3), 1e6))
    assert kl_divergence(absurd, (torch.zeros(2, 3), torch.full((2, 3), -1e6))).isfinite().all()
    assert gaussian_sample(*absurd).isfinite().all()
