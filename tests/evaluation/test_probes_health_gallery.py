"""Probes of a model, collapse health and gallery: each against something known."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from fake_models import D, KnowingModel, M, little_probe, little_world, real_video, unit

from videossl.evaluation.gallery import gallery, principal_plane, write_gallery
from videossl.evaluation.health import active_units, health
from videossl.evaluation.latents import kl_per_unit, latents
from videossl.evaluation.predictors import prior_samples
from videossl.evaluation.probes import probe_features, probes
from videossl.evaluation.space import embed_space
from videossl.transition import Codes


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_few_clips_are_not_probed_and_said_so():
    model = KnowingModel()
    entries, skipped = probes(model, model.reinitialised(0), little_probe(20), seed=0)
    assert entries == []
    assert skipped[0].startswith("probes: they need at least 40 clips")


def test_kl_is_that_of_torch():
    mean, log_variance, prior_mean, prior_log_variance = noise(4, 7, 3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()),
        torch.distributions.Normal(prior_mean, (0.5 * prior_log_variance).exp()),
    )
    torch.testing.assert_close(kl_per_unit(mean, log_variance, prior_mean, prior_log_variance), expected)


def test_active_units_are_those_with_a_mean_divergence():
    assert active_units(torch.tensor([[0.0, 0.02, 0.5], [0.01, 0.02, 0.0]])) == 2


class DeadLatent(KnowingModel):
    def latent_distributions(self, context, future):
        _, prior = super().latent_distributions(context, future)
        return prior, prior

    def posterior_futures(self, context, future, *, num_samples, seed=0):
        return self.sample_futures(context, num_samples=num_samples, seed=seed)[:, :, 0]


def test_a_dead_latent_is_said_aloud():
    model, held_out = DeadLatent(), little_world()
    found = health(model, embed_space(model, held_out, "run"), posterior_branch_accuracy=0.2, num_samples=64, seed=0)
    assert found["warnings"][0].startswith("The latent is dead (KL 0.000 nats)")
    assert (found["kl_nats"], found["active_units"]) == (0, 0)
    assert found["posterior_prior_gap"] == pytest.approx(0, abs=0.1)
    assert found["posterior_branch_accuracy"] == 0.2


class CodedLatent(KnowingModel):
    """Its codes, nearly as likely with the future seen as without."""

    def latent_distributions(self, context, future):
        logits = noise(len(context), 16)
        return Codes(logits + 0.01 * noise(len(context), 16, seed=1)), Codes(logits)


def test_the_divergence_of_codes_is_exact():
    model, states = CodedLatent(), unit(noise(40, D))
    posterior, prior = model.latent_distributions(states, states)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=posterior.logits), torch.distributions.Categorical(logits=prior.logits)
    )
    torch.testing.assert_close(latents(model, states, states, seed=0).kl, expected, atol=1e-6, rtol=1e-3)


class BelowZero(NamedTuple):
    """A distribution by whose draws the KL comes out below zero."""

    mean: torch.Tensor
    offset: float

    @property
    def variance(self):
        return torch.ones_like(self.mean)

    def sample(self, generator=None):
        return self.mean

    def log_prob(self, latent):
        return torch.full_like(latent[:, 0], self.offset)


class NearlyDead(DeadLatent):
    def latent_distributions(self, context, future):
        return BelowZero(torch.zeros_like(context), -0.0003), BelowZero(torch.zeros_like(context), 0.0)


def test_no_divergence_is_reported_below_zero():
    model, held_out = NearlyDead(), little_world()
    found = health(model, embed_space(model, held_out, "run"), posterior_branch_accuracy=0.2, num_samples=4, seed=0)
    assert found["kl_nats"] == 0
    assert "(KL 0.000 nats)" in found["warnings"][0]
    assert probe_features(model, held_out.probe, seed=0)[1] == 0


@pytest.fixture(scope="module")
def shown():
    held_out, model = little_world(), KnowingModel()
    space = embed_space(model, held_out, "run")
    _, scored = held_out.tuning_split(0)
    samples = prior_samples(model, space.contexts[scored], num_samples=16, seed=0)
    return held_out, space, samples, scored, gallery(held_out, space, samples, scored)


def test_gallery_shows_the_first_scored_contexts(shown):
    held_out, _, _, scored, arrays = shown
    assert arrays["context"].shape == arrays["observed"].shape == (12, 2, 8, D, 3)
    assert arrays["names"].tolist() == [held_out.names[row] for row in scored[:12].tolist()]
    assert np.array_equal(arrays["context"][0], held_out.contexts[scored[0]].permute(0, 2, 3, 1).numpy())


def test_gallery_shows_for_each_sample_the_nearest_branch_of_a_model_that_knows(shown):
    _, space, samples, scored, arrays = shown
    assert arrays["nearest"].shape == (12, 8, 2, 8, D, 3)
    assert (arrays["nearest_kind"] == 0).all()
    nearest_branch = (samples[0, 0] @ space.branches[scored[0]].T).argmax()
    assert np.array_equal(arrays["nearest"][0, 0], arrays["branches"][0, nearest_branch])
    assert arrays["branch_hits"].shape == (12, M)
    assert (arrays["branch_hits"].sum(axis=1) == 16).all()


def test_gallery_says_when_the_nearest_clip_is_a_decoy_or_of_another_context(shown):
    held_out, space, samples, scored, _ = shown
    strange = samples.clone()
    strange[0, 0] = space.decoys[scored[0], 1]
    strange[0, 1] = space.futures[scored[5]]
    arrays = gallery(held_out, space, strange, scored)
    assert arrays["nearest_kind"][0, :3].tolist() == [1, 2, 0]


def test_gallery_of_real_video_has_no_branches_and_labels_the_map_by_video():
    held_out, model = real_video(), KnowingModel()
    space = embed_space(model, held_out, "run")
    scored = torch.arange(16, 64)
    arrays = gallery(held_out, space, space.futures[scored][:, None], scored)
    assert arrays["branches"].size == arrays["branch_hits"].size == 0
    assert arrays["nearest"].shape[1] == 1
    assert (arrays["nearest_kind"] == 0).all()
    assert str(arrays["map_label_name"]) == "video"
    assert np.array_equal(arrays["map_label"], held_out.videos.numpy())


def test_gallery_file_is_read_without_pickle(shown, tmp_path):
    arrays = shown[-1]
    write_gallery(tmp_path / "gallery.npz", arrays)
    with np.load(tmp_path / "gallery.npz", allow_pickle=False) as read:
        assert all(np.array_equal(read[name], array) for name, array in arrays.items())


def test_the_map_is_the_plane_of_most_variance():
    flat = torch.cat([noise(300, 2) * torch.tensor([5.0, 2.0]), 0.1 * noise(300, 6, seed=1)], dim=1)
    plane = principal_plane(flat)
    assert plane.shape == (300, 2)
    correlation = torch.corrcoef(torch.cat([plane, flat[:, :2]], dim=1).T).abs()
    assert min(correlation[0, 2], correlation[1, 3]) > 0.99
    assert torch.equal(principal_plane(unit(flat)), principal_plane(unit(flat)))
