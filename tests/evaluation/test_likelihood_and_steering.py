"""Likelihood among candidates, told samples, steering and the pooled oracle: each against something known."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from fake_models import PROBABILITIES, STEPS, KnowingModel, M, little_world, real_video, twin, unit

from videossl.evaluation import BranchAccuracy, CandidateNLL, evaluate, future_scores, headlines, oracles
from videossl.evaluation.candidate_nll import candidate_nll, entropy
from videossl.evaluation.candidates import NUM_OTHERS, Crowd, own_log_densities
from videossl.evaluation.density import cross_fitted_log_density, kernel_log_density
from videossl.evaluation.latents import latents
from videossl.evaluation.space import embed_space
from videossl.evaluation.steering import steered_futures, steering
from videossl.evaluation.table import table
from videossl.probing import Bootstrap


class SteerableModel(KnowingModel):
    """Its r is the step itself, so it does the same to any state."""

    def infer_latent(self, context, future):
        from_here = unit(context[:, None] + STEPS)
        return STEPS[(future[:, None] - from_here).norm(dim=-1).argmin(dim=1)]

    def sample_futures(self, frames, *, num_samples, horizon=1, seed=0, latent=None):
        if latent is None:
            return super().sample_futures(frames, num_samples=num_samples, horizon=horizon, seed=seed)
        return unit(frames + latent)[:, None, None].expand(-1, num_samples, horizon, -1)

    def log_prob(self, context, future, *, num_samples=64, seed=0):
        means = unit(context[:, None] + STEPS)
        return torch.logsumexp(50 * (means * future[:, None]).sum(dim=-1) + self.probabilities.log(), dim=1)


class NamelessNormal(NamedTuple):
    """A distribution that does not say that it is a Gaussian."""

    mean: torch.Tensor
    variance: torch.Tensor

    def sample(self, generator=None):
        return self.mean + self.variance.sqrt() * torch.randn(self.mean.shape, generator=generator)

    def log_prob(self, latent):
        return torch.distributions.Normal(self.mean, self.variance.sqrt()).log_prob(latent).sum(dim=-1)


class OtherLatent(KnowingModel):
    def latent_distributions(self, context, future):
        return tuple(
            NamelessNormal(one.mean, one.log_variance.exp()) for one in super().latent_distributions(context, future)
        )


class SteeredWrongly(SteerableModel):
    def infer_latent(self, context, future):
        return super().infer_latent(context, future).roll(1, dims=1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_likelihood_lies_between_the_entropy_of_the_truth_and_the_log_of_the_number_of_candidates():
    weights = torch.cat([PROBABILITIES, torch.zeros(6)]).expand(3, -1)
    assert candidate_nll(torch.zeros(3, 10), weights).tolist() == pytest.approx([math.log(10)] * 3)
    knowing = torch.where(weights > 0, weights.log(), torch.full_like(weights, -torch.inf))
    assert candidate_nll(knowing + 5, weights).tolist() == pytest.approx(entropy(weights).tolist())
    assert (candidate_nll(noise(3, 10), weights) > entropy(weights)).all()


def test_likelihood_refuses_weights_that_are_no_probabilities():
    with pytest.raises(ValueError, match="sum to 1"):
        CandidateNLL().update(torch.zeros(2, 3), torch.ones(2, 3))


def test_accuracy_counts_the_samples_that_land_where_they_were_told():
    branches = torch.eye(5)[:3].expand(2, -1, -1)
    told = torch.tensor([[0, 1, 2], [2, 1, 0]])
    metric = BranchAccuracy()
    metric.update(branches, told, branches, torch.eye(5)[3:].expand(2, -1, -1))
    assert metric.compute() == pytest.approx((1 + 1 / 3) / 2)


def test_pooled_total_variation_of_exact_draws_is_that_of_a_simulation():
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])
    counts = np.stack(
        [np.random.default_rng(0).multinomial(7, np.array(row) / sum(row), 40_000) for row in probabilities.tolist()]
    )
    simulated = np.abs(counts.mean(axis=0) / 7 - probabilities.mean(dim=0).numpy()).sum(axis=1).mean() / 2
    assert oracles.expected_pooled_total_variation(probabilities, 7) == pytest.approx(simulated, abs=2e-3)


def test_the_width_of_the_density_of_a_context_is_not_fitted_on_it():
    samples, candidates, weights = noise(8, 5, 6), noise(8, 9, 6, seed=1), torch.eye(9)[:1].expand(8, -1)
    before = cross_fitted_log_density(samples, candidates, weights, torch.arange(8))
    changed = candidates.clone()
    changed[0, 0] = samples[0, 0]
    after = cross_fitted_log_density(samples, changed, weights, torch.arange(8))
    assert torch.equal(before[0, 1:], after[0, 1:])


def test_a_kernel_around_one_sample_is_its_cosine():
    samples, candidates = noise(3, 1, 6), noise(3, 4, 6, seed=1)
    expected = 7 * torch.cosine_similarity(samples, candidates, dim=-1)
    torch.testing.assert_close(kernel_log_density(samples, candidates, torch.tensor(7.0)).float(), expected)


def test_candidates_are_the_own_branches_the_decoys_and_futures_of_other_videos():
    held_out = little_world(200)
    space = embed_space(KnowingModel(), held_out, "run")
    _, scored = held_out.tuning_split(0)
    crowd = Crowd.of(held_out.videos, scored, space[scored], held_out.branch_probabilities[scored], seed=0)
    candidates = crowd.candidates(space[scored], space.futures, count_branches=True)
    assert candidates.shape == (len(scored), M + 3 + NUM_OTHERS, 8)
    assert torch.equal(candidates[:, :M], space.branches[scored])
    assert (held_out.videos[crowd.others] != held_out.videos[scored][:, None]).all()
    assert all(len(set(row)) == NUM_OTHERS for row in crowd.others.tolist())


def test_the_models_own_density_is_asked_pair_by_pair():
    model, states, candidates = SteerableModel(), unit(noise(5, 8)), unit(noise(5, 7, 8, seed=1))
    found = own_log_densities(model, states, candidates, seed=0)
    for number in range(7):
        torch.testing.assert_close(found[:, number].float(), model.log_prob(states, candidates[:, number]))


def test_a_latent_that_is_the_step_itself_steers_and_one_that_is_not_does_not():
    held_out = little_world()
    space = embed_space(SteerableModel(), held_out, "run")
    samples = KnowingModel().sample_futures(space.contexts, num_samples=200)[:, :, 0]
    given = (space, held_out.branch_probabilities, Bootstrap(held_out.videos, seed=0), samples)
    found, wrong = (steering(model, *given, seed=0) for model in (SteerableModel(), SteeredWrongly()))
    assert found["rate"]["value"] == found["own"]["value"] == pytest.approx(1)
    assert found["unsteered"]["value"] == pytest.approx(float(PROBABILITIES.square().sum()), abs=0.02)
    assert found["chance"] == pytest.approx(1 / 7)
    assert wrong["rate"]["value"] < 0.1
    assert steering(KnowingModel(), *given, seed=0) is None


def test_contexts_that_move_freely_steer_each_other_alone():
    held_out = little_world()
    free = torch.arange(len(held_out)) % 3 == 0
    space = embed_space(SteerableModel(), held_out, "run")
    # What is read from the others is of no use to anybody.
    space = replace(space, contexts=torch.where(free[:, None], space.contexts, unit(noise(len(held_out), 8, seed=3))))
    samples = KnowingModel().sample_futures(space.contexts, num_samples=4)[:, :, 0]
    given = (SteerableModel(), space, held_out.branch_probabilities, Bootstrap(held_out.videos, seed=0), samples)
    found = steering(*given, seed=0, moves_freely=free)
    assert found["rate"]["value"] < 0.8
    assert found["free"]["rate"]["value"] == pytest.approx(1)
    assert found["free"]["num_contexts"] == free.sum() < found["num_contexts"]
    for nothing_to_say, num_free in ((None, None), (torch.ones_like(free), len(free)), (torch.zeros_like(free), 0)):
        nothing = steering(*given, seed=0, moves_freely=nothing_to_say)
        assert (nothing["free"], nothing["num_free"]) == (None, num_free)


def test_where_only_contexts_bounce_that_cannot_have_every_future_there_is_nothing_to_say():
    held_out = little_world()
    probabilities = held_out.branch_probabilities.clone()
    probabilities[::2] = torch.eye(M)[0]
    held_out = replace(held_out, branch_probabilities=probabilities, moves_freely=torch.arange(len(held_out)) % 2 == 1)
    metrics = evaluate(SteerableModel(), None, held_out, num_samples=4, seed=0, untrained=False)
    assert metrics["steering"]["num_free"] == metrics["steering"]["num_contexts"] > 0
    assert not any("where nothing bounces" in reason for reason in metrics["skipped"])


def test_too_few_that_move_freely_are_said_and_a_mask_of_numbers_is_refused():
    held_out = little_world()
    few = replace(
        held_out,
        moves_freely=torch.arange(len(held_out)) < 3,
        probe=replace(held_out.probe, moves_freely=torch.arange(len(held_out.probe.videos)) < 3),
    )
    metrics = evaluate(SteerableModel(), None, few, num_samples=4, seed=0, untrained=False)
    said = [reason for reason in metrics["skipped"] if "where nothing bounces" in reason]
    assert [reason.split(":")[0] for reason in said] == [
        "probes where nothing bounces",
        "steering where nothing bounces",
    ]
    assert not any(name.endswith("_free") for name in headlines(metrics))
    deterministic = evaluate(twin(), None, few, num_samples=4, seed=0, untrained=False)
    # There is no r to steer with; both clips would be probed.
    assert [reason for reason in deterministic["skipped"] if "where nothing bounces" in reason] == said[:1]
    for clips in (held_out, held_out.probe):
        with pytest.raises(ValueError, match="moves_freely"):
            replace(clips, moves_freely=torch.arange(len(clips.contexts)))


def test_scores_from_before_there_was_such_a_thing_are_still_read():
    metrics = evaluate(SteerableModel(), None, little_world(), num_samples=4, seed=0, untrained=False)
    del metrics["steering"]["free"]
    assert "steering_rate" in headlines(metrics)
    assert "r of another video takes its branch" in " ".join(table(metrics).split())


def test_what_r_says_is_scored_once_more_where_nothing_bounces():
    held_out = little_world()
    of_probe = torch.arange(len(held_out.probe.videos)) % 2 == 0
    held_out = replace(
        held_out,
        moves_freely=torch.arange(len(held_out)) % 2 == 0,
        # Where something bounces, nobody can say what the kick was.
        probe=replace(
            held_out.probe,
            moves_freely=of_probe,
            targets={
                "kick": torch.where(of_probe[:, None], held_out.probe.targets["kick"], noise(len(of_probe), 3, seed=5))
            },
        ),
    )
    metrics = evaluate(SteerableModel(), None, held_out, num_samples=4, seed=0)
    found = headlines(metrics)
    assert found["kick_r2_innovation"] < 0.4 < 0.5 < found["kick_r2_innovation_free"]
    assert found["steering_rate_free"] == 1
    probed = {(entry["target"], entry["features"]): entry["num_test"] for entry in metrics["probes"]}
    assert probed["kick where nothing bounces", "latent sample"] < probed["kick", "latent sample"]
    assert probed["kick where nothing bounces", "both clips"] == probed["kick where nothing bounces", "latent sample"]
    assert ("kick where nothing bounces", "representation") not in probed
    assert "where nothing bounces in 1.00" in " ".join(table(metrics).split())


def test_steered_futures_are_of_the_taker_with_r_of_the_giver():
    model, giver, taker = SteerableModel(), unit(noise(4, 8)), unit(noise(4, 8, seed=1))
    found = steered_futures(model, giver, unit(giver[:, None] + STEPS), taker)
    torch.testing.assert_close(found, unit(taker[:, None] + STEPS))


def test_the_divergence_of_distributions_that_are_no_gaussians_is_estimated_from_draws():
    states, futures = unit(noise(400, 8)), unit(noise(400, 8, seed=1))
    known, estimated = (latents(model, states, futures, seed=0) for model in (KnowingModel(), OtherLatent()))
    assert estimated.kl_per_unit is None
    assert estimated.kl.mean().item() == pytest.approx(known.kl.mean().item(), rel=0.02)
    torch.testing.assert_close(estimated.innovation, known.innovation)
    assert evaluate(OtherLatent(), None, little_world(), num_samples=4, seed=0)["health"]["active_units"] is None


def test_the_scores_in_brief_are_those_of_a_knowing_model():
    found = future_scores(SteerableModel(), little_world(), own_likelihood=True)
    for name in ("coverage", "precision", "calibration_pooled", "nll"):
        assert found[name] == pytest.approx(found[f"{name}_truth"], abs=0.06)
    assert found["coverage"] > found["coverage_tuned_noise"]
    assert found["nll_own"] == pytest.approx(found["nll"], abs=0.1)
    assert found["posterior_branch_accuracy"] == found["steering_rate"] == 1
    assert found["kick_r2_innovation"] > 0.5
    assert found["position_r2"] > 0.9
    assert found["identity_accuracy"] > 0.9
    assert found["kl_nats"] > 1


def test_a_deterministic_model_has_scores_in_brief_but_none_of_a_latent():
    found = future_scores(twin(), little_world())
    assert found["coverage"] <= 1 / M
    assert {name for name in found if name.startswith(("kick", "steering", "kl", "posterior"))} == {"kick_r2_pair"}


def test_on_real_video_the_likelihood_is_that_of_what_was_observed():
    metrics = evaluate(KnowingModel(), None, real_video(), num_samples=16, seed=0, untrained=False)
    rows = {row["key"]: row["metrics"] for row in metrics["rows"]}
    assert rows["samples"]["nll"]["value"] < rows["mean"]["nll"]["value"] < metrics["metric_help"]["nll"]["chance"]
    assert metrics["steering"] is None
    assert "random" not in rows


def test_where_branches_are_not_alike_nothing_is_steered_and_it_is_said():
    metrics = evaluate(SteerableModel(), None, replace(little_world(), branches_alike=False), num_samples=4, seed=0)
    assert metrics["steering"] is None
    assert any(reason.startswith("steering: a future of that number") for reason in metrics["skipped"])
