"""Load what a run directory holds. No pickle is read: the config is YAML, the weights are safetensors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from videossl.errors import UsageError
from videossl.models import WorldModel
from videossl.run_directory import RunDirectory

if TYPE_CHECKING:
    from videossl.data.settings import DataSettings

Built = TypeVar("Built")


def _build(kind: type[Built], section: str, config: dict[str, Any], source: str) -> Built:
    """Make the object that a section of a config describes.

    Raises:
        UsageError: The section is missing, or does not fit the signature of `kind`.
    """
    from jsonargparse import ArgumentParser

    if section not in config:
        raise UsageError(f"{source} has no section `{section}`. Give the config of a run of `videossl pretrain`.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{section}", type=kind)
    try:
        built = parser.instantiate(parser.parse_object({section: config[section]}))[section]
    except Exception as error:  # jsonargparse raises many kinds; to the user they are one
        reason = " ".join(str(error).split())
        raise UsageError(f"the section `{section}` of {source} cannot be used: {reason}") from error
    if not isinstance(built, kind):
        raise UsageError(f"the section `{section}` of {source} makes a {type(built).__name__}, not a {kind.__name__}.")
    return built


def build_model(config: dict[str, Any], *, source: str = "the config") -> WorldModel:
    """The model that a run's config describes, with fresh weights.

    Args:
        config: The whole config of a run.
        source: Where it came from, for messages.

    Raises:
        UsageError: The section `model` describes no model.
    """
    return _build(WorldModel, "model", config, source)


def load_data_settings(run: Path | str) -> "DataSettings":
    """How the clips of a run were cut.

    Raises:
        UsageError: No such run, or its section `data` cannot be used.
    """
    from videossl.data.settings import DataSettings

    directory = RunDirectory(run)
    return _build(DataSettings, "data", directory.read_config(), str(directory.config))


def load(run: Path | str, *, device: torch.device | str = "cpu") -> WorldModel:
    """Load the model of a run, ready for use.

    Args:
        run: Run directory: it holds `config.yaml` and `weights.safetensors`.
        device: Where the model goes.

    Returns:
        The model in evaluation mode, without gradients.

    Raises:
        UsageError: No such run, no weights in it, or weights that are not of this model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    directory = RunDirectory(run)
    config = directory.read_config()
    if not directory.weights.is_file():
        raise UsageError(
            f"{directory.path} has no weights.safetensors: the training has not ended. "
            f"Go on with: videossl pretrain --config {directory.config} --ckpt last"
        )
    model = build_model(config, source=str(directory.config))
    try:
        weights = load_file(directory.weights)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{directory.weights} is not a safetensors file: {error}") from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split()[:30])
        raise UsageError(f"{directory.weights} is of another model than {directory.config} says: {reason}") from error
    model.clip_frames = config.get("data", {}).get("clips", {}).get("num_frames")
    return model.to(device).eval().requires_grad_(False)


def usable(device: str) -> str:
    """The device, if torch can use it here."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise UsageError(
            f"--device {device} cannot be used here: {reason.rstrip(chr(46))}. Use --device cpu."
        ) from error
    return device
