"""Every prior is a distribution: its density integrates to one, its draws follow it, the KL against it is right."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives import AdaSSL, FixedBeta, MVInfoNCE
from videossl.objectives.latent import balanced_kl, estimated_kl
from videossl.transition import (
    DiagonalGaussian,
    FlowMatchingPrior,
    FlowPrior,
    GaussianLatent,
    GaussianPrior,
    MixturePrior,
    MLPEditor,
    SharedMixturePrior,
    StandardNormalPrior,
    kl_per_dimension,
)

D = 6
PRIORS: dict[str, Callable[[int, int], nn.Module]] = {
    "standard normal": StandardNormalPrior,
    "gaussian": partial(GaussianPrior, hidden_dim=8),
    "mixture": partial(MixturePrior, num_components=3, hidden_dim=8),
    "shared mixture": partial(SharedMixturePrior, num_components=3),
    "flow": partial(FlowPrior, num_layers=3, num_bins=4, hidden_dim=8),
    "flow matching": partial(FlowMatchingPrior, num_steps=6, hidden_dim=8),
    "shallow flow matching": partial(FlowMatchingPrior, num_steps=6, hidden_dim=8, num_hidden=1),
}
every_prior = pytest.mark.parametrize("kind", PRIORS)


def states(*shape: int, seed: int = 0) -> Tensor:
    return nn.functional.normalize(torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def prior(kind: str, latent_dim: int) -> nn.Module:
    """Moved away from its start, where it is the same for every context."""
    torch.manual_seed(0)
    made = PRIORS[kind](D, latent_dim).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return made


def grid(latent_dim: int, *, reach: float = 9.0) -> tuple[Tensor, float]:
    """Points (n, R) and the volume that each stands for."""
    axis = torch.linspace(-reach, reach, 1801 if latent_dim == 1 else 181, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim), float(axis[1] - axis[0]) ** latent_dim


@every_prior
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_its_density_integrates_to_one_for_every_context(kind: str, latent_dim: int) -> None:
    points, volume = grid(latent_dim)
    contexts = states(2).double()
    for context in contexts:
        with torch.no_grad():
            density = prior(kind, latent_dim)(context.expand(len(points), -1)).log_prob(points).exp()
        assert float(density.sum()) * volume == pytest.approx(1.0, abs=3e-3)  # the density of a flow has kinks


@every_prior
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_its_draws_mean_and_variance_follow_its_density(kind: str, latent_dim: int) -> None:
    points, volume = grid(latent_dim)
    context = states(1).double()
    net = prior(kind, latent_dim)
    with torch.no_grad():
        density = net(context.expand(len(points), -1)).log_prob(points).exp() * volume
        drawn = net(context.expand(20_000, -1)).sample(torch.Generator().manual_seed(0))
        told = net(context)
    mean = density @ points
    variance = density @ (points - mean).square()
    for got in (drawn.mean(0), told.mean[0]):
        torch.testing.assert_close(got, mean, rtol=0, atol=0.05)
    for got in (drawn.var(0), told.variance[0]):
        torch.testing.assert_close(got, variance, rtol=0.06, atol=0.02)
    # Not only the moments: the share of draws below each of several points, coordinate by coordinate.
    for level in (-1.05, -0.35, 0.25, 0.95):  # between two points of the grid
        expected = (density[:, None] * (points < level)).sum(0)
        torch.testing.assert_close((drawn < level).double().mean(0), expected, rtol=0, atol=0.03)


@every_prior
def test_the_kl_estimate_is_unbiased(kind: str) -> None:
    points, volume = grid(1)
    context = states(1).double()
    posterior = DiagonalGaussian(torch.tensor([[0.4]]).double(), torch.tensor([[-1.0]]).double())
    net = prior(kind, 1)
    with torch.no_grad():
        q = posterior.log_prob(points)
        p = net(context.expand(len(points), -1)).log_prob(points)
        expected = float((q.exp() * (q - p)).sum()) * volume
        many = DiagonalGaussian(*(part.expand(20_000, -1) for part in posterior))
        drawn = many.sample(torch.Generator().manual_seed(0))
        got = estimated_kl(many, net(context.expand(20_000, -1)), drawn)
    assert float(got.mean()) == pytest.approx(expected, abs=4 * float(got.std()) / 20_000**0.5)


@every_prior
def test_a_draw_repeats_with_its_generator_and_differs_between_contexts(kind: str) -> None:
    given = prior(kind, 3)(states(50).double())
    first, again, other = (given.sample(torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == given.mean.shape == given.variance.shape == (50, 3)
    assert given.log_prob(first).shape == (50,)


@every_prior
def test_gradients_of_its_density_are_those_of_differences(kind: str) -> None:
    net = prior(kind, 2)
    r = (0.3 * torch.randn(3, 2, dtype=torch.float64)).requires_grad_()
    context = states(3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: net(given[0]).log_prob(given[1]), (context, r))


@every_prior
def test_a_batch_of_any_shape_is_treated_row_by_row(kind: str) -> None:
    net, contexts = prior(kind, 2), states(2, 5).double()
    r = torch.randn(2, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(net(contexts).log_prob(r)[1, 3], net(contexts[1, 3]).log_prob(r[1, 3]))


@every_prior
def test_in_an_objective_it_learns_and_all_gradients_are_finite(kind: str) -> None:
    torch.manual_seed(0)
    latent = GaussianLatent(D, latent_dim=2, hidden_dim=8, prior=PRIORS[kind])
    step = AdaSSL(MVInfoNCE(graph="forward"), latent, MLPEditor(D, 2, hidden_dim=8), FixedBeta(0.1))
    views = torch.randn(3, 40, D, requires_grad=True)
    loss = step(views)
    loss.total.backward()
    assert loss.terms["kl_nats_per_pair"].shape == (3,)
    gradients = [parameter.grad for parameter in latent.prior_net.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert not gradients or any(gradient.any() for gradient in gradients if gradient is not None)
    assert views.grad is not None
    assert views.grad.isfinite().all()


@every_prior
def test_its_arithmetic_is_float32_under_autocast(kind: str) -> None:
    torch.manual_seed(0)
    net = PRIORS[kind](D, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = net(states(5))
        drawn = given.sample()
        nats = given.log_prob(drawn)
    assert {drawn.dtype, nats.dtype, given.mean.dtype, given.variance.dtype} == {torch.float32}
    assert nats.isfinite().all()


@every_prior
def test_its_weights_are_saved_and_fresh_weights_are_seeded(kind: str) -> None:
    saved, other = prior(kind, 2), PRIORS[kind](D, 2).double().eval()
    other.load_state_dict(saved.state_dict())
    r = torch.randn(5, 2, dtype=torch.float64)
    contexts = states(5).double()
    assert torch.equal(other(contexts).log_prob(r), saved(contexts).log_prob(r))


@pytest.mark.parametrize("share", [None, 0.0, 0.3, 1.0])
def test_the_estimated_kl_of_gaussians_has_the_gradient_of_the_exact_one_whatever_the_balance(
    share: float | None,
) -> None:
    parts = [torch.tensor([[value]], dtype=torch.float64, requires_grad=True) for value in (0.3, -0.5, -0.2, 0.4)]
    q, p = (parts[0], parts[1]), (parts[2], parts[3])
    exact = torch.autograd.grad((kl_per_dimension(q, p) if share is None else balanced_kl(q, p, share)).sum(), parts)
    many_q, many_p = (DiagonalGaussian(*(part.expand(200_000, 1) for part in pair)) for pair in (q, p))
    drawn = many_q.sample(torch.Generator().manual_seed(0))
    estimate = torch.autograd.grad(estimated_kl(many_q, many_p, drawn, share).mean(), parts)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=0.02)


def test_a_shared_mixture_is_the_same_for_every_context_and_starts_at_draws_of_r() -> None:
    net = prior("shared mixture", 2)
    r = torch.randn(7, 2, dtype=torch.float64)
    assert torch.equal(net(states(7).double()).log_prob(r), net(states(7, seed=1).double()).log_prob(r))
    assert isinstance(net, SharedMixturePrior)
    draws = 5 + torch.randn(50, 2, dtype=torch.float64)
    net.standardise(draws)
    _, means, log_variances = net(states(1).double()[0])
    assert all((draws == mean).all(1).any() for mean in means)
    torch.testing.assert_close(log_variances.exp(), (0.5 * draws.var(0)).expand(3, -1))


def test_a_shared_mixture_wants_a_component() -> None:
    with pytest.raises(UsageError, match="num_components of at least 1, got 0"):
        SharedMixturePrior(D, 2, num_components=0)
