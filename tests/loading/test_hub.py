"""The Hugging Face hub, without it: a cache as it leaves one, and an upload that goes into a folder."""

import json
import shutil

import huggingface_hub
import pytest
import torch
from small_models import frames

import videossl
from videossl.errors import UsageError
from videossl.loading import load_data_settings
from videossl.loading.hub import PretrainedWorldModel

COMMIT, OLDER = "a" * 40, "b" * 40


@pytest.fixture
def saved(run, tmp_path):
    videossl.load(run).save_pretrained(tmp_path / "saved", model_card_kwargs={"training_data": "Clips of *dogs*."})
    return tmp_path / "saved"


@pytest.fixture
def cache(saved, tmp_path, monkeypatch):
    """A cache of the hub that holds dogs/runner, and no way to the hub."""
    root = tmp_path / "cache"
    repository = root / "models--dogs--runner"
    shutil.copytree(saved, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return root


def same(model, other):
    return torch.equal(model.embed(frames()).embedding, other.embed(frames()).embedding)


def test_a_saved_model_is_the_same_model_again_and_again(run, saved, tmp_path):
    original, again = videossl.load(run), videossl.load(saved)
    assert same(original, again)
    again.save_pretrained(tmp_path / "twice")
    assert json.loads((tmp_path / "twice/config.json").read_text()) == json.loads((saved / "config.json").read_text())
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", "README.md"}


def test_the_card_says_what_it_is_how_to_load_it_and_what_it_was_trained_on(saved):
    card = huggingface_hub.ModelCard.load(saved / "README.md")
    assert card.data.library_name == "videossl"
    assert "pip install -e ." in card.text  # it is on no index
    assert "pip install videossl" not in card.text
    for part in (
        "videossl.load(",
        "torch.zeros(1, 4, 3, 16, 16",
        "VideoTransformer, width 24",
        "MVInfoNCE",
        "Clips of *dogs*.",
    ):
        assert part in card.text


def test_no_path_of_the_machine_that_trained_it_goes_out(run, saved):
    for path in saved.iterdir():
        assert b"/home/somebody" not in path.read_bytes(), path
    assert "/home/somebody" in (run / "config.yaml").read_text()


def test_a_model_of_the_hub_is_loaded_from_the_cache_without_the_hub(run, cache):
    assert same(videossl.load("dogs/runner"), videossl.load(run))
    assert same(videossl.load("dogs/runner", revision="main"), videossl.load(run))
    assert same(videossl.load(f"dogs/runner@{COMMIT}"), videossl.load(run))
    assert same(PretrainedWorldModel.from_pretrained("dogs/runner", local_files_only=True), videossl.load(run))
    assert load_data_settings("dogs/runner").clips.num_frames == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dogs/sleeper", "neither in the cache of the hub nor can it be fetched"),
        (f"dogs/runner@{OLDER}", "neither in the cache of the hub nor can it be fetched"),
        ("dogs", "no such run directory: dogs"),
        ("dogs/runner/extra", "no such run directory: dogs/runner/extra"),
        ("dogs/..", "no such run directory"),
    ],
)
def test_a_model_that_is_neither_here_nor_there_is_one_line(cache, name, says):
    with pytest.raises(UsageError, match=says) as error:
        videossl.load(name)
    assert "\n" not in str(error.value)


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dogs").mkdir()
    with pytest.raises(UsageError, match=r"no such run directory: dogs/runner\. Give a folder"):
        videossl.load("dogs/runner")


def test_a_hostile_model_of_the_hub_is_refused(cache):
    config = cache / "models--dogs--runner/snapshots" / COMMIT / "config.json"
    content = json.loads(config.read_text())
    content["model"]["init_args"]["editor"] = {"class_path": "os.system"}
    config.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"names `os.system` as model\..*refused"):
        videossl.load("dogs/runner")


def test_pushing_uploads_what_loading_reads(run, tmp_path, monkeypatch):
    uploaded = tmp_path / "uploaded"

    def create_repo(self, repo_id, **_):
        return huggingface_hub.RepoUrl(f"{self.endpoint}/{repo_id}")

    def upload_folder(self, *, repo_id, folder_path, **options):
        shutil.copytree(folder_path, uploaded)
        return f"{repo_id}@{options['revision']}"

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    model = videossl.load(run)
    pushed = model.push_to_hub("dogs/runner", branch="main", model_card_kwargs={"license": "mit"})
    assert pushed == "dogs/runner@main"
    assert same(videossl.load(uploaded), model)
    card = huggingface_hub.ModelCard.load(uploaded / "README.md")
    assert card.data.license == "mit"
    assert 'videossl.load("dogs/runner")' in card.text
    assert "--run dogs/runner" in card.text


def test_a_model_is_sent_to_another_process_with_its_config(run):
    import pickle

    model = videossl.load(run)
    again = pickle.loads(pickle.dumps(model))
    assert same(again, model)
    assert again.config == model.config
