import json
import shutil

import pytest
import torch
from command_line import REPOSITORY, SMALL, videossl
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from videossl.errors import UsageError
from videossl.loading import find_model_files, load
from videossl.loading.fitted_prior import PRIOR
from videossl.models import GaussianPrior, MixturePrior
from videossl.training.refit_run import refit_run
from videossl.training.refit_settings import PriorRefit

MIXTURE = {"class_path": "videossl.models.MixturePrior", "init_args": {"num_components": 3, "hidden_dim": 16}}


def made(embedding_dim, latent_dim):
    return MixturePrior(embedding_dim, latent_dim, **MIXTURE["init_args"])


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def test_a_run_gets_a_better_prior_and_all_else_stays(run):
    before = load(run)
    config = (run / "config.yaml").read_bytes()
    fit = refit_run(run, PriorRefit(made, max_steps=300, learning_rate=1e-2), prior=MIXTURE)
    assert fit.is_better
    after = load(run)
    assert isinstance(after.latent.prior_net, MixturePrior)
    assert after.latent.prior_net.num_components == 3
    weights, old = after.state_dict(), before.state_dict()
    changed = {name for name in weights if name not in old or not torch.equal(weights[name], old[name])}
    assert all(name.startswith("latent.prior_net.") or name == "concentration" for name in changed)
    assert (run / "config.yaml").read_bytes() == config  # so that the training can go on
    assert find_model_files(run).config["model"]["init_args"]["latent"]["init_args"]["prior"] == MIXTURE


def test_a_refitted_model_can_be_saved_and_loaded_elsewhere(run, tmp_path):
    refit_run(run, PriorRefit(made, max_steps=300, learning_rate=1e-2), prior=MIXTURE)
    model = load(run)
    model.save_pretrained(tmp_path / "saved")
    states = torch.nn.functional.normalize(torch.randn(3, 64), dim=-1)
    again = load(tmp_path / "saved")
    assert torch.equal(again.sample_futures(states, num_samples=2), model.sample_futures(states, num_samples=2))


def test_the_training_of_a_refitted_run_goes_on(run):
    refit_run(run, PriorRefit(made, max_steps=300, learning_rate=1e-2), prior=MIXTURE)
    done = videossl("pretrain", "--config", run / "config.yaml", "--ckpt", "last", "--training.max_steps", 9)
    assert done.returncode == 0, done.stderr
    assert "prior: " in done.stdout
    assert load(run).latent_dim == 8


def test_a_worse_prior_leaves_the_weights_alone(run):
    before = (run / "weights.safetensors").read_bytes()
    fit = refit_run(run, PriorRefit(None, max_steps=1, learning_rate=1.0), prior=None)
    assert not fit.is_better
    assert (run / "weights.safetensors").read_bytes() == before


def test_pretraining_ends_with_a_refit_unless_it_is_told_not_to(small_world, tmp_path):
    out = tmp_path / "off"
    config = REPOSITORY / "configs/pretrain/quickstart.yaml"
    done = videossl(
        "pretrain", "--config", config, "--data.videos", small_world, "--out", out, *SMALL[:-1],
        "--training.refit", "null",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "prior:" not in done.stdout
    assert isinstance(load(out).latent.prior_net, GaussianPrior)


def test_the_command_refits_with_the_class_it_is_given(run):
    done = videossl(
        "refit-prior", "--run", run, "--refit.prior", MIXTURE["class_path"], "--refit.prior.num_components", 5,
        "--refit.max_steps", 300, "--refit.learning_rate", 0.01,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pairs beside it: kept" in done.stdout
    with safe_open(run / "weights.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()[PRIOR])["init_args"]["num_components"] == 5
    assert load(run).latent.prior_net.num_components == 5


def test_a_model_without_a_prior_to_fit_is_refused(small_twin):
    with pytest.raises(UsageError, match="has no latent, and a prior is fitted to"):
        refit_run(small_twin, PriorRefit(), prior=None)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "does not say of which prior"),
        ('{"class_path": "os.system"}', "names `os.system`"),
        ("3", "cannot be used|names"),
    ],
)
def test_a_weights_file_that_names_something_else_as_its_prior_is_refused(run, said, message):
    save_file(load_file(run / "weights.safetensors"), run / "weights.safetensors", metadata={PRIOR: said})
    with pytest.raises(UsageError, match=message):
        load(run)
