"""Losses beside the objective: what they ask of a model, and that a training has them in its total."""

import math
from functools import partial

import pytest
import torch
from command_line import REPOSITORY, SMALL, in_this_process

from videossl.data import Augment
from videossl.errors import UsageError
from videossl.models import MLPProjector, VideoTransformer, WorldModel
from videossl.objectives import MVInfoNCE
from videossl.training import MotionPrediction, NextFrames, TranslatedView
from videossl.training.auxiliaries import rolled
from videossl.training.pretraining import Pretraining
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch

D, T = 8, 4


def model():
    torch.manual_seed(0)
    encoder = VideoTransformer(width=24, depth=1, num_heads=2, patch_size=4, tubelet_frames=4)
    return WorldModel(encoder, partial(MLPProjector, embedding_dim=D, hidden_dim=16))


def moving_dots(count, seed=0):
    """(b, 1, T, 3, 16, 16): a patch that moves by its width a frame in one of four directions."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.zeros(count, 1, T, 3, 16, 16)
    turn = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1]])[torch.randint(4, (count,), generator=generator)]
    for t in range(T):
        for clip, (row, column) in zip(clips[:, 0, t], ((2 + t * turn) % 4 * 4).tolist(), strict=True):
            clip[:, row : row + 4, column : column + 4] = 1
    return clips


def loss_of(auxiliary, net, clips):
    representations, embeddings = net.embed_views(clips)
    return auxiliary(net, clips, representations, embeddings)


def learned(auxiliary, net, clips, *, steps):
    """The loss at the end of a training by it alone."""
    optimizer = torch.optim.AdamW([*net.parameters(), *auxiliary.parameters()], lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(auxiliary, net, clips)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_a_model_that_says_the_mean_picture_is_at_one():
    net = model()
    auxiliary = MotionPrediction(net.representation_dim, D, T, grid=4)
    clips = moving_dots(64)
    frames = torch.nn.functional.adaptive_avg_pool2d(clips.mean(3)[:, 0], 4)
    with torch.no_grad():
        auxiliary.net[-1].weight.zero_()
        auxiliary.net[-1].bias.copy_(torch.cat([frames.diff(dim=1), frames[:, -1:]], 1).flatten(1).mean(0))
    assert loss_of(auxiliary, net, clips).item() == pytest.approx(1.0, abs=1e-3)


def test_motion_is_learned():
    net = model()
    auxiliary = MotionPrediction(net.representation_dim, D, T, grid=4)
    assert learned(auxiliary, net, moving_dots(64), steps=250) < 0.5


def test_a_clip_that_does_not_vary_over_the_batch_gives_a_finite_loss():
    net = model()
    assert loss_of(MotionPrediction(24, D, T), net, torch.zeros(4, 2, T, 3, 16, 16)).isfinite()


def dots_that_go_on_or_stand_still(count, seed=0):
    """(b, 2, T, 3, 16, 16): after four frames of moving dots, half of them go on and half of them stand still."""
    first = moving_dots(count, seed)
    # Four frames of four places are once around: going on looks like the clip itself.
    stays = first[:, :, -1:].expand(-1, -1, T, -1, -1, -1)
    goes_on = torch.rand(count, generator=torch.Generator().manual_seed(seed + 1)) < 0.5
    return torch.cat([first, torch.where(goes_on[:, None, None, None, None, None], first, stays)], dim=1)


def test_the_mean_of_what_may_come_is_learned_and_not_more():
    net = model()
    auxiliary = NextFrames(net.representation_dim, D, T, grid=4, num_frames=2)
    clips = dots_that_go_on_or_stand_still(64)
    loss = learned(auxiliary, net, clips, steps=400)
    frames = torch.nn.functional.adaptive_avg_pool2d(clips[:, 1, :2].mean(2), 4)
    turns = clips[:, 0].mean(2).flatten(1)
    ways = torch.unique(turns, dim=0, return_inverse=True)[1]
    blurred = torch.stack([frames[ways == way].mean(0) for way in range(int(ways.max()) + 1)])[ways]
    best = (frames - blurred).square().mean() / frames.var(0, correction=0).mean()
    assert best - 1e-4 < loss < best + 0.12  # four contexts in all: which of two futures came cannot be known


def test_of_one_video_there_is_no_share_of_the_variance():
    net = model()
    loss = loss_of(NextFrames(24, D, T, grid=4), net, torch.rand(1, 2, T, 3, 16, 16))
    assert loss.item() == 0
    loss.backward()  # and it is part of the graph, as in other processes


def test_what_comes_next_wants_a_second_view():
    net = model()
    with pytest.raises(UsageError, match="NextFrames needs 2 views of each video, got 1"):
        loss_of(NextFrames(24, D, T), net, moving_dots(4))


def test_too_few_views_are_said_before_a_run_is_replaced(small_world, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("kept")
    code = in_this_process(
        "pretrain", "--config", REPOSITORY / "configs/pretrain/quickstart_twin.yaml", *SMALL[:-1],
        f"--data.videos={small_world}", "--data.clips.num_views=1", "--auxiliaries=[videossl.training.NextFrames]",
        f"--out={tmp_path / 'run'}", "--overwrite=true",
    )  # fmt: skip
    assert code == 2
    assert "NextFrames needs 2 views of each video, got 1" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == "kept"


def test_of_short_clips_all_frames_are_foreseen():
    net = model()
    assert NextFrames(net.representation_dim, D, T, num_frames=9, grid=4).net[-1].out_features == T * 16


def test_frames_of_a_clip_are_moved_alike_and_around_the_edges():
    clips = torch.rand(8, T, 3, 16, 12)
    moved = rolled(clips)
    for before, after in zip(clips, moved, strict=True):
        found = [
            (dy, dx) for dy in range(16) for dx in range(12) if torch.equal(before.roll((dy, dx), dims=(2, 3)), after)
        ]
        assert len(found) == 1


def test_clips_that_all_look_alike_are_at_chance():
    net = model()
    loss = loss_of(TranslatedView(24, D, T, share=0.5), net, torch.ones(12, 2, T, 3, 16, 16))
    assert loss.item() == pytest.approx(math.log(6), abs=1e-4)


def batch():
    clips = (moving_dots(6).repeat(1, 2, 1, 1, 1, 1) * 255).to(torch.uint8)
    seconds = torch.zeros(6, 2, T, dtype=torch.float64)
    return ViewBatch(clips, seconds.long(), seconds, torch.zeros(6, dtype=torch.int64), torch.full((6,), -1))


def pretraining(*auxiliaries, **settings):
    module = Pretraining(
        model(), MVInfoNCE(0.1), None, Augment(size=16), TrainingSettings(**settings), auxiliaries=auxiliaries
    )
    module.augment.forward = lambda clips: clips.float() / 255
    return module


def test_a_training_adds_each_loss_by_its_weight_and_logs_it():
    plain, _ = pretraining()._loss(batch(), 3)
    torch.manual_seed(1)
    beside = MotionPrediction(24, D, T, weight=0.5, grid=4), TranslatedView(24, D, T, weight=0.25)
    loss, _ = pretraining(*beside)._loss(batch(), 3)
    expected = plain.total + 0.5 * loss.terms["motion"] + 0.25 * loss.terms["translated"]
    torch.testing.assert_close(loss.total, expected)


def test_their_weights_are_trained_and_in_checkpoints():
    module = pretraining(MotionPrediction(24, D, T))
    assert any(name.startswith("auxiliaries.0.net") for name in module.state_dict())
    module._loss(batch(), 0)[0].total.backward()
    assert all(weight.grad is not None for weight in module.auxiliaries.parameters())


def test_chunks_and_weights_below_zero_are_refused():
    with pytest.raises(UsageError, match="encode_chunk to null"):
        pretraining(MotionPrediction(24, D, T), encode_chunk=2)
    with pytest.raises(UsageError, match="of 0 or more, got -1"):
        TranslatedView(24, D, T, weight=-1)


def test_pictures_of_no_cells_and_no_frames_are_refused():
    with pytest.raises(UsageError, match="grid of an auxiliary of at least 1, got 0"):
        MotionPrediction(24, D, T, grid=0)
    with pytest.raises(UsageError, match="num_frames of an auxiliary of at least 1, got 0"):
        NextFrames(24, D, T, num_frames=0)
