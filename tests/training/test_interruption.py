"""Ctrl-C: the training ends with a step, and goes on as if nothing had been."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from command_line import REPOSITORY, SMALL, videossl
from safetensors.torch import load_file

from videossl.training.interruption import StopBetweenSteps


def command(videos, out):
    options = ("--config", REPOSITORY / "configs/pretrain/quickstart.yaml", *SMALL, "--training.max_steps=80")
    return [*map(str, ("pretrain", *options, "--data.videos", videos, "--out", out))]


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(small_world, tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-m", "videossl.cli", *command(small_world, tmp_path / "stopped")],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = tmp_path / "stopped" / "checkpoints" / "step-3.ckpt"
    while not first.is_file() and started.poll() is None:
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=120)
    assert started.returncode == 1, said
    assert "interrupted after step" in said.splitlines()[-1]
    assert "which is saved. Go on with: videossl pretrain --config" in said.splitlines()[-1]
    assert "Traceback" not in said
    done = videossl("pretrain", "--config", tmp_path / "stopped" / "config.yaml", "--ckpt", "last")
    assert done.returncode == 0, done.stderr
    assert videossl(*command(small_world, tmp_path / "unbroken")).returncode == 0
    weights, unbroken = (load_file(tmp_path / name / "weights.safetensors") for name in ("stopped", "unbroken"))
    for name, value in unbroken.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


def test_a_second_time_it_does_not_wait(tmp_path, capsys):
    stop, before = StopBetweenSteps(tmp_path / "last.ckpt"), signal.getsignal(signal.SIGINT)
    stop.on_train_start(None, None)
    signal.raise_signal(signal.SIGINT)
    assert "stopping after this step" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
