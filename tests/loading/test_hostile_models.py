"""Models that want to run something. Each payload would leave a file; none may."""

import os
import pickle
import shutil
import subprocess
from copy import deepcopy

import pytest
import torch
import yaml
from small_models import CONFIG

import videossl
from videossl.errors import UsageError
from videossl.loading import load_data_settings
from videossl.loading.trust import check_class_paths
from videossl.models import WorldModel
from videossl.training.checkpoint import Checkpoint


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path):
    """The file that a payload would leave."""
    path = tmp_path / "was_here"
    yield path
    assert not path.exists()


def test_the_payload_of_these_tests_would_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def payloads(mark):
    content = {"state_dict": {"model.a": Payload(mark)}, "global_step": 1}
    return {
        "torch.save": lambda path: torch.save(content, path),
        "old torch.save": lambda path: torch.save(content, path, _use_new_zipfile_serialization=False),
        "pickle": lambda path: path.write_bytes(pickle.dumps(content)),
    }


@pytest.mark.parametrize("written_by", ["torch.save", "pickle", "old torch.save"])
def test_a_pickle_named_safetensors_is_refused_and_not_run(run, mark, written_by):
    payloads(mark)[written_by](run / "weights.safetensors")
    with pytest.raises(UsageError, match="is not a safetensors file: it is a pickle under another name") as error:
        videossl.load(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("written_by", ["torch.save", "pickle", "old torch.save"])
def test_a_hostile_checkpoint_is_refused_and_not_run(run, mark, written_by):
    path = run / "checkpoints" / "last.ckpt"
    payloads(mark)[written_by](path)
    says = r"asks to run posix.system.*refused" if written_by == "torch.save" else "is not a checkpoint"
    for read in (Checkpoint.read, videossl.load):
        with pytest.raises(UsageError, match=says) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "model.ckpt", "model.pkl"])
def test_a_folder_with_a_pickle_alone_is_refused_and_not_run(run, mark, name):
    (run / "weights.safetensors").unlink()
    shutil.rmtree(run / "checkpoints")
    payloads(mark)["torch.save"](run / name)
    with pytest.raises(UsageError, match=f"has no safetensors, only {name}"):
        videossl.load(run)
    with pytest.raises(UsageError, match=r"is no safetensors file|asks to run posix.system"):
        videossl.load(run / name)


def with_model(run, **changes):
    config = deepcopy(CONFIG)
    config["model"]["init_args"].update(changes)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


HOSTILE = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.nn.Linear",  # harmless, and not ours either
    "videossl.models.world_model.torch.load",  # through a module of ours
    "videossl.models.world_model.nn.Linear",
    "videossl.models.likelihood.log_prob",  # ours, but no class
    "videossl.files.replacing",
    "videossl.cli.main",
    "videossl.models.NoSuch",
    "NoSuch",
    "os",
    "",
    "videossl.models..WorldModel",
]


@pytest.mark.parametrize("place", ["encoder", "projector", "latent", "editor"])
@pytest.mark.parametrize("path", HOSTILE)
def test_a_config_that_names_a_class_of_elsewhere_is_refused(run, place, path):
    with pytest.raises(UsageError, match=f"as model.init_args.{place}|model.{place}|cannot be used") as error:
        videossl.load(with_model(run, **{place: {"class_path": path, "init_args": {"command": "true"}}}))
    assert "\n" not in str(error.value)
    assert "config.yaml" in str(error.value)


@pytest.mark.parametrize("place", ["encoder", "projector", "latent", "editor"])
@pytest.mark.parametrize(
    "text", ["os.system", "subprocess.Popen", "Identity", "this.py", "/etc/passwd", "../other.yaml"]
)
def test_neither_is_it_called_by_its_name_alone(run, place, text):
    says = (
        "cannot be used|could run anything" if text == "Identity" else "refused, because a config from elsewhere could"
    )
    with pytest.raises(UsageError, match=says):
        videossl.load(with_model(run, **{place: text}))


def test_a_payload_named_by_a_config_does_not_run(run, mark):
    call = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(mark)]}}
    assert subprocess.Popen  # it is there to be called
    for place in ("encoder", "editor"):
        with pytest.raises(UsageError, match=r"names `subprocess.Popen` as model\.\S*.* VIDEOSSL_TRUST=subprocess"):
            videossl.load(with_model(run, **{place: call}))
    config = deepcopy(CONFIG) | {"model": call}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match=r"names `subprocess.Popen` as model"):
        videossl.load(run)


def test_a_module_of_elsewhere_is_not_even_imported(run, tmp_path, monkeypatch, mark):
    (tmp_path / "sneaky.py").write_text(f"open({str(mark)!r}, 'w')\nclass Encoder: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="sneaky"):
        videossl.load(with_model(run, encoder={"class_path": "sneaky.Encoder"}))


def test_a_config_that_points_to_another_file_does_not_get_around_it(run, tmp_path, monkeypatch, mark):
    (tmp_path / "plain").write_text(
        yaml.safe_dump({"class_path": "subprocess.Popen", "init_args": {"args": f"touch {mark}"}})
    )
    monkeypatch.chdir(tmp_path)
    for place in ("encoder", "projector", "latent", "editor"):
        with pytest.raises(UsageError, match=r"subprocess|cannot be used"):
            videossl.load(with_model(run, **{place: "plain"}))


def test_the_reader_of_a_config_is_checked_too(run):
    config = deepcopy(CONFIG)
    for name, value in (
        ("reader", "subprocess.Popen"),
        *((n, {"class_path": "subprocess.Popen"}) for n in config["data"]),
    ):
        changed = config | {"data": config["data"] | {name: value}}
        (run / "config.yaml").write_text(yaml.safe_dump(changed))
        with pytest.raises(UsageError, match=rf"names `subprocess.Popen` as data.{name}"):
            load_data_settings(run)


OWN_ENCODER = """
from videossl.models import VideoTransformer

class Mine(VideoTransformer):
    pass
"""


def test_a_package_that_the_user_trusts_may_be_named(run, tmp_path, monkeypatch):
    (tmp_path / "my_encoders.py").write_text(OWN_ENCODER)
    monkeypatch.syspath_prepend(tmp_path)
    encoder = deepcopy(CONFIG["model"]["init_args"]["encoder"]) | {"class_path": "my_encoders.Mine"}
    with pytest.raises(UsageError, match="VIDEOSSL_TRUST=my_encoders"):
        videossl.load(with_model(run, encoder=encoder))
    assert type(videossl.load(run, trust=["my_encoders"]).encoder).__name__ == "Mine"
    monkeypatch.setenv("VIDEOSSL_TRUST", "others, my_encoders")
    assert type(videossl.load(run).encoder).__name__ == "Mine"
    with pytest.raises(UsageError, match="subprocess"):
        videossl.load(with_model(run, editor={"class_path": "subprocess.Popen"}))


def test_a_trust_that_is_no_import_path_is_refused(monkeypatch):
    monkeypatch.setenv("VIDEOSSL_TRUST", "my encoders/")
    with pytest.raises(UsageError, match="expected packages to trust as import paths"):
        check_class_paths({"encoder": 1}, WorldModel, name="model", source="it")
