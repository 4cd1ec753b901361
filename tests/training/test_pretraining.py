"""What a training step hands to its objective, and what of it is trained, followed and kept."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader

from videossl.data import Augment
from videossl.errors import UsageError
from videossl.models import GaussianLatent, MLPEditor, MLPProjector, VideoTransformer, WorldModel
from videossl.objectives import AdaSSL, FixedBeta, LearnedTemperature, MVInfoNCE, Prediction, VarianceCovariance
from videossl.objectives.dino import DINO
from videossl.objectives.distillation import Distillation
from videossl.objectives.ema import ema_decay
from videossl.objectives.x_sample import XSample
from videossl.training.loaders import heldout_shares
from videossl.training.pretraining import Pretraining
from videossl.training.rehearsal import rehearse
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch

D, B, STEPS = 6, 5, 4
LABELS = torch.tensor([0, 1, 0, -1, -1])


def pretraining(objective, *, edited=False, **options):
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer(width=12, depth=1, num_heads=2, patch_size=4),
        partial(MLPProjector, embedding_dim=D, hidden_dim=8),
        partial(GaussianLatent, latent_dim=2, hidden_dim=8) if edited else None,
        partial(MLPEditor, hidden_dim=8) if edited else None,
    )
    settings = TrainingSettings(max_steps=STEPS, warmup_steps=1, learning_rate=0.01, **options)
    module = Pretraining(model, objective, FixedBeta(0.1) if edited else None, Augment(size=8), settings)
    module.augment.forward = lambda clips: clips.float() / 255  # no chance in it
    return module


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randint(0, 256, (B, 2, 2, 3, 8, 8), dtype=torch.uint8, generator=generator)
    seconds = torch.zeros(B, 2, 2, dtype=torch.float64)
    return ViewBatch(clips, seconds.long(), seconds, torch.zeros(B, dtype=torch.int64), LABELS)


def distillation():
    torch.manual_seed(1)
    return Distillation(D, hidden_dim=8)


def train(module, max_steps, *callbacks, start=None, seeds=range(STEPS)):
    trainer = Trainer(
        max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(
        module, DataLoader([batch(seed) for seed in seeds], batch_size=None), ckpt_path=start, weights_only=True
    )
    return trainer


class Weights(Callback):
    """The weights of the encoder and projector, and those of the teacher, after every step."""

    def __init__(self):
        self.online, self.teacher = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        model = module.model
        self.online.append([p.detach().clone() for net in (model.encoder, model.projector) for p in net.parameters()])
        self.teacher.append([p.clone() for p in module.teacher.parameters()])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("edited", [False, True])
def test_the_teacher_follows_every_step(edited):
    module = pretraining(distillation(), edited=edited, teacher_decay=0.9)
    expected = [p.clone() for p in module.teacher.parameters()]
    weights = Weights()
    train(module, STEPS, weights)
    for step, (online, teacher) in enumerate(zip(weights.online, weights.teacher, strict=True), 1):
        decay = ema_decay(step, STEPS, 0.9)
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, online, strict=True)]
        torch.testing.assert_close(teacher, expected)
    assert any((new != old).any() for new, old in zip(weights.online[0], weights.teacher[0], strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_training_that_stopped_goes_on_with_its_teacher_and_objective(tmp_path):
    whole = pretraining(DINO(D, num_prototypes=7))
    start = {name: value.clone() for name, value in whole.state_dict().items()}
    train(whole, STEPS)
    first, second = pretraining(DINO(D, num_prototypes=7)), pretraining(DINO(D, num_prototypes=7))
    first.load_state_dict(start)
    train(first, 2).save_checkpoint(tmp_path / "half.ckpt")
    train(second, STEPS, start=tmp_path / "half.ckpt", seeds=[2, 3, 4, 5])
    for name, wanted in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], wanted, msg=lambda m, name=name: f"{name}: {m}")
        assert name.endswith(("pixel_mean", "pixel_std", "concentration")) or (wanted != start[name]).any(), name
    assert any(name.startswith("teacher.") for name in start)
    assert not any("teacher" in name for name in whole.model.state_dict())  # what is exported


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("edited", [False, True])
def test_targets_are_the_teachers_embeddings_of_the_same_views(edited, chunk):
    objective = distillation()
    module = pretraining(objective, edited=edited, encode_chunk=chunk)
    for parameter in module.teacher.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    seen = {}
    objective.register_forward_pre_hook(lambda _, args, given: seen.update(given), with_kwargs=True)
    _, embeddings = module._loss(batch(), 0)
    wanted = module.teacher.module.embed_views(batch().clips.float() / 255)[1]
    torch.testing.assert_close(seen["targets"], wanted)
    assert not seen["targets"].requires_grad
    assert embeddings.requires_grad
    assert not torch.allclose(wanted, embeddings)


def test_who_has_a_teacher():
    assert pretraining(MVInfoNCE()).teacher is None
    assert pretraining(distillation()).teacher.base == 0.996
    assert pretraining(distillation(), teacher_decay=0.5).teacher.base == 0.5
    assert pretraining(Prediction(), teacher_decay=0.5).teacher.base == 0.5
    module = pretraining(Prediction(VarianceCovariance()))
    assert module.teacher is None
    module._loss(batch(), 0)  # its own embeddings are the targets


@pytest.mark.parametrize("edited", [False, True])
def test_x_sample_is_told_which_videos_have_the_same_label(edited):
    objective = XSample()
    module = pretraining(objective, edited=edited)
    seen = {}
    objective.register_forward_pre_hook(lambda _, args, given: seen.update(given), with_kwargs=True)
    module._loss(batch(), 0)
    assert seen["similarity"].tolist() == [
        [1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("edited", [False, True])
def test_what_an_objective_has_to_learn_is_trained_and_the_teacher_is_not(edited):
    objective = distillation()
    module = pretraining(objective, edited=edited)
    groups = module.configure_optimizers()["optimizer"].param_groups
    trained = [parameter for group in groups for parameter in group["params"]]
    assert len({id(p) for p in trained}) == len(trained)
    assert {id(p) for p in objective.parameters()} <= {id(p) for p in trained}
    assert {id(p) for p in module.model.parameters()} <= {id(p) for p in trained}
    assert not {id(p) for p in module.teacher.parameters()} & {id(p) for p in trained}
    assert isinstance(module.objective, AdaSSL) == edited
    assert any(child is objective for child in module.modules())


@pytest.mark.parametrize("num_dimensions", [None, D])
def test_a_learned_temperature_is_not_decayed(num_dimensions):
    objective = MVInfoNCE(LearnedTemperature(num_dimensions=num_dimensions))
    for edited in (False, True):
        decayed, free = pretraining(objective, edited=edited).configure_optimizers()["optimizer"].param_groups
        assert decayed["weight_decay"] > 0 == free["weight_decay"]
        assert any(p is objective.temperature.theta for p in free["params"])
        assert not any(p is objective.temperature.theta for p in decayed["params"])


@pytest.mark.parametrize(("name", "value"), [("encode_chunk", 0), ("teacher_decay", 1.5), ("teacher_decay", -0.1)])
def test_wrong_settings_are_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"training.{name}"):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize(("num_videos", "world_size", "sizes"), [
    (21, 1, [[4] * 5]),  # a last batch that is not full is left out
    (20, 2, [[4, 4], [4, 4]]),
    (5, 2, [[3], [2]]),
    (8, 2, [[4], [4]]),
    (3, 3, [[1], [1], [1]]),
])  # fmt: skip
def test_held_out_videos_are_shared_out_once(num_videos, world_size, sizes):
    shares = [heldout_shares(num_videos, batch_size=4, rank=r, world_size=world_size) for r in range(world_size)]
    assert [[len(one) for one in share] for share in shares] == sizes
    seen = [video for share in shares for one in share for video in one]
    assert len(set(seen)) == len(seen)
    assert sorted(seen) == list(range(len(seen)))


@pytest.mark.parametrize(
    ("objective", "settings", "message"),
    [
        (MVInfoNCE(), {"free_nats": 0.1}, "training.free_nats is about the latent"),
        (MVInfoNCE(), {"inference_view": True}, "training.inference_view is about the latent"),
        (MVInfoNCE(), {"rollout": True}, "training.rollout is about the transition"),
        (Prediction(), {}, "neither a regulariser nor a teacher collapses"),
    ],
)
def test_settings_that_would_have_no_effect_or_a_bad_one_are_refused(objective, settings, message):
    with pytest.raises(UsageError, match=message):
        pretraining(objective, **settings)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (MVInfoNCE(graph=[(0, 4)]), "two different views"),
        (Distillation(predictor=nn.Linear(3, 6)), "Distillation does not work on 2 views of 6 dimensions"),
        (Prediction(nn.Identity()), "a regulariser that returns a Loss"),
        (MVInfoNCE(LearnedTemperature(num_dimensions=5)), "one temperature for each of 6 dimensions, got 5"),
    ],
)
def test_an_objective_that_does_not_fit_is_found_in_the_rehearsal(objective, message):
    with pytest.raises(UsageError, match=message):
        rehearse(pretraining(objective), num_views=2, batch_size=4)


def test_a_rollout_is_asked_for_by_a_setting():
    module = pretraining(MVInfoNCE(graph="forward"), edited=True, rollout=True)
    assert module.objective.rollout
    rehearse(module, num_views=3, batch_size=4)
    assert not pretraining(MVInfoNCE(), edited=True).objective.rollout


def test_a_rehearsal_leaves_no_trace():
    module = pretraining(DINO(6), edited=True)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    rehearse(module, num_views=2, batch_size=4)
    torch.testing.assert_close(torch.rand(3), expected)
    torch.testing.assert_close(module.state_dict(), before)


def test_a_step_draws_the_same_whatever_was_drawn_before_it():
    module = pretraining(MVInfoNCE(), edited=True)
    nn.init.normal_(module.model.editor.net[-1].weight)  # away from the identity, so that r matters
    module._loss(batch(), 5)
    torch.rand(10)
    first = module._loss(batch(), 7)[0].total
    module._loss(batch(), -1)  # a look at held-out videos
    torch.testing.assert_close(module._loss(batch(), 7)[0].total, first, rtol=0, atol=0)
    assert module._loss(batch(), 8)[0].total != first


def test_pretrain_is_a_function_of_the_package_however_it_is_imported():
    program = (
        "from videossl.training import pretrain; import videossl.training.pretrain; "
        "from videossl.training import pretrain as again; assert callable(pretrain) and again is pretrain"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
