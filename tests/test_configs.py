import re
from pathlib import Path

import pytest
import yaml
from tiny_transformers import write_tiny

from videossl.cli import verb_parser, world_parser
from videossl.loading import build_model
from videossl.worlds import World

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
PRETRAIN = [path for path in CONFIGS if path.parent.name == "pretrain"]


@pytest.mark.parametrize("path", PRETRAIN, ids=lambda path: path.name)
def test_every_config_of_pretrain_parses_and_builds(path, tmp_path):
    options = ["--config", str(path)]
    if "TransformersEncoder" in path.read_text():  # its weights are on the hub: a tiny one of the same kind
        options += ["--model.encoder.path", str(write_tiny("vjepa2", tmp_path / "vjepa2"))]
    parser = verb_parser("pretrain")
    built = parser.instantiate(parser.parse_args(options))
    assert sum(parameter.numel() for parameter in built.model.parameters()) > 0


@pytest.mark.parametrize("path", [path for path in CONFIGS if path not in PRETRAIN], ids=lambda path: path.name)
def test_every_config_of_a_world_parses_and_builds(path):
    assert path.parent.name == "world"
    parser = world_parser()
    name = re.search(r"videossl world (\w+)", path.read_text()).group(1)
    built = parser.instantiate(parser.parse_args([name, "--config", str(path), "--out", "nowhere"]))
    assert isinstance(built[name].world, World)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_says_its_command(path):
    assert f"--config configs/{path.parent.name}/{path.name}" in path.read_text()


def test_the_twin_differs_from_the_quickstart_in_the_latent_only():
    quickstart, twin = (
        yaml.safe_load((PRETRAIN[0].parent / name).read_text()) for name in ("quickstart.yaml", "quickstart_twin.yaml")
    )
    assert quickstart["model"].pop("latent") is not None
    assert twin["model"].pop("latent") is None
    del quickstart["beta"], quickstart["out"], twin["out"]
    assert quickstart == twin


def test_a_model_section_builds_the_same_model_as_the_command_line():
    config = yaml.safe_load((PRETRAIN[0].parent / "quickstart.yaml").read_text())
    assert build_model(config).latent_dim == 8
