"""What a context cannot know must not reach its predictions."""

from dataclasses import replace

import torch
from fake_models import KnowingModel, little_world, twin

from videossl.evaluation import Trajectories
from videossl.evaluation.futures import climatology_rows
from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.predictors import Predictors, mean_predictions, prior_samples
from videossl.evaluation.readout import MotionReadout, motion_readouts
from videossl.evaluation.space import embed_clips, embed_space

K = 5
SEE_THE_FUTURE = {"posterior", "truth"}


def readouts_of(models: dict[str, KnowingModel], held_out: HeldOut) -> dict[str, MotionReadout]:
    probe = held_out.probe
    assert probe is not None
    embedded = {name: embed_clips(each, probe.futures).embedding for name, each in models.items()}
    return motion_readouts(held_out, embedded, seed=0)


def changed_in_the_scored_contexts(held_out: HeldOut) -> HeldOut:
    """Every clip and every motion that could follow a scored context is another one."""
    _, scored = held_out.tuning_split(0)
    changed = {name: getattr(held_out, name).clone() for name in ("futures", "branches", "decoys")}
    for clips in changed.values():
        clips[scored] = 255 - clips[scored]
    moved = {name: getattr(held_out.trajectories, name).clone() for name in ("futures", "branches")}
    for points in moved.values():
        points[scored] += torch.randn(points[scored].shape)
    return replace(held_out, **changed, trajectories=Trajectories(**moved))


def samples_of_every_row(held_out: HeldOut) -> dict[str, torch.Tensor]:
    model, other = KnowingModel(), twin()
    untrained = model.reinitialised(0)
    models = {"run": model, "twin": other, "random": untrained}
    spaces = {name: embed_space(each, held_out, name) for name, each in models.items()}
    readouts = readouts_of(models, held_out)
    tuning, scored = held_out.tuning_split(0)
    predictors = Predictors(spaces, readouts, held_out, tuning=tuning, scored=scored, num_samples=K, seed=0)
    return {row.key: row.samples for row in predictors.all(model, other, untrained)}


def test_sampling_futures_never_asks_the_posterior():
    model = KnowingModel()
    states = torch.nn.functional.normalize(torch.randn(300, 8), dim=-1)
    prior_samples(model, states, num_samples=K, seed=0)
    mean_predictions(model, states)
    assert model.num_posterior_calls == 0


def test_changing_the_scored_futures_changes_no_prediction():
    held_out = little_world()
    before = samples_of_every_row(held_out)
    after = samples_of_every_row(changed_in_the_scored_contexts(held_out))
    assert set(before) - SEE_THE_FUTURE == {
        "samples",
        "mean",
        "twin",
        "noise_coverage",
        "noise_energy",
        "copy",
        "random",
    }
    for key in set(before) - SEE_THE_FUTURE:
        assert torch.equal(before[key], after[key]), key
    for key in SEE_THE_FUTURE:
        assert not torch.equal(before[key], after[key]), key


def test_no_readout_looks_at_the_candidates_of_a_scored_context():
    held_out = little_world()
    samples = torch.nn.functional.normalize(torch.randn(10, K, 8), dim=-1)
    before, after = (
        readouts_of({"run": KnowingModel()}, each)["run"]
        for each in (held_out, changed_in_the_scored_contexts(held_out))
    )
    assert torch.equal(before(samples), after(samples))
    assert before.error_px == after.error_px


def test_changing_the_context_changes_every_prediction():
    held_out = little_world()
    before = samples_of_every_row(held_out)
    after = samples_of_every_row(replace(held_out, contexts=held_out.contexts.flip(0)))
    for key in set(before) - SEE_THE_FUTURE:
        assert not torch.equal(before[key], after[key]), key


def test_climatology_shows_no_future_of_the_same_video():
    videos = torch.arange(6).repeat_interleave(3)
    scored = torch.arange(18)
    rows = climatology_rows(videos, scored, num_samples=15, seed=0)
    assert (videos[rows] != videos[scored][:, None]).all()
    assert all(len(set(row)) == 15 for row in rows.tolist())


def test_climatology_of_a_single_video_never_shows_the_context_itself():
    scored = torch.arange(4, 10)
    rows = climatology_rows(torch.zeros(10, dtype=torch.int64), scored, num_samples=20, seed=0)
    assert (rows != scored[:, None]).all()


def test_a_single_video_is_split_in_time():
    held_out = replace(
        little_world(16), videos=torch.zeros(16, dtype=torch.int64), seconds=torch.arange(16).flip(0).double()
    )
    tuning, scored = held_out.tuning_split(0)
    assert held_out.seconds[tuning].max() < held_out.seconds[scored].min()
