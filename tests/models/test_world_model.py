from functools import partial

import pytest
import torch
from command_line import REPOSITORY, SMALL, videossl

from videossl.errors import UsageError
from videossl.loading import load
from videossl.models import (
    AdditiveEditor,
    FlowMatchingPrior,
    FlowPrior,
    GatePrior,
    GaussianLatent,
    LowRankEditor,
    MixturePrior,
    MLPEditor,
    MLPProjector,
    SparseGate,
    StandardNormalPrior,
    VideoTransformer,
    WorldModel,
)
from videossl.objectives import AdaSSL, FixedBeta, MVInfoNCE
from videossl.transition import GaussianMixture, kl_divergence


def world_model(latent_dim=3, editor=MLPEditor, pooling="mean", seed=0, latent=GaussianLatent):
    torch.manual_seed(seed)
    model = WorldModel(
        VideoTransformer(width=24, depth=1, num_heads=2, patch_size=4),
        partial(MLPProjector, embedding_dim=6, hidden_dim=16),
        partial(latent, latent_dim=latent_dim, hidden_dim=16) if latent_dim else None,
        editor,
        pooling,
    )
    with torch.no_grad():  # the editor starts as the identity and the prior as the same for all: move them away from it
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def frames(batch=2, length=4, seed=1):
    return torch.randint(
        0, 256, (batch, length, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize(("pooling", "width"), [("mean", 24), ("max", 24), ("last", 24), ("mean_max", 48)])
def test_embed_gives_what_its_docstring_says(pooling, width):
    embeddings = world_model(pooling=pooling).embed(frames(3, 5))
    assert embeddings.representation.shape == (3, width)
    assert embeddings.embedding.shape == (3, 6)
    assert embeddings.frames.shape == (3, 3, 24)
    torch.testing.assert_close(embeddings.embedding.norm(dim=-1), torch.ones(3))


def test_views_are_embedded_as_clips_are():
    model = world_model()
    clips = torch.stack([frames(2, seed=1), frames(2, seed=2)], dim=1)  # (B, V, ...)
    _, embeddings = model.embed_views(clips.float() / 255)
    for view in range(2):
        expected = model.embed(clips[:, view]).embedding
        torch.testing.assert_close(torch.nn.functional.normalize(embeddings[view], dim=-1), expected)


@pytest.mark.parametrize("editor", [MLPEditor, AdditiveEditor])
def test_sampled_futures_are_unit_vectors_and_differ_between_samples_and_steps(editor):
    futures = world_model(editor=editor).sample_futures(frames(), num_samples=5, horizon=3)
    assert futures.shape == (2, 5, 3, 6)
    torch.testing.assert_close(futures.norm(dim=-1), torch.ones(2, 5, 3))
    assert (futures[:, 0] - futures[:, 1]).abs().max() > 1e-3
    assert (futures[:, :, 0] - futures[:, :, 1]).abs().max() > 1e-3


def test_the_same_seed_gives_the_same_futures_whatever_was_drawn_before():
    model = world_model()
    first = model.sample_futures(frames(), num_samples=4, seed=7)
    torch.randn(100)
    assert torch.equal(first, model.sample_futures(frames(), num_samples=4, seed=7))
    assert not torch.equal(first, model.sample_futures(frames(), num_samples=4, seed=8))


@pytest.mark.parametrize("prior", [None, MixturePrior, FlowPrior])
def test_what_else_is_in_the_batch_changes_no_future(prior):
    model = world_model(latent=partial(GaussianLatent, prior=prior))
    states = torch.nn.functional.normalize(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    together = model.sample_futures(states, num_samples=4, horizon=2, seed=7)
    torch.testing.assert_close(model.sample_futures(states[:2], num_samples=4, horizon=2, seed=7), together[:2])
    others = torch.cat([states[:2], states.flip(0)])
    torch.testing.assert_close(model.sample_futures(others, num_samples=4, horizon=2, seed=7)[:2], together[:2])
    twice = model.sample_futures(states[:1].expand(2, -1), num_samples=4)
    assert not torch.allclose(twice[0], twice[1])  # as many draws of one context as are asked for


@pytest.mark.parametrize(
    "latent",
    [
        *(
            partial(GaussianLatent, prior=prior)
            for prior in (None, StandardNormalPrior, MixturePrior, FlowPrior, partial(FlowMatchingPrior, num_steps=2))
        ),
        partial(SparseGate, prior=GatePrior),
    ],
)
def test_stratified_futures_of_any_prior_are_seeded_and_do_not_depend_on_the_batch(latent):
    model = world_model(latent=latent)
    assert model.stratifies
    states = torch.nn.functional.normalize(torch.randn(3, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    spread = model.sample_futures(states, num_samples=5, horizon=2, seed=7, stratified=True)
    assert spread.shape == (3, 5, 2, 6)
    torch.testing.assert_close(spread.norm(dim=-1), torch.ones(3, 5, 2))
    assert not torch.equal(spread, model.sample_futures(states, num_samples=5, horizon=2, seed=7))
    again = model.sample_futures(states[:1], num_samples=5, horizon=2, seed=7, stratified=True)
    torch.testing.assert_close(again, spread[:1])


def test_stratified_futures_of_a_deterministic_model_are_its_one():
    model = world_model(latent_dim=0)
    assert not model.stratifies
    samples = model.sample_futures(frames(), num_samples=3, stratified=True)[:, :, 0]
    torch.testing.assert_close(samples, model.mean_future(frames())[:, None].expand(-1, 3, -1))


def test_a_prior_that_cannot_stratify_says_so_in_one_line():
    class Told:
        def __init__(self, inner):
            self.sample, self.log_prob, self.mean, self.variance = inner.sample, inner.log_prob, 0.0, 1.0

    class Own(MixturePrior):
        def forward(self, context):
            return Told(super().forward(context))

    model = world_model(latent=partial(GaussianLatent, prior=Own))
    assert not model.stratifies
    assert model.sample_futures(frames(), num_samples=2).isfinite().all()
    with pytest.raises(UsageError, match=r"stratified_sample, Told has none\. Leave stratified out"):
        model.sample_futures(frames(), num_samples=2, stratified=True)


def test_a_state_and_its_frames_have_the_same_futures():
    model = world_model()
    state = model.embed(frames()).embedding
    torch.testing.assert_close(
        model.sample_futures(state, num_samples=2), model.sample_futures(frames(), num_samples=2)
    )


def test_samples_of_a_deterministic_model_are_all_its_mean():
    model = world_model(latent_dim=0)
    samples = model.sample_futures(frames(), num_samples=3)[:, :, 0]
    torch.testing.assert_close(samples, model.mean_future(frames())[:, None].expand(-1, 3, -1))


def test_without_an_editor_nothing_changes():
    model = world_model(latent_dim=0, editor=None)
    torch.testing.assert_close(model.mean_future(frames()), model.embed(frames()).embedding)


def test_sampling_futures_never_calls_the_posterior(monkeypatch):
    model = world_model()
    monkeypatch.setattr(model.latent, "posterior", lambda *_: pytest.fail("the posterior was called"))
    model.sample_futures(frames(), num_samples=2, horizon=2)
    model.mean_future(frames())


def test_a_changed_future_frame_changes_no_context_embedding():
    model = world_model()
    video = torch.cat([frames(seed=1), frames(seed=2)], dim=1)
    changed = video.clone()
    changed[:, 4:] = 0
    embedded = [
        model.embed_views(torch.stack([v[:, :4], v[:, 4:]], dim=1).float() / 255)[1][0] for v in (video, changed)
    ]
    assert torch.equal(*embedded)


def test_inferred_latents_depend_on_the_future():
    model = world_model()
    latent = model.infer_latent(frames(seed=1), frames(seed=2))
    assert latent.shape == (2, 3)
    assert not torch.allclose(latent, model.infer_latent(frames(seed=1), frames(seed=3)))


def test_reinitialised_weights_are_new_and_seeded():
    model = world_model()
    weights = [model.reinitialised(seed).state_dict() for seed in (1, 1, 2)]
    matrix = "encoder.blocks.0.mlp.0.weight"
    assert torch.equal(weights[0][matrix], weights[1][matrix])
    assert not torch.equal(weights[0][matrix], weights[2][matrix])
    assert not torch.equal(weights[0][matrix], model.state_dict()[matrix])
    assert not weights[0]["editor.net.6.weight"].any()  # starts as the identity again


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.embed(frames()[0]), r"expected frames of shape \(B, T, 3, H, W\) uint8"),
        (lambda m: m.embed(frames()[0]), r"A single clip needs a leading axis: frames\[None\]"),
        (lambda m: m.embed(frames().float()), "uint8, got .* torch.float32. Give colours from 0 to 255 as uint8.$"),
        (lambda m: m.embed(frames().numpy()), r"got a numpy.ndarray\. Give a torch.Tensor"),
        (lambda m: m.embed(frames()[:0]), "Give at least one of each axis: B >= 1 clips"),
        (lambda m: m.tokens(frames()[0, 0]), "Give 5 axes"),
        (lambda m: m.mean_future("x.mp4"), "in a torch.Tensor, got a str"),
        (lambda m: m.infer_latent(frames().numpy(), frames()), r"got a numpy\.ndarray"),
        (lambda m: m.sample_futures(frames(), num_samples=0), "num_samples >= 1"),
        (lambda m: m.sample_futures(frames(), num_samples=1, horizon=0), "horizon >= 1"),
        (
            lambda m: m.sample_futures(frames(), num_samples=1, seed=-1),
            "expected a seed from 0 to 9223372036854775807, got",
        ),
        (lambda m: m.log_prob(frames(), frames(), seed=2**70), "expected a seed from 0 to 9223372036854775807, got"),
        (lambda m: m.kl_nats(frames(), frames(), seed=1.5), "expected a seed from 0 to 9223372036854775807, got"),
        (lambda m: m.sample_futures(torch.zeros(2, 5), num_samples=1), r"states of shape \(B, 6\)"),
    ],
)
def test_wrong_use_says_what_was_wanted(call, says):
    with pytest.raises(ValueError, match=says):
        call(world_model())


def test_a_latent_without_an_editor_is_refused():
    with pytest.raises(ValueError, match=r"Add model.editor"):
        world_model(editor=None)


def test_a_model_without_a_latent_has_none_to_infer():
    with pytest.raises(ValueError, match="no latent"):
        world_model(latent_dim=0).infer_latent(frames(), frames())


def sparse_world_model():
    return world_model(latent=SparseGate, editor=LowRankEditor)


def test_a_sparse_latent_is_zero_or_the_value_behind_its_gate():
    model = sparse_world_model()
    state, future = (model.embed(frames(16, seed=seed)).embedding for seed in (1, 2))
    r, gates = model.infer_latent(state, future), model.latent.gates(state, future)
    torch.testing.assert_close(r, torch.where(gates.logits > 0, gates.values, 0.0))
    assert 0 < (r == 0).float().mean() < 1
    torch.testing.assert_close(r, model.infer_latent(frames(16, seed=1), frames(16, seed=2)))


def test_futures_predicted_with_a_sparse_latent_that_has_seen_them_differ_by_their_gates():
    model = sparse_world_model()
    futures = model.posterior_futures(frames(seed=1), frames(seed=2), num_samples=20)
    assert futures.shape == (2, 20, 6)
    torch.testing.assert_close(futures.norm(dim=-1), torch.ones(2, 20))
    assert 1 < len(futures[0].unique(dim=0)) <= 2**3


@pytest.mark.parametrize(
    "foresee",
    [
        lambda m: m.sample_futures(frames(), num_samples=2),
        lambda m: m.mean_future(frames()),
        lambda m: m.latent_distributions(m.embed(frames()).embedding, m.embed(frames()).embedding),
        lambda m: m.check_prior(),
    ],
)
def test_a_sparse_latent_says_in_one_line_that_it_cannot_foresee(foresee):
    with pytest.raises(UsageError, match=r"sparse and has no prior.*Ask embed or infer_latent") as error:
        foresee(sparse_world_model())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("latent", "editor"), [(GaussianLatent, MLPEditor), (SparseGate, LowRankEditor)])
def test_every_weight_of_a_model_with_a_latent_is_trained(latent, editor):
    model = world_model(latent=latent, editor=editor).train()
    clips = torch.stack([frames(4, seed=1), frames(4, seed=2)], dim=1).float() / 255
    step = AdaSSL(MVInfoNCE(), model.latent, model.editor, FixedBeta(0.1))
    step(model.embed_views(clips)[1]).total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    "prior", [MixturePrior, FlowPrior, partial(FlowMatchingPrior, num_steps=2), StandardNormalPrior]
)
def test_with_any_prior_it_foresees_infers_and_is_steered(prior):
    model = world_model(latent=partial(GaussianLatent, prior=partial_prior(prior)))
    contexts, futures = frames(3, seed=1), frames(3, seed=2)
    samples = model.sample_futures(contexts, num_samples=4, horizon=2, seed=1)
    assert samples.shape == (3, 4, 2, 6)
    assert torch.equal(samples, model.sample_futures(contexts, num_samples=4, horizon=2, seed=1))
    assert model.mean_future(contexts).shape == (3, 6)
    states = [model.embed(clip).embedding for clip in (contexts, futures)]
    assert model.kl_nats(*states).isfinite().all()
    assert model.log_prob(contexts, futures, num_samples=8).isfinite().all()
    r = model.infer_latent(contexts, futures)
    steered = model.sample_futures(contexts, num_samples=2, latent=r)
    # Rows of one product may round apart, by the number of threads.
    torch.testing.assert_close(steered[:, 0], steered[:, 1], rtol=0, atol=1e-6)
    posterior, told = model.latent_distributions(*states)
    assert told.variance.shape == posterior.mean.shape


def partial_prior(prior):
    return prior if prior is StandardNormalPrior else partial(prior, hidden_dim=8)


def test_a_sparse_model_with_a_prior_foresees():
    model = world_model(latent=partial(SparseGate, prior=partial(GatePrior, hidden_dim=8)), editor=LowRankEditor)
    assert model.foresees
    samples = model.sample_futures(frames(), num_samples=30, horizon=2)
    assert samples.shape == (2, 30, 2, 6)
    assert (samples[:, 0] - samples[:, 1]).abs().max() > 1e-3
    assert model.log_prob(frames(seed=1), frames(seed=2)).isfinite().all()
    states = [model.embed(frames(seed=seed)).embedding for seed in (1, 2)]
    assert all(given.variance.isfinite().all() for given in model.latent_distributions(*states))


def test_the_kl_of_gaussians_is_exact_and_of_a_mixture_an_estimate_of_the_same():
    model = world_model()
    states = [model.embed(frames(20, seed=seed)).embedding for seed in (1, 2)]
    torch.testing.assert_close(model.kl_nats(*states), kl_divergence(*model.latent_distributions(*states)))

    class OneGaussian(MixturePrior):
        def forward(self, context):
            return GaussianMixture(torch.zeros(*context.shape[:-1], 1), *(x[..., None, :] for x in given(context)))

    given = model.latent.prior_net
    expected = model.kl_nats(*states)
    model.latent.prior_net = OneGaussian(6, 3)
    torch.testing.assert_close(model.kl_nats(*states, num_samples=4000), expected, rtol=0.1, atol=0.05)


def test_a_sparse_model_is_trained_from_the_command_line_and_gets_a_prior_to_foresee_with(small_world, tmp_path):
    run, config = tmp_path / "sparse", REPOSITORY / "configs/pretrain/quickstart.yaml"
    parts = ("--model.latent", "videossl.models.SparseGate", "--model.editor", "videossl.models.LowRankEditor")
    done = videossl("pretrain", "--config", config, "--data.videos", small_world, "--out", run, *SMALL, *parts)
    assert done.returncode == 0, done.stderr
    assert "train/open_gates_per_pair/0" in (run / "metrics.csv").read_text().splitlines()[0]
    model = load(run)
    assert isinstance(model.latent, SparseGate)
    assert model.embed(torch.zeros(1, 4, 3, 48, 48, dtype=torch.uint8)).embedding.shape == (1, 64)
    assert isinstance(model.latent.prior_net, GatePrior)
    assert model.foresees
    assert model.sample_futures(torch.zeros(2, 4, 3, 48, 48, dtype=torch.uint8), num_samples=3).shape == (2, 3, 1, 64)
