"""`videossl pretrain` with two processes (gloo), copies or shards of the model: the same weights, also after a stop."""

import csv
import importlib

import pytest
import torch
from command_line import REPOSITORY, SMALL, videossl
from safetensors.torch import load_file

from videossl.cli.dispatch import main

TWO = ("--training.accelerator", "cpu", "--training.devices", 2, "--training.num_threads", 1)


@pytest.fixture(scope="module")
def trained(small_world, tmp_path_factory):
    """Run directories by strategy."""
    folder = tmp_path_factory.mktemp("two")

    def train(strategy):
        done = videossl(
            "pretrain", "--config", REPOSITORY / "configs/pretrain/quickstart.yaml", *SMALL, *TWO,
            "--data.videos", small_world, "--out", folder / strategy, "--training.strategy", strategy,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return folder / strategy

    return {strategy: train(strategy) for strategy in ("ddp", "fsdp")}


def assert_equal_weights(run, other, **tolerance):
    weights, others = (load_file(each / "weights.safetensors") for each in (run, other))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], **tolerance)


def test_shards_learn_what_copies_learn(trained):
    assert_equal_weights(trained["ddp"], trained["fsdp"], rtol=1e-2, atol=1e-3)
    losses = {}
    for strategy, run in trained.items():
        with (run / "metrics.csv").open() as file:
            losses[strategy] = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert losses["fsdp"] == pytest.approx(losses["ddp"], rel=1e-4)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_stopped_training_goes_on_as_if_it_had_not(trained, strategy, tmp_path):
    run, again = trained[strategy], tmp_path / "again"
    stopped = again / "checkpoints" / "step-3.ckpt"
    for name in ("config.yaml", "index.parquet", "metrics.csv", "checkpoints/step-3.ckpt"):
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        (again / name).write_bytes((run / name).read_bytes())
    done = videossl("pretrain", "--config", run / "config.yaml", "--out", again, "--ckpt", stopped)
    assert done.returncode == 0, done.stderr
    assert_equal_weights(run, again, rtol=0, atol=0)
    assert (again / "metrics.csv").read_text().count("\n") == (run / "metrics.csv").read_text().count("\n")


class LookedError(Exception):
    """The index was asked for, and nothing else shall happen."""


@pytest.mark.parametrize("is_main", [True, False])
def test_only_the_main_process_reads_the_index_of_a_run_that_it_is_to_replace(trained, is_main, monkeypatch):
    known = []

    def build(*args, **options):
        known.append(options["known"])
        raise LookedError

    module = importlib.import_module("videossl.training.pretrain")  # the package has a function of that name
    monkeypatch.setattr(module, "is_main_process", lambda: is_main)
    monkeypatch.setattr(module.VideoIndex, "build", build)
    with pytest.raises(LookedError):
        main(["pretrain", "--config", str(trained["ddp"] / "config.yaml"), "--overwrite", "true"])
    assert known == [trained["ddp"] / "index.parquet" if is_main else None]
