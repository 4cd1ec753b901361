import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from test_world_model import frames, world_model

from videossl.errors import UsageError
from videossl.models import CodebookLatent, GaussianLatent, MixturePrior, SparseGate, StandardNormalPrior
from videossl.transition.von_mises_fisher import log_normaliser, most_telling_concentration


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("concentration", [0.0, 0.3, 10.0, 300.0])
@pytest.mark.parametrize("dim", [2, 3, 6, 64])
def test_the_normaliser_is_the_mean_over_the_sphere(dim, concentration):
    # Of the cosine c with a fixed direction, the uniform distribution has density (1 - c^2)^((D - 3) / 2); c = cos(a).
    def mean_of(weight):
        return quad(lambda a: weight(math.cos(a)) * math.sin(a) ** (dim - 2), 0, math.pi, epsabs=0, epsrel=1e-11)[0]

    shifted = mean_of(lambda c: math.exp(concentration * (c - 1))) / mean_of(lambda _: 1.0)
    expected = math.log(shifted) + concentration
    assert float(log_normaliser(torch.tensor(concentration, dtype=torch.float64), dim)) == pytest.approx(
        expected, rel=1e-8, abs=1e-10
    )


def test_the_density_of_a_model_integrates_to_one():
    model = world_model(latent_dim=2)
    model.concentration.fill_(4.0)
    context = unit(1, 6).float()
    anywhere = unit(20_000, 6, seed=1).float()
    nats = model.log_prob(context.expand(len(anywhere), -1), anywhere, num_samples=32)
    assert nats.exp().mean() == pytest.approx(1.0, abs=0.05)


def by_draws_of_the_prior(model, contexts, futures):
    """The density, (B,), by so many draws that it needs no weights."""
    samples = model.sample_futures(contexts, num_samples=20_000)[:, :, 0].double()
    kappa = model.concentration.double()
    cosines = torch.einsum("bkd,bd->bk", samples, futures.double())
    return torch.logsumexp(kappa * cosines, 1) - math.log(20_000) - log_normaliser(kappa, 6)


def test_importance_weights_give_what_draws_from_the_prior_give():
    model = world_model(latent_dim=2)
    contexts, futures = unit(5, 6).float(), unit(5, 6, seed=1).float()
    expected = by_draws_of_the_prior(model, contexts, futures)
    torch.testing.assert_close(model.log_prob(contexts, futures, num_samples=20_000), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("prior", [None, StandardNormalPrior, MixturePrior])
def test_a_posterior_that_is_far_too_sure_of_itself_does_not_spoil_the_density(prior):
    model = world_model(latent_dim=2, latent=partial(GaussianLatent, prior=prior))
    with torch.no_grad():
        model.latent.posterior_net[-1].weight[2:] = 0
        model.latent.posterior_net[-1].bias[2:] = -9.0  # log of the variance
    contexts, futures = unit(20, 6).float(), unit(20, 6, seed=1).float()
    expected = by_draws_of_the_prior(model, contexts, futures)
    torch.testing.assert_close(model.log_prob(contexts, futures, num_samples=400), expected, rtol=0, atol=0.4)


def test_the_density_of_a_model_of_codes_is_summed_over_them_exactly():
    model = world_model(latent=lambda dim, latent_dim, hidden_dim: CodebookLatent(dim, num_codes=4, hidden_dim=8))
    contexts, futures = unit(5, 6).float(), unit(5, 6, seed=1).float()
    kappa, nats = model.concentration.double(), 0
    for code in torch.eye(4):
        cosine = (model.transition(contexts, code.expand(5, -1)) * futures).sum(-1).double()
        probability = model.latent.prior(contexts).mean.double() @ code.double()
        nats = nats + probability * torch.exp(kappa * cosine - log_normaliser(kappa, 6))
    torch.testing.assert_close(model.log_prob(contexts, futures, num_samples=1), nats.log(), rtol=0, atol=1e-5)
    posterior, prior = model.latent_distributions(contexts, futures)
    by_draws = torch.stack([posterior.log_prob(r) - prior.log_prob(r) for r in torch.eye(4)[:, None]])
    expected = (posterior.mean.T * by_draws).sum(0)
    torch.testing.assert_close(model.kl_nats(contexts, futures), expected)


def test_more_samples_raise_the_bound():
    model = world_model(latent_dim=3)
    contexts, futures = unit(400, 6).float(), unit(400, 6, seed=1).float()
    few, many = (model.log_prob(contexts, futures, num_samples=k).mean() for k in (1, 64))
    assert many > few


def test_a_deterministic_model_has_the_density_around_its_prediction():
    model = world_model(latent_dim=0)
    contexts = unit(3, 6).float()
    nats = model.log_prob(contexts, model.mean_future(contexts))
    expected = 10 - log_normaliser(torch.tensor(10.0), 6)
    torch.testing.assert_close(nats, expected.expand(3), rtol=0, atol=1e-5)  # predictions are of float32
    assert (model.log_prob(contexts, -model.mean_future(contexts)) < nats).all()


def around(points, kappa, seed):
    """One draw of the von Mises-Fisher density around each of the points (n, 3), where it has a closed form."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(len(points), 1, generator=generator, dtype=torch.float64)
    cosines = 1 + torch.log(uniform + (1 - uniform) * math.exp(-2 * kappa)) / kappa
    across = torch.randn(points.shape, generator=generator, dtype=torch.float64)
    across = F.normalize(across - (across * points).sum(1, keepdim=True) * points, dim=1)
    return cosines * points + (1 - cosines**2).sqrt() * across


def own_first(cosines):
    """Of predictions with all futures (n, n): each with its own future first, then with the others."""
    return torch.stack([row.roll(-number) for number, row in enumerate(cosines)])


def test_the_concentration_of_a_known_density_is_found():
    predictions = unit(800, 3)
    cosines = own_first(predictions @ around(predictions, 25.0, seed=1).T)
    found = most_telling_concentration(cosines[..., None], torch.zeros(800, 800, 1))
    assert found == pytest.approx(25, rel=0.15)


def test_errors_that_lie_in_a_few_of_many_dimensions_do_not_make_a_density_too_sure():
    predictions = F.pad(unit(800, 3), (0, 61))
    futures = F.pad(around(unit(800, 3), 25.0, seed=1), (0, 61))
    found = most_telling_concentration(own_first(predictions @ futures.T)[..., None], torch.zeros(800, 800, 1))
    assert found == pytest.approx(25, rel=0.15)  # by the likelihood in 64 dimensions it would be about 800


def test_futures_that_any_width_tells_apart_get_a_wide_density():
    predictions = torch.eye(16, dtype=torch.float64)
    found = most_telling_concentration(own_first(predictions @ predictions.T)[..., None], torch.zeros(16, 16, 1))
    assert found < 100  # the narrowest has the best score, by next to nothing
    # Of two contexts one is told wrongly, surer of itself the narrower the density is.
    cosines = torch.tensor([[0.9, 0.1], [0.89, 0.9]])[..., None]
    assert most_telling_concentration(cosines, torch.zeros(2, 2, 1)) < 100


def test_a_concentration_is_fitted_among_the_futures_that_are_likest_each_other():
    model = world_model()
    contexts = unit(400, 6).float()
    futures = F.normalize(model.sample_futures(contexts, num_samples=1)[:, 0, 0] + 0.1 * unit(400, 6).float(), dim=-1)
    model.fit_concentration(contexts, futures)
    among_all = float(model.concentration)
    model.fit_concentration(contexts[:128], futures[:128])
    assert among_all > float(model.concentration)


def test_a_fitted_concentration_makes_observed_futures_more_likely():
    model = world_model()
    contexts = unit(50, 6).float()
    futures = F.normalize(model.sample_futures(contexts, num_samples=1)[:, 0, 0] + 0.1 * unit(50, 6).float(), dim=-1)
    before = model.log_prob(contexts, futures).mean()
    model.fit_concentration(contexts, futures)
    assert model.concentration > 10
    assert model.log_prob(contexts, futures).mean() > before
    assert model.state_dict()["concentration"] == model.concentration


def test_weights_without_a_concentration_can_be_loaded():
    model = world_model()
    weights = model.state_dict()
    del weights["concentration"]
    model.load_state_dict(weights)


def test_a_given_latent_steers_the_first_steps():
    model = world_model()
    contexts, futures = frames(2, seed=1), frames(2, seed=2)
    r = model.infer_latent(contexts, futures)
    steered = model.sample_futures(contexts, num_samples=3, horizon=2, latent=r)
    expected = model.transition(model.embed(contexts).embedding, r)
    torch.testing.assert_close(steered[:, :, 0], expected[:, None].expand(-1, 3, -1))
    assert not torch.allclose(steered[:, 0, 1], steered[:, 1, 1])  # the second step is drawn
    both = model.sample_futures(contexts, num_samples=3, horizon=2, latent=torch.stack([r, r], 1))
    torch.testing.assert_close(both[:, 0, 1], model.transition(expected, r))


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 3), (4,), (), (1, 1, 1, 3)])
def test_latents_of_another_shape_are_refused(shape):
    with pytest.raises(UsageError, match="expected latent"):
        world_model().sample_futures(frames(2), num_samples=1, horizon=2, latent=torch.zeros(shape))


def test_one_latent_steers_all_contexts_alike():
    model = world_model()
    r = model.infer_latent(frames(1, seed=1), frames(1, seed=2))  # (1, R)
    contexts = frames(3, seed=3)
    expected = model.sample_futures(contexts, num_samples=1, latent=r.expand(3, -1))
    for one in (r, r[0], r[:, None], r.double()):
        assert torch.equal(model.sample_futures(contexts, num_samples=1, latent=one), expected)
    with pytest.raises(UsageError, match=r"\(R,\) to steer all contexts alike, and R = 3, got a list"):
        model.sample_futures(contexts, num_samples=1, latent=r[0].tolist())


@pytest.mark.parametrize("ask", ["log_prob", "infer_latent", "kl_nats", "fit_concentration", "posterior_futures"])
def test_contexts_without_a_future_each_are_refused(ask):
    options = {"num_samples": 2} if ask == "posterior_futures" else {}
    for given in (frames(3), world_model().embed(frames(3)).embedding):
        with pytest.raises(UsageError, match=r"expected a future for each context, got .3, .*and .2, "):
            getattr(world_model(), ask)(given, given[:2], **options)
    with pytest.raises(UsageError, match="expected frames"):
        getattr(world_model(), ask)(torch.tensor(1.0), torch.tensor(2.0), **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_states_of_another_precision_are_taken_as_the_models(dtype):
    model = world_model()
    context, future = (model.embed(frames(2, seed=seed)).embedding.to(dtype) for seed in (1, 2))
    assert model.infer_latent(context, future).dtype == torch.float32
    sampled = model.sample_futures(context, num_samples=2)
    torch.testing.assert_close(sampled, model.sample_futures(context.float(), num_samples=2))
    assert model.log_prob(context, future).isfinite().all()
    assert model.kl_nats(context, future).isfinite().all()


@pytest.mark.parametrize("num_samples", [0, 2.5, None])
@pytest.mark.parametrize("ask", ["sample_futures", "log_prob", "posterior_futures", "kl_nats", "surprise"])
def test_numbers_of_samples_are_looked_at_before_anything_is_encoded(ask, num_samples, monkeypatch):
    model = world_model()
    monkeypatch.setattr(model.encoder, "forward", lambda clips: pytest.fail("encoded"))
    given = [frames(2)] * (1 if ask == "sample_futures" else 2)
    options = {"num_samples": num_samples}
    if ask == "surprise":
        given, options = [frames(1, 20)[0]], options | {"clip_frames": 4}
    with pytest.raises(UsageError, match=rf"expected num_samples >= 1, got {num_samples}"):
        getattr(model, ask)(*given, **options)


def test_a_model_without_a_latent_cannot_be_steered():
    with pytest.raises(UsageError, match="no latent to steer by"):
        world_model(latent_dim=0).sample_futures(frames(2), num_samples=1, latent=torch.zeros(2, 3))


def test_surprise_is_the_negative_log_density_of_each_clip_after_the_one_before_it():
    model = world_model()
    video = frames(1, 20)[0]
    surprise = model.surprise(video, clip_frames=4, every=3)
    assert surprise.frames.tolist() == [4, 7, 10, 13, 16]
    clips = [video[start : start + 4] for start in (6, 10)]
    third = -model.log_prob(clips[0][None], clips[1][None])
    model_again = model.surprise(video[6:14], clip_frames=4)
    torch.testing.assert_close(model_again.nats, third, rtol=0, atol=1e-4)  # batches of other sizes round otherwise


@pytest.mark.parametrize(
    ("video", "options", "message"),
    [
        (torch.zeros(7, 3, 8, 8, dtype=torch.uint8), {"clip_frames": 4}, "need 8 frames, got a video of 7"),
        (torch.zeros(1, 9, 3, 8, 8, dtype=torch.uint8), {"clip_frames": 4}, "expected a video of shape"),
        (torch.zeros(9, 3, 8, 8, dtype=torch.uint8), {}, "Give clip_frames"),
        (torch.zeros(9, 3, 8, 8, dtype=torch.uint8), {"clip_frames": 4, "every": 0}, "expected every >= 1, got 0"),
        (torch.zeros(9, 3, 8, 8, dtype=torch.uint8), {"clip_frames": 4, "shift": 0}, "expected shift >= 1, got 0"),
        (torch.zeros(9, 3, 8, 8), {"clip_frames": 4}, r"got \(9, 3, 8, 8\) torch.float32. Give colours from 0 to 255"),
        (np.zeros((9, 3, 8, 8), np.uint8), {"clip_frames": 4}, r"got a numpy.ndarray. Give a torch.Tensor"),
        ("x.mp4", {"clip_frames": 4}, "got a str. Decode the file first"),
    ],
)
def test_a_video_that_cannot_be_looked_at_is_refused(video, options, message):
    with pytest.raises(UsageError, match=message):
        world_model().surprise(video, **options)


def test_a_sparse_latent_has_no_density_yet():
    with pytest.raises(UsageError, match="sparse"):
        world_model(latent=SparseGate).log_prob(frames(2), frames(2))
