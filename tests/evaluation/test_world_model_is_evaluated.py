"""The package's own model, untrained, through the whole evaluation: the doors fit."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from videossl.evaluation import HeldOut, ProbeClips, Trajectories, evaluate, headlines
from videossl.evaluation.predictors import prior_samples, stratified_samples
from videossl.models import GaussianLatent, MLPEditor, MLPProjector, VideoTransformer, WorldModel
from videossl.worlds import Billiards, Digits, Maze, World

FEWER_FUTURES = [Maze(canvas=32, places_per_side=4, digit_size=4, num_frames=8), Billiards(num_balls=1, canvas=32)]


def tiny(*, with_latent: bool) -> WorldModel:
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer("tiny", width=16, depth=1, num_heads=2, patch_size=8),
        partial(MLPProjector, embedding_dim=16, hidden_dim=16),
        partial(GaussianLatent, latent_dim=4, hidden_dim=16) if with_latent else None,
        partial(MLPEditor, hidden_dim=16),
    )
    return model.eval()


def fresh_clips(world: World, n: int = 200) -> ProbeClips:
    clips, truth = world.sample(n, 1)
    motion = torch.from_numpy(truth.positions[:, 4:])
    return ProbeClips(clips[:, :4], clips[:, 4:], torch.arange(n), {}, trajectories=motion)


def digits(n: int = 24) -> HeldOut:
    return held_out_of(Digits(canvas=24, digit_size=8), n)


def held_out_of(world: World, n: int = 24) -> HeldOut:
    clips, truth = world.sample(n, 0)
    branches, decoys = world.branches(truth), world.decoys(truth)
    return HeldOut(
        contexts=clips[:, :4],
        futures=clips[:, 4:],
        names=("",) * n,
        videos=torch.arange(n),
        seconds=torch.zeros(n, dtype=torch.float64),
        branches=branches.clips,
        branch_probabilities=branches.probabilities,
        taken=branches.taken,
        decoys=decoys.clips,
        trajectories=Trajectories(torch.from_numpy(truth.positions[:, 4:]), branches.positions),
        probe=fresh_clips(world),
        world=type(world).__name__,
    )


@pytest.mark.parametrize("with_latent", [True, False])
def test_the_world_model_can_be_evaluated(with_latent):
    model, held_out = tiny(with_latent=with_latent), digits()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    metrics = evaluate(model, tiny(with_latent=False), held_out, num_samples=4, seed=0)
    assert metrics["metric_help"]["energy_px"]["chance"] > 0
    rows = {row["key"]: row["metrics"] for row in metrics["rows"]}
    assert ("posterior" in rows) == ("stratified" in rows) == with_latent
    if with_latent:  # of samples that are not independent only what does not count on it
        assert set(rows["stratified"]) == {"coverage", "precision", "best_of_k", "best_of_k_ratio"}
        assert headlines(metrics)["coverage_stratified"] == rows["stratified"]["coverage"]["value"]
    assert all(math.isfinite(interval["value"]) for row in metrics["rows"] for interval in row["metrics"].values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_stratified_samples_are_those_of_the_model():
    model = tiny(with_latent=True)
    states = torch.nn.functional.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    with torch.no_grad():
        for parameter in model.editor.parameters():  # it starts as the identity
            parameter.add_(0.1 * torch.randn_like(parameter))
    spread = stratified_samples(model, states, num_samples=5, seed=2)
    expected = model.sample_futures(states, num_samples=5, seed=2, stratified=True)[:, :, 0]
    torch.testing.assert_close(spread, expected)
    assert not torch.allclose(spread, prior_samples(model, states, num_samples=5, seed=2))


def test_a_model_with_a_form_of_its_own_is_evaluated_without_a_stratified_row():
    class Old(WorldModel):
        def sample_futures(self, frames, *, num_samples, horizon=1, seed=0, latent=None):
            return super().sample_futures(frames, num_samples=num_samples, horizon=horizon, seed=seed, latent=latent)

    model = tiny(with_latent=True)
    model.__class__ = Old
    metrics = evaluate(model, None, digits(), num_samples=3, untrained=False, motion=False, own_likelihood=False)
    assert "stratified" not in [row["key"] for row in metrics["rows"]]


def test_changing_a_frame_of_the_future_changes_no_sampled_future():
    model, held_out = tiny(with_latent=True), digits()
    clips = torch.cat([held_out.contexts, held_out.futures], dim=1)
    changed = clips.clone()
    changed[:, 4:] = 255 - changed[:, 4:]
    before, after = (
        model.sample_futures(model.embed(each[:, :4]).embedding, num_samples=3, seed=0) for each in (clips, changed)
    )
    assert torch.equal(before, after)


@pytest.mark.parametrize("world", FEWER_FUTURES, ids=["maze", "billiards"])
def test_a_world_in_which_contexts_have_fewer_futures_than_others_can_be_evaluated(world, tmp_path):
    held_out = held_out_of(world)
    assert (held_out.branch_probabilities == 0).any()
    metrics = evaluate(tiny(with_latent=True), None, held_out, num_samples=4, seed=0, out=tmp_path)
    rows = {row["key"]: row["metrics"] for row in metrics["rows"]}
    assert rows["truth"]["precision"]["value"] == 1.0
    assert rows["truth"]["coverage"]["value"] > rows["samples"]["coverage"]["value"]
    assert all(math.isfinite(interval["value"]) for row in rows.values() for interval in row.values())
    possible = (held_out.branch_probabilities > 0).double().sum(dim=1).mean()
    candidates = held_out.branches.shape[1] + held_out.decoys.shape[1]
    assert metrics["metric_help"]["precision"]["chance"] == pytest.approx(float(possible) / candidates)
    hits = np.load(tmp_path / "gallery.npz")["branch_hits"]
    assert (hits == -1).any()
    assert (hits >= 0).any(axis=1).all()
