"""Crops of several sizes: encoded group by group, trained from the command line, resumed with the same weights."""

from functools import partial

import pytest
import torch
from command_line import REPOSITORY, videossl
from safetensors.torch import load_file

from videossl.data import CropGroup, MultiCrop
from videossl.errors import UsageError
from videossl.models import MLPProjector, VideoTransformer, WorldModel
from videossl.objectives import MVInfoNCE
from videossl.training.pretraining import Pretraining
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch

GROUPS = (2, 16), (3, 8)
SMALL = (
    "--training.max_steps=4", "--training.batch_size=4", "--training.checkpoint_every=2", "--training.warmup_steps=1",
    "--model.encoder.width=24", "--model.encoder.depth=1", "--model.encoder.num_heads=2",
    "--data.clips.target_fps=null", "--data.heldout_share=0.1",
)  # fmt: skip


def module(*, own_clips: bool, graph="all") -> Pretraining:
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer(width=12, depth=1, num_heads=2, patch_size=4), partial(MLPProjector, embedding_dim=5)
    )
    crops = MultiCrop([CropGroup(views, size=size) for views, size in GROUPS], own_clips=own_clips)
    return Pretraining(model, MVInfoNCE(graph=graph), None, crops, TrainingSettings(max_steps=2, warmup_steps=1))


def batch(num_views: int) -> ViewBatch:
    clips = torch.randint(0, 256, (4, num_views, 2, 3, 16, 16), dtype=torch.uint8)
    seconds = torch.zeros(4, num_views, 2, dtype=torch.float64)
    return ViewBatch(clips, seconds.long(), seconds, torch.zeros(4, dtype=torch.int64), torch.zeros(4).long())


@pytest.mark.parametrize(("own_clips", "num_clips"), [(True, 5), (False, 2)])
def test_embeddings_of_the_groups_stand_one_behind_the_other(own_clips, num_clips):
    trained = module(own_clips=own_clips).eval()
    views = batch(num_clips)
    _, embeddings = trained._loss(views, 0)
    expected = [trained.model.embed_views(group)[1] for group in trained.augment(views.clips)]
    assert [len(part) for part in expected] == [2, 3]
    torch.testing.assert_close(embeddings, torch.cat(expected))


def test_gradients_come_from_every_group():
    trained = module(own_clips=False, graph=[(2, 0), (3, 1), (4, 0)])
    loss, _ = trained._loss(batch(2), 0)
    loss.total.backward()
    assert all(parameter.grad is not None for parameter in trained.model.parameters())


def test_clips_that_are_not_as_many_as_the_groups_are_refused():
    assert module(own_clips=False).augment.num_views_from(2) == 5
    with pytest.raises(UsageError, match=r"groups of 2 \+ 3 views, and data.clips.num_views is 2. Set that to 5"):
        module(own_clips=True).augment.num_views_from(2)


def test_it_trains_from_the_command_line_and_goes_on_as_if_it_had_not_stopped(small_world, tmp_path):
    config = REPOSITORY / "configs/pretrain/multi_crop.yaml"
    options = ("--data.videos", small_world, *SMALL)
    whole = videossl("pretrain", "--config", config, *options, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    checkpoint = tmp_path / "whole/checkpoints/step-2.ckpt"
    rest = videossl("pretrain", "--config", config, *options, "--ckpt", checkpoint, "--out", tmp_path / "rest")
    assert rest.returncode == 0, rest.stderr
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "rest"))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, msg=name)
    report = videossl("report", "--run", tmp_path / "whole")
    assert report.returncode == 0, report.stderr
    assert "6 views of 48 px: crops of 5% to 40%" in (tmp_path / "whole/report.html").read_text()
