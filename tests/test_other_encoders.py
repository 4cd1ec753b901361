"""Encoders of Hugging Face as they came, from a folder or the hub: loaded, extracted with, exported, shared."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from command_line import REPOSITORY, in_this_process
from tiny_transformers import NORMALISATION, write_tiny

import videossl
from videossl.data import PyAVReader
from videossl.extraction.identity import model_sha256
from videossl.loading import load_data_settings
from videossl.models import IdentityProjector


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("transformers")
    return {kind: write_tiny(kind, root / kind) for kind in ("vjepa2", "dinov2", "videomae")}


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2", "videomae"])
def test_a_model_of_transformers_is_loaded_as_it_is(folders, kind):
    model = videossl.load(folders[kind])
    assert isinstance(model.projector, IdentityProjector)
    settings = load_data_settings(folders[kind])
    assert (settings.frame_size, settings.clips.num_frames) == (32, {"vjepa2": 8, "dinov2": 1, "videomae": 8}[kind])
    assert model.clip_frames == settings.clips.num_frames
    torch.testing.assert_close(model.mean_future(state := torch.eye(24)), state)


def test_vectors_are_extracted_from_a_folder_of_transformers_without_any_training(folders, small_world, tmp_path):
    assert in_this_process("extract", "--run", folders["vjepa2"], "--videos", small_world, "--out", tmp_path / "e") == 0
    table = pd.read_parquet(tmp_path / "e")
    video = table.video[0]
    vectors = np.stack(table[table.video == video].embedding)
    path = next(path for path in (small_world / "videos").iterdir() if path.name == video.split("/")[-1])
    with PyAVReader(path) as reader:
        frames = torch.from_numpy(np.array(reader.read(range(8), size=32))).permute(0, 3, 1, 2)[None] / 255
    mean, std = (torch.tensor(NORMALISATION[name]).view(3, 1, 1) for name in ("image_mean", "image_std"))
    backbone = transformers.AutoModel.from_pretrained(folders["vjepa2"]).eval()
    with torch.no_grad():
        tokens = backbone.get_vision_features((frames - mean) / std)
    expected = tokens.reshape(4, 16, 24).mean(1)  # steps in time, patches
    np.testing.assert_allclose(vectors[:4], expected.numpy(), atol=1e-4)


def test_another_frozen_encoder_is_another_model_to_extraction(folders, tmp_path):
    model = videossl.load(folders["vjepa2"])
    model.save_pretrained(tmp_path / "saved")
    other = write_tiny("vjepa2", tmp_path / "other", seed=1)
    assert model_sha256(videossl.load(tmp_path / "saved")) == model_sha256(model)
    assert model_sha256(videossl.load(other)) != model_sha256(model)


OFFLINE = """
import sys, torch, videossl
for name in sys.argv[1:]:
    model = videossl.load(name)
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (1, 8, 3, 32, 32), dtype=torch.uint8)
    print(model.embed(frames).representation.sum().item())
"""


def test_a_model_of_the_hub_is_taken_from_its_cache_without_network(folders, tmp_path):
    repository = tmp_path / "hub/models--dogs--vjepa2"
    shutil.copytree(folders["vjepa2"], repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("a" * 40)
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    names = [str(folders["vjepa2"]), "dogs/vjepa2", f"dogs/vjepa2@{'a' * 40}"]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *names], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1
    assert len(done.stdout.split()) == 3


def test_it_is_exported_and_shared_too(folders, tmp_path):
    out = tmp_path / "dinov2.onnx"
    assert in_this_process("export", "--run", folders["dinov2"], "--format", "onnx", "--out", out) == 0
    videossl.load(folders["dinov2"]).save_pretrained(tmp_path / "shared")
    frames = torch.randint(0, 256, (2, 1, 3, 32, 32), dtype=torch.uint8)
    expected = videossl.load(folders["dinov2"]).embed(frames).representation
    torch.testing.assert_close(videossl.load(tmp_path / "shared").embed(frames).representation, expected)
