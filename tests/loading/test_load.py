import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import CONFIG, frames

import videossl
from videossl.errors import UsageError
from videossl.loading import find_model_files, load_data_settings
from videossl.models import WorldModel


def embedded(source, **options):
    return videossl.load(source, **options).embed(frames()).embedding


def test_a_run_directory_gives_a_model_ready_for_use(run):
    model = videossl.load(run)
    assert isinstance(model, WorldModel)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.clip_frames == 4
    assert model.config["training"]["max_steps"] == 7
    assert model.sample_futures(frames(), num_samples=2).shape == (2, 2, 1, 6)


def test_a_weights_file_next_to_its_config_is_enough(run):
    assert torch.equal(embedded(run / "weights.safetensors"), embedded(run))
    other = run / "other.safetensors"
    save_file({name: value + 1 for name, value in load_file(run / "weights.safetensors").items()}, other)
    assert not torch.equal(embedded(other), embedded(run))


def test_a_checkpoint_of_a_training_that_has_not_ended_can_be_loaded(run):
    assert torch.equal(embedded(run / "checkpoints" / "step-3.ckpt"), embedded(run))


def test_a_folder_with_json_config_and_model_safetensors_is_enough(run, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    shutil.copy(run / "weights.safetensors", folder / "model.safetensors")
    assert torch.equal(embedded(folder), embedded(run))
    assert find_model_files(folder).weights_sha256() == find_model_files(run).weights_sha256()


def test_how_clips_were_cut_is_told_of_a_run_and_of_a_shared_model(run, tmp_path):
    videossl.load(run).save_pretrained(tmp_path / "saved")
    for source in (run, tmp_path / "saved"):
        settings = load_data_settings(source)
        assert (settings.clips.num_frames, settings.clips.frame_stride, settings.frame_size) == (4, 2, 16)


@pytest.mark.parametrize(
    ("change", "source", "says"),
    [
        (lambda run: None, "run/none", "no such run directory"),
        (lambda run: None, "run/checkpoints", "not a run directory: it has no config.yaml"),
        (lambda run: (run / "weights.safetensors").unlink(), "run", "the training has not ended"),
        (lambda run: (run / "config.yaml").write_text("model: [1"), "run", "cannot be read as YAML"),
        (
            lambda run: (run / "config.yaml").unlink(),
            "run/weights.safetensors",
            "no config.yaml or config.json next to",
        ),
        (lambda run: (run / "config.yaml").rename(run / "config.json"), "run", "cannot be read as JSON"),
        (lambda run: (run / "weights.safetensors").write_bytes(b"nothing"), "run", "is not a safetensors file"),
        (lambda run: save_file({"a": torch.zeros(2)}, run / "weights.safetensors"), "run", "is of another model than"),
        (lambda run: (run / "notes.txt").write_text("a"), "run/notes.txt", "is no safetensors file"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(run, tmp_path, change, source, says):
    change(run)
    with pytest.raises(UsageError, match=says) as error:
        videossl.load(tmp_path / source)
    assert "\n" not in str(error.value)


def test_a_json_config_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(UsageError, match="neither of a model of videossl nor of one of transformers"):
        videossl.load(tmp_path)


def test_a_device_that_torch_cannot_use_here_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match=r'the device nonsense cannot be used here: .*\. Use device="cpu"\.'):
        videossl.load(tmp_path / "none", device="nonsense")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_model_for_one_is_refused(run):
    with pytest.raises(UsageError, match="the device cuda cannot be used here"):
        videossl.load(run, device="cuda")


def test_what_is_no_name_of_a_model_is_refused():
    with pytest.raises(UsageError, match="expected a model, got 3"):
        videossl.load(3)


def test_a_model_is_not_saved_into_a_file(run, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UsageError, match=r"got the file .*taken"):
        videossl.load(run).save_pretrained(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
