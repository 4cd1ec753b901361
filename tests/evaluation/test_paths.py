"""Futures of several steps: the tree of a world, and a model that walks it exactly."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from fake_models import PROBABILITIES, STEPS, WRONG_STEPS, KnowingModel, M, clips_that_say, little_world, unit

from videossl.data import ClipPlanner
from videossl.evaluation import evaluate, headlines, table
from videossl.evaluation.path_space import embed_paths, one_point
from videossl.evaluation.paths import PathClips
from videossl.evaluation.rollouts import horizons, mean_paths, told_paths
from videossl.evaluation.world_clips import branching_plan
from videossl.evaluation.world_paths import step_frames, world_paths
from videossl.models import GaussianLatent, MLPEditor, MLPProjector, VideoTransformer, WorldModel
from videossl.worlds import Digits, Maze

K = 32


class WalkingModel(KnowingModel):
    """Each step takes one of the branches of the little world."""

    def sample_futures(self, frames, *, num_samples, horizon=1, seed=0):
        generator = torch.Generator().manual_seed(seed)
        states, path = frames[:, None].expand(-1, num_samples, -1), []
        for _ in range(horizon):
            chosen = torch.multinomial(self.probabilities, states.shape[0] * num_samples, True, generator=generator)
            states = unit(states + STEPS[chosen].reshape(states.shape))
            path.append(states)
        return torch.stack(path, dim=2)


def little_paths(n: int = 64) -> PathClips:
    """Two steps, M branches and then M x M."""
    held_out = little_world(n)
    states = KnowingModel().embed(held_out.contexts).embedding
    first = unit(states[:, None] + STEPS)
    second = unit(first[:, :, None] + STEPS).flatten(1, 2)
    wrong = unit(states[:, None] + WRONG_STEPS)
    twice = (PROBABILITIES[:, None] * PROBABILITIES).flatten()
    return PathClips(
        contexts=held_out.contexts,
        videos=held_out.videos,
        branches=(clips_that_say(first), clips_that_say(second)),
        probabilities=(PROBABILITIES.expand(n, -1), twice.expand(n, -1)),
        decoys=clips_that_say(torch.stack([wrong, unit(wrong + WRONG_STEPS)], dim=2)),
        last_frames=(2, 4),
    )


@pytest.fixture(scope="module")
def rows():
    (found,) = horizons(WalkingModel(), None, little_paths(), num_samples=K, seed=0)
    assert (found["steps"], found["frames"], found["num_branches"], found["num_possible"]) == (2, 4, 16, 16)
    return {row["key"]: {name: one["value"] for name, one in row["metrics"].items()} for row in found["rows"]}


def test_a_model_that_walks_the_tree_exactly_reaches_the_oracle(rows):
    for metric, tolerance in (
        ("coverage", 0.04),
        ("precision", 0.01),
        ("calibration", 0.03),
        ("calibration_pooled", 0.02),
    ):
        assert rows["samples"][metric] == pytest.approx(rows["truth"][metric], abs=tolerance)


def test_one_path_covers_one_future_at_most_and_noise_is_no_better_than_the_truth(rows):
    assert rows["mean"]["coverage"] <= 1 / M**2
    assert rows["noise_coverage"]["precision"] < rows["samples"]["precision"]
    assert rows["noise_coverage"]["calibration"] > rows["samples"]["calibration"] + 0.1


def test_told_paths_are_those_that_were_told():
    clips = little_paths(8)
    space = embed_paths(WalkingModel(), clips, description="")
    futures = torch.stack([space.steps[0], space.steps[1][:, ::M]], dim=2)  # (n, M, S, D)
    torch.testing.assert_close(told_paths(WalkingModel(), space.contexts, futures, seed=0), futures)


def test_the_mean_path_is_the_mean_prediction_chained():
    model, states = WalkingModel(), unit(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))
    path = mean_paths(model, states, horizon=2)
    torch.testing.assert_close(path[:, 1], model.mean_future(model.mean_future(states)))


def test_the_cosine_of_whole_paths_is_the_mean_over_their_steps():
    a, b = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    cosines = torch.cosine_similarity(a, b, dim=-1).mean(dim=-1)
    torch.testing.assert_close((one_point(a) * one_point(b)).sum(dim=-1), cosines)


def test_a_later_branch_is_its_earlier_one_up_to_there():
    world = Maze(canvas=32, places_per_side=4, digit_size=4, num_frames=12)
    truth = world.truth(5, 0)
    long, short = world.branches(truth), world.branches(truth, 4)
    ratio = long.clips.shape[1] // short.clips.shape[1]
    assert ratio == 4
    earlier = torch.arange(long.clips.shape[1]) // ratio
    possible = long.probabilities > 0
    assert torch.equal(long.clips[:, :, :4][possible], short.clips[:, earlier][possible])
    assert torch.equal(long.taken // ratio, short.taken)
    summed = long.probabilities.reshape(5, -1, ratio).sum(dim=2)
    torch.testing.assert_close(summed, short.probabilities)


def test_the_paths_of_a_maze_are_its_futures_clip_after_clip():
    world = Maze(canvas=32, places_per_side=4, digit_size=4, num_frames=12)
    clips, truth = world.sample(5, 0)
    planner = ClipPlanner(num_views=2, num_frames=4)
    plan = branching_plan(world, planner, np.arange(12.0))
    frames = step_frames(plan, world)
    assert [step.tolist() for step in frames] == [[4, 5, 6, 7], [8, 9, 10, 11]]
    paths = world_paths(world, truth, clips[:, :4], torch.arange(5), frames, frame_size=32)
    assert [step.shape[1] for step in paths.branches] == [4, 16]
    rows = torch.arange(5)
    assert torch.equal(paths.branches[1][rows, truth.branch], clips[:, 8:])
    assert torch.equal(paths.branches[0][rows, truth.branch // 4], clips[:, 4:8])
    assert paths.last_frames == (4, 8)


def test_a_world_of_one_step_or_of_continuous_futures_has_no_paths():
    for world, num_frames in ((Digits(), 8), (Digits(kick="gaussian", num_frames=12), 12)):
        clips, truth = world.sample(3, 0)
        plan = branching_plan(world, ClipPlanner(num_views=2, num_frames=4), np.arange(float(num_frames)))
        frames = step_frames(plan, world)
        assert world_paths(world, truth, clips[:, :4], torch.arange(3), frames, frame_size=48) is None


def test_the_evaluation_holds_the_horizons_and_the_table_shows_them():
    held_out = replace(little_world(), paths=little_paths())
    metrics = evaluate(WalkingModel(), None, held_out, num_samples=8, seed=0)
    assert [horizon["steps"] for horizon in metrics["horizons"]] == [2]
    text = table(metrics)
    assert "whole futures of 2 steps, 4 frames: 16.0 of 16 can happen" in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert headlines(metrics)["precision_2_steps"] > 0.9


def test_the_world_model_is_scored_over_several_steps():
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer("tiny", width=16, depth=1, num_heads=2, patch_size=8),
        partial(MLPProjector, embedding_dim=16, hidden_dim=16),
        partial(GaussianLatent, latent_dim=4, hidden_dim=16),
        partial(MLPEditor, hidden_dim=16),
    ).eval()
    world = Maze(canvas=32, places_per_side=4, digit_size=4, num_frames=12)
    clips, truth = world.sample(16, 0)
    frames = step_frames(branching_plan(world, ClipPlanner(num_views=2, num_frames=4), np.arange(12.0)), world)
    paths = world_paths(world, truth, clips[:, :4], torch.arange(16), frames, frame_size=32)
    (found,) = horizons(model, None, paths, num_samples=4, seed=0)
    assert [row["key"] for row in found["rows"]] == ["samples", "mean", "noise_coverage", "posterior", "truth"]
    assert all(math.isfinite(one["value"]) for row in found["rows"] for one in row["metrics"].values())
