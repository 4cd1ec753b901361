"""docs/pretraining.md: its columns, settings and programs are there, and do what it says."""

import csv
import os
import re
import subprocess
import sys

from command_line import REPOSITORY, SMALL

from videossl.cli.dispatch import verb_parser

PAGE = (REPOSITORY / "docs/pretraining.md").read_text(encoding="utf-8")


def test_the_columns_of_the_page_are_in_metrics_csv(small_run):
    with (small_run / "metrics.csv").open() as file:
        columns = set(csv.DictReader(file).fieldnames)
    named = set(re.findall(r"`((?:train|heldout)/[\w/]+)`", PAGE))
    assert len(named) > 12
    assert named <= columns


def test_the_options_of_the_page_are_options():
    options = {option.removeprefix("--") for option in verb_parser("pretrain")._option_string_actions}
    named = set(re.findall(r"(?:--|`)((?:data|training)\.[\w.]+)", PAGE))
    assert len(named) > 10
    assert named <= options


def test_an_encoder_of_ones_own_is_trained_and_loaded(small_world, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.py").write_text(program)
    trusted = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}

    def run(*args):
        command = [sys.executable, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, env=trusted, capture_output=True, text=True)

    assert run("mine.py").stdout == "torch.Size([2, 4, 6, 6, 64])\n"
    done = run(
        "-m", "videossl.cli", "pretrain", "--config", REPOSITORY / "configs/pretrain/quickstart.yaml",
        *(option for option in SMALL if not option.startswith("--model.encoder")),
        "--data.videos", small_world, "--out", tmp_path / "run", "--model.encoder", "mine.Patches",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    load = f"import videossl; print(type(videossl.load({str(tmp_path / 'run')!r}).encoder).__name__)"
    refused = run("-c", load)
    assert "VIDEOSSL_TRUST" in refused.stderr
    trusted["VIDEOSSL_TRUST"] = "mine"
    assert run("-c", load).stdout == "Patches\n"
