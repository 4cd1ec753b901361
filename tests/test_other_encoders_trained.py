"""Every verb with an encoder of Hugging Face under a world model, frozen and trained further."""

import json

import pandas as pd
import pytest
import torch
import transformers
import yaml
from command_line import REPOSITORY, SMALL, in_this_process
from tiny_transformers import write_tiny

import videossl
from videossl.errors import UsageError
from videossl.models import TransformersEncoder

CONFIG = REPOSITORY / "configs/pretrain/frozen_backbone.yaml"
TINY = [option for option in SMALL if "encoder" not in option] + [
    "--data.frame_size=32", "--augment.size=32", "--data.clips.target_fps=null", "--training.num_workers=0",
    "--model.projector.embedding_dim=8", "--model.projector.hidden_dim=16", "--training.accelerator=cpu",
]  # fmt: skip


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("transformers")
    return {kind: write_tiny(kind, root / kind) for kind in ("vjepa2", "dinov2", "videomae")}


@pytest.fixture(scope="session")
def trained(folders, small_world, tmp_path_factory):
    """Run directories: V-JEPA 2 frozen, DINOv2 trained further."""
    out = tmp_path_factory.mktemp("runs")
    runs = {}
    for kind, freeze, frames in (("vjepa2", "true", 4), ("dinov2", "false", 2)):
        runs[kind] = out / kind
        assert in_this_process(
            "pretrain", "--config", CONFIG, "--data.videos", small_world, "--out", runs[kind], *TINY,
            "--model.encoder.path", folders[kind], "--model.encoder.freeze", freeze, "--data.clips.num_frames", frames,
        ) == 0  # fmt: skip
    return runs


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
def test_every_verb_works_on_a_run_with_such_an_encoder(trained, small_world, tmp_path, kind, capsys):
    run = trained[kind]
    assert in_this_process("evaluate", "--run", run, "--num_contexts", 16, "--num_samples", 4) == 0
    assert "samples of this model" in {
        row["name"] for row in json.loads((run / "evaluation/metrics.json").read_text())["rows"]
    }
    assert in_this_process("extract", "--run", run, "--videos", small_world, "--out", tmp_path / "e") == 0
    assert pd.read_parquet(tmp_path / "e").video.nunique() == 48
    assert in_this_process("report", "--run", run) == 0
    assert "frozen" in (run / "report.html").read_text() or kind == "dinov2"
    assert in_this_process("export", "--run", run, "--format", "torchscript", "--out", tmp_path / "encoder.pt") == 0


def test_weights_of_a_frozen_encoder_are_neither_in_checkpoints_nor_in_the_weights(trained):
    for kind, kept in (("vjepa2", False), ("dinov2", True)):
        checkpoint = torch.load(trained[kind] / "checkpoints/last.ckpt", weights_only=True, map_location="cpu")
        names = [*checkpoint["state_dict"], *videossl.load(trained[kind]).state_dict()]
        assert any("encoder.backbone." in name for name in names) is kept


def test_a_training_goes_on_with_its_frozen_encoder_and_with_no_other(trained, folders, tmp_path, capsys):
    run = trained["vjepa2"]
    onwards = ("pretrain", "--config", run / "config.yaml", "--ckpt", run / "checkpoints/last.ckpt")
    assert in_this_process(*onwards, "--training.max_steps=7", "--out", tmp_path / "on") == 0
    config = yaml.safe_load((tmp_path / "on/config.yaml").read_text())
    other = write_tiny("vjepa2", tmp_path / "other", seed=5)
    config["model"]["init_args"]["encoder"]["init_args"]["path"] = str(other)
    (tmp_path / "on/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match="whose weights are not those of"):
        videossl.load(tmp_path / "on")


def test_a_trained_encoder_differs_from_the_one_that_it_came_from(trained, folders):
    began = transformers.AutoModel.from_pretrained(folders["dinov2"]).layernorm.weight
    model = videossl.load(trained["dinov2"])
    assert not torch.equal(model.encoder.backbone.layernorm.weight, began)
    assert torch.equal(model.reinitialised(0).encoder.backbone.layernorm.weight, began)


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
def test_such_a_model_is_shared_whole(trained, small_world, tmp_path, monkeypatch, kind):
    model = videossl.load(trained[kind])
    model.save_pretrained(tmp_path / "shared")
    path = model.config["model"]["init_args"]["encoder"]["init_args"]["path"]
    monkeypatch.setattr(TransformersEncoder, "_read", refusing(TransformersEncoder._read, path))  # not from there
    (tmp_path / "shared").rename(tmp_path / "elsewhere")
    again = videossl.load(tmp_path / "elsewhere")
    frames = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(again.embed(frames).embedding, model.embed(frames).embedding)
    weights = (tmp_path / "elsewhere/backbone/model.safetensors").exists()
    assert weights is (kind == "vjepa2")  # what was trained is among the model's own weights
    assert path not in (tmp_path / "elsewhere/config.json").read_text()


def refusing(read, path):
    def checked(encoder):
        assert encoder.path != path
        return read(encoder)

    return checked


def test_clips_that_the_encoder_cannot_take_are_refused_before_training(folders, small_world, tmp_path, capsys):
    common = ("pretrain", "--config", CONFIG, "--data.videos", small_world, "--out", tmp_path / "run", *TINY)
    videomae = ("--model.encoder.path", folders["videomae"])
    assert in_this_process(*common, *videomae, "--data.clips.num_frames", 4) == 2
    assert "expected clips of 8 frames" in capsys.readouterr().err
    assert in_this_process(*common, *videomae, "--data.clips.num_frames", 8, "--augment.size", 16) == 2
    assert "expected frames of 32 x 32 pixels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
