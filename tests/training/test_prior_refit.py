import json
import re
import shutil

import pytest
import torch
from command_line import REPOSITORY, SMALL, in_this_process
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from videossl.cli import main, verb_parser
from videossl.errors import UsageError
from videossl.loading import build_model, find_model_files, load
from videossl.loading.fitted_prior import PRIOR
from videossl.loading.weights import read_weights
from videossl.models import GatePrior, GaussianPrior, MixturePrior
from videossl.run_directory import RunDirectory
from videossl.training.prior_fit import PriorFit
from videossl.training.refit_run import refit_run
from videossl.training.refit_settings import PriorRefit
from videossl.training.weights_file import save_weights

MIXTURE = {"class_path": "videossl.models.MixturePrior", "init_args": {"num_components": 3, "hidden_dim": 16}}


def made(embedding_dim, latent_dim):
    return MixturePrior(embedding_dim, latent_dim, **MIXTURE["init_args"])


QUICK = PriorRefit(made, max_steps=150, learning_rate=1e-2)


@pytest.fixture
def run(small_run, tmp_path):
    """A run whose prior is far off, so that any other is better."""
    copy = shutil.copytree(small_run, tmp_path / "run")
    model = load(copy)
    model.latent.prior_net = GaussianPrior(model.embedding_dim, model.latent_dim)
    with torch.no_grad():
        model.latent.prior_net[-1].bias += 2.0
    save_weights(model, copy / "weights.safetensors", prior=None)
    return copy


def test_a_run_gets_a_better_prior_and_all_else_stays(run):
    before = load(run)
    config = (run / "config.yaml").read_bytes()
    fit = refit_run(run, QUICK, prior=MIXTURE)
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
    refit_run(run, QUICK, prior=MIXTURE)
    model = load(run)
    model.save_pretrained(tmp_path / "saved")
    states = torch.nn.functional.normalize(torch.randn(3, 64), dim=-1)
    again = load(tmp_path / "saved")
    assert torch.equal(again.sample_futures(states, num_samples=2), model.sample_futures(states, num_samples=2))


def test_the_training_of_a_refitted_run_can_go_on(run):
    refit_run(run, QUICK, prior=MIXTURE)
    of_training = build_model(RunDirectory(run).read_config()).state_dict()
    checkpoint = read_weights(run / "checkpoints" / "last.ckpt")
    assert {name: value.shape for name, value in of_training.items()} == {
        name: value.shape for name, value in checkpoint.items()
    }


def test_a_worse_prior_leaves_the_weights_alone(run):
    before = (run / "weights.safetensors").read_bytes()
    fit = refit_run(run, PriorRefit(made, max_steps=1, learning_rate=1e3), prior=MIXTURE)
    assert not fit.is_better
    assert (run / "weights.safetensors").read_bytes() == before


def test_pretraining_ends_with_a_refit_unless_it_is_told_not_to():
    config = ["--config", str(REPOSITORY / "configs/pretrain/quickstart.yaml")]
    assert verb_parser("pretrain").build(config)[1].training.refit == PriorRefit()
    assert verb_parser("pretrain").build([*config, "--training.refit", "null"])[1].training.refit is None


def test_the_command_refits_with_the_class_it_is_given(run, capsys):
    options = ["--refit.prior", MIXTURE["class_path"], "--refit.prior.num_components", "5", "--refit.max_steps", "50"]
    with pytest.raises(SystemExit) as left:
        main(["refit-prior", "--run", str(run), *options])
    assert left.value.code == 0
    assert re.search(
        r"prior MixturePrior: .* kept-out pairs after the fit, .* \(lower is better\): kept", capsys.readouterr().out
    )
    with safe_open(run / "weights.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()[PRIOR])["init_args"]["num_components"] == 5
    assert load(run).latent.prior_net.num_components == 5


def test_a_model_without_a_prior_to_fit_is_refused(small_twin):
    with pytest.raises(UsageError, match="this model has no latent: there is no prior to fit"):
        refit_run(small_twin, PriorRefit(), prior=None)


def test_a_prior_that_cannot_be_fitted_is_refused_before_the_training(small_world, tmp_path, capsys):
    config = ["--config", str(REPOSITORY / "configs/pretrain/quickstart.yaml"), "--data.videos", str(small_world)]
    parts = ["--model.latent", "videossl.models.SparseGate", "--model.editor", "videossl.models.LowRankEditor"]
    with pytest.raises(SystemExit) as left:
        main(
            ["pretrain", *config, *parts, "--training.refit.prior", MIXTURE["class_path"], "--out", str(tmp_path / "r")]
        )
    assert left.value.code == 2
    assert "expected a GatePrior as the prior of a SparseGate, got a MixturePrior" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("prior", "says"),
    [(torch.nn.Linear, "refit.prior is no prior: .*log_prob"), (GatePrior, "no prior of a GaussianL")],
)
def test_what_is_no_prior_is_refused_before_anything_is_embedded(run, prior, says):
    with pytest.raises(UsageError, match=says):
        refit_run(run, PriorRefit(prior), prior=None)


@pytest.mark.parametrize("then", ["null", "{max_steps: 20}"], ids=["nothing", "refit"])
def test_a_prior_that_was_trained_along_is_in_the_weights_and_in_no_checkpoint(
    small_world, tmp_path, monkeypatch, then
):
    def given(latent, contexts, futures, settings, **_):
        """A fit on the few pairs of this world would not be better than what the training left."""
        latent.prior_net = settings.prior(contexts.shape[1], latent.latent_dim)
        return PriorFit(None, 0.0, 0, True, len(contexts), 0, "MixturePrior")

    monkeypatch.setattr("videossl.training.transition_fit.fit_prior", given)
    shared = "{max_steps: 20, nats: 1.5, num_components: 4}"
    settings = f"{{max_steps: 60, learning_rate: 0.01, nats: 1.0, prior: {json.dumps(MIXTURE)}, shared: {shared}}}"
    code = in_this_process(
        "pretrain", "--config", REPOSITORY / "configs/pretrain/quickstart.yaml", *SMALL[:-1],
        f"--data.videos={small_world}", f"--training.refit_transition={settings}", f"--training.refit={then}",
        f"--out={tmp_path / 'run'}",
    )  # fmt: skip
    assert code == 0
    model = load(tmp_path / "run")
    assert isinstance(model.latent.prior_net, MixturePrior)
    assert model.latent.prior_net.num_components == 3
    assert model.sample_futures(torch.eye(64)[:2], num_samples=3).isfinite().all()
    checkpoint = read_weights(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert "latent.prior_net.net.0.weight" not in checkpoint


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
