"""`videossl pretrain` with two processes (gloo), copies or shards of the model: the same weights, also after a stop."""

import csv

import pytest
import torch
from command_line import REPOSITORY, SMALL, videossl
from safetensors.torch import load_file

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


def test_a_run_is_replaced_while_the_other_process_still_looks(trained):
    done = videossl(
        "pretrain", "--config", trained["ddp"] / "config.yaml", "--overwrite", "true", "--training.max_steps", 1
    )
    assert done.returncode == 0, done.stderr
