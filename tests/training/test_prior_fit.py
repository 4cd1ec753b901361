from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from videossl.errors import UsageError
from videossl.models import (
    CodebookLatent,
    FlowMatchingPrior,
    FlowPrior,
    GaussianLatent,
    MixturePrior,
    SharedMixturePrior,
    StandardNormalPrior,
)
from videossl.training.prior_fit import fit_prior, mean_nats
from videossl.training.refit_settings import PriorRefit
from videossl.training.suited_prior import suited_prior

D, R = 6, 2
QUICK = PriorRefit(partial(MixturePrior, num_components=4, hidden_dim=16), max_steps=300, batch_size=128)


def latent() -> GaussianLatent:
    """Its posterior reads which of two ways the future took; its prior knows nothing."""
    torch.manual_seed(0)
    made = GaussianLatent(D, latent_dim=R, hidden_dim=16)
    with torch.no_grad():
        made.posterior_net[-1].bias[R:] -= 3.0
    return made


def pairs(n: int = 400, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    contexts = normalize(torch.randn(n, D, generator=generator), dim=-1)
    ways = torch.randint(0, 2, (n, 1), generator=generator) * 2 - 1
    return contexts, normalize(contexts + 2 * ways * torch.eye(D)[0], dim=-1)


def test_a_mixture_that_is_fitted_tells_the_two_ways_apart_on_pairs_it_has_not_seen() -> None:
    made = latent()
    posterior = {name: weight.clone() for name, weight in made.posterior_net.state_dict().items()}
    others = pairs(seed=1)
    before = mean_nats(made, made.prior_net, *others, seed=0)
    fit = fit_prior(made, *pairs(), QUICK)
    assert fit.is_better
    assert fit.nats_after < fit.nats_before - 0.5
    assert mean_nats(made, made.prior_net, *others, seed=0) < before - 0.5
    assert isinstance(made.prior_net, MixturePrior)
    assert all(torch.equal(weight, posterior[name]) for name, weight in made.posterior_net.state_dict().items())
    assert str(fit) == (
        f"prior MixturePrior: {fit.nats_after:.3f} nats on 40 kept-out pairs after the fit, "
        f"{fit.nats_before:.3f} before (lower is better): kept"
    )


def test_a_prior_that_is_not_better_is_dropped() -> None:
    made = latent()
    fit_prior(made, *pairs(), QUICK)
    known = made.prior_net
    fit = fit_prior(made, *pairs(), PriorRefit(QUICK.prior, max_steps=1))
    assert not fit.is_better
    assert made.prior_net is known
    assert str(fit).endswith("the one before is kept")


@pytest.mark.parametrize("kind", [FlowPrior, FlowMatchingPrior])
def test_flows_are_fitted_too_wherever_the_latent_lies(kind: Callable[[int, int], nn.Module]) -> None:
    made = latent()
    with torch.no_grad():
        made.posterior_net[-1].bias[:R] += 5.0
    fit = fit_prior(made, *pairs(200), PriorRefit(partial(kind, hidden_dim=16), max_steps=100, batch_size=64))
    assert fit.nats_after < 3


def test_without_a_class_the_prior_goes_on_from_its_weights() -> None:
    made = latent()
    kind = type(made.prior_net)
    fit = fit_prior(made, *pairs(), PriorRefit(None, max_steps=200))
    assert fit.is_better
    assert type(made.prior_net) is kind


def test_the_prior_of_codes_is_fitted_too() -> None:
    torch.manual_seed(0)
    made = CodebookLatent(D, num_codes=3, hidden_dim=16)
    with torch.no_grad():
        made.posterior_net[-1].bias += torch.tensor([4.0, 0.0, 0.0])
    fit = fit_prior(made, *pairs(), PriorRefit(max_steps=200, learning_rate=1e-2))
    assert fit.is_better
    assert made.prior(pairs()[0]).mean[:, 0].mean() > 0.9
    assert suited_prior(made, None, None) == (None, None)
    with pytest.raises(UsageError, match="Leave refit"):
        suited_prior(made, MixturePrior, None)


def test_a_gaussian_latent_gets_a_mixture_unless_it_was_trained_with_another_prior_or_another_is_asked_for() -> None:
    made, named = suited_prior(latent(), None, None)
    assert made is not None
    assert isinstance(made(D, R), MixturePrior)
    assert named is not None
    assert named["class_path"] == "videossl.models.MixturePrior"
    for prior in (StandardNormalPrior, SharedMixturePrior):  # the same for all contexts
        of_each, _ = suited_prior(GaussianLatent(D, prior=prior), None, None)
        assert of_each is not None
        assert isinstance(of_each(D, R), MixturePrior)
    assert suited_prior(GaussianLatent(D, prior=FlowPrior), None, None) == (None, None)
    asked = {"class_path": "videossl.models.FlowPrior"}
    assert suited_prior(latent(), FlowPrior, asked) == (FlowPrior, asked)


def test_a_prior_in_which_nothing_can_be_fitted_is_left_as_it_is() -> None:
    fit = fit_prior(latent(), *pairs(), PriorRefit(prior=StandardNormalPrior))
    assert fit.steps == 0


def test_the_same_seed_fits_the_same_prior_and_leaves_the_draws_of_others_alone() -> None:
    fitted = []
    torch.manual_seed(3)
    expected = torch.rand(3)
    for _ in range(2):
        made = latent()
        torch.manual_seed(3)
        fit_prior(made, *pairs(), PriorRefit(QUICK.prior, max_steps=60))
        assert torch.equal(torch.rand(3), expected)
        fitted.append(made.prior_net.state_dict())
    assert all(torch.equal(weight, fitted[1][name]) for name, weight in fitted[0].items())


def test_pairs_of_one_video_are_fitted_on_or_kept_out_together() -> None:
    videos = torch.arange(100).repeat(4)
    fit = fit_prior(latent(), *pairs(), PriorRefit(QUICK.prior, max_steps=1), videos=videos)
    assert (fit.num_pairs, fit.num_kept_out) == (336, 64)  # of 100 videos at least 16 are kept out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((torch.zeros(3, D), torch.zeros(3, D)), "at least 16 videos to fit a prior on, got 3"),
        ((torch.zeros(30, D), torch.zeros(20, D)), "expected contexts and futures"),
    ],
)
def test_too_few_or_ill_matched_pairs_are_refused(arguments: tuple[Tensor, Tensor], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fit_prior(latent(), *arguments)


@pytest.mark.parametrize("setting", [{"max_steps": 0}, {"kept_out_share": 1.0}, {"weight_decay": -1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        PriorRefit(**setting)  # type: ignore[arg-type]
