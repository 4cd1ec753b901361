"""Load models. No pickle is executed and no foreign class is imported: see `trust` and `weights`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from videossl.errors import UsageError
from videossl.loading.files import ModelFiles, find_model_files
from videossl.loading.own_config import config_of
from videossl.loading.trust import check_class_paths
from videossl.loading.weights import read_weights
from videossl.models import WorldModel

if TYPE_CHECKING:
    from videossl.data import Augment, MultiCrop
    from videossl.data.settings import DataSettings
    from videossl.loading.hub import PretrainedWorldModel

Built = TypeVar("Built")


def _build(kind: type[Built], section: str, config: dict[str, Any], source: str, trust: Sequence[str] = ()) -> Built:
    """Make the object that a section of a config describes.

    Raises:
        UsageError: The section is missing, does not fit the signature of `kind`, or names a class that is not trusted.
    """
    from jsonargparse import ArgumentParser

    if section not in config:
        raise UsageError(f"{source} has no section `{section}`. Give the config of a run of `videossl pretrain`.")
    check_class_paths(config[section], kind, name=section, source=source, trust=trust)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{section}", type=kind)
    try:
        parsed = parser.parse_object({section: config[section]})
        # Again, now that short names are resolved and files that a config may point to are read.
        check_class_paths(parsed.as_dict()[section], kind, name=section, source=source, trust=trust)
        built = parser.instantiate(parsed)[section]
    except UsageError:
        raise
    except Exception as error:  # jsonargparse raises many kinds; to the user they are one
        raise UsageError(f"the section `{section}` of {source} cannot be used: {_reason(error)}") from error
    if not isinstance(built, kind):
        raise UsageError(f"the section `{section}` of {source} makes a {type(built).__name__}, not a {kind.__name__}.")
    return built


def _reason(error: BaseException) -> str:
    """What one of our own classes said at the bottom of it, or all of it in one line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UsageError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())


def build_model(config: dict[str, Any], *, source: str = "the config", trust: Sequence[str] = ()) -> WorldModel:
    """The model that a run's config describes, with fresh weights.

    Args:
        config: The whole config of a run.
        source: Where it came from, for messages.
        trust: Packages beside this one whose classes the config may name.

    Raises:
        UsageError: The section `model` describes no model.
    """
    return _build(WorldModel, "model", config, source, trust)


def load_data_settings(run: Path | str, *, trust: Sequence[str] = ()) -> "DataSettings":
    """How the clips of a model were cut in its training.

    Args:
        run: Whatever `load` takes.
        trust: As for `load`.

    Raises:
        UsageError: No such model, or its section `data` cannot be used.
    """
    from videossl.data.settings import DataSettings

    files = find_model_files(run)
    config = config_of(files)
    if "data" in config:
        config["data"] = {"videos": [], **config["data"]}  # shared models do not say what they were trained on
    return _build(DataSettings, "data", config, str(files.config_path), trust)


def load_augment(run: Path | str, *, trust: Sequence[str] = ()) -> "Augment | MultiCrop":
    """The augmentation that a model was trained with.

    Args:
        run: Run directory.
        trust: As for `load`.

    Raises:
        UsageError: No such model, or its section `augment` cannot be used.
    """
    from videossl.data import Augment, MultiCrop

    files = find_model_files(run)
    section = files.config.get("augment")
    if isinstance(section, dict) and "groups" in section.get("init_args", section):
        return _build(MultiCrop, "augment", files.config, str(files.config_path), trust)
    return _build(Augment, "augment", files.config, str(files.config_path), trust)


def load(
    run: Path | str,
    *,
    device: torch.device | str = "cpu",
    revision: str | None = None,
    trust: Sequence[str] = (),
    **hub: Any,
) -> "PretrainedWorldModel":
    """Load a model, ready for use.

    Args:
        run: Run directory; folder with `config.yaml` or `config.json` and safetensors; a weights file next to its
            config (`.safetensors`, or `.ckpt` of a training); or a hub id, `owner/name` or `owner/name@revision`. A
            vision model of `transformers`, in a folder or on the hub, is taken as it is: its embeddings are its
            representations, and it foresees nothing.
        device: Where the model goes.
        revision: Branch, tag or commit of a model on the hub.
        trust: Packages beside this one whose classes the config may name; more of them in the variable
            VIDEOSSL_TRUST. Loading a model imports nothing else.
        hub: How to fetch from the hub, as `huggingface_hub.snapshot_download` has it: cache_dir, token,
            local_files_only, force_download.

    Returns:
        The model in evaluation mode, without gradients.

    Raises:
        UsageError: No such model, no weights, weights that are not of this model or that are a pickle, a config that
            names classes of elsewhere, or a device that torch cannot use here.
    """
    from videossl.loading.hub import PretrainedWorldModel

    check_device(device)
    files = find_model_files(run, revision=revision, **hub)
    if hub:  # from another cache, where transformers would not look
        files = replace(files, hub_id=None)
    config = config_of(files)
    model = build_model(config, source=str(files.config_path), trust=trust)
    if files.is_ours:
        weights = read_weights(_weights_of(files))
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split()[:30])
            raise UsageError(f"{files.weights} is of another model than {files.config_path} says: {reason}") from error
    model.clip_frames = config.get("data", {}).get("clips", {}).get("num_frames")
    pretrained = PretrainedWorldModel.of(model, config)
    return pretrained.to(device).eval().requires_grad_(False)


def _weights_of(files: ModelFiles) -> Path:
    if files.weights is not None:
        return files.weights
    if (files.folder / "checkpoints").is_dir():
        raise UsageError(
            f"{files.folder} has no weights.safetensors: the training has not ended. "
            f"Go on with: videossl pretrain --config {files.config_path} --ckpt last"
        )
    if pickles := files.pickles:
        raise UsageError(
            f"{files.folder} has no safetensors, only {pickles[0].name}, which could run anything when it is read, so "
            "it is not. Ask whoever made it for safetensors."
        )
    raise UsageError(f"{files.folder} has no weights: neither weights.safetensors nor model.safetensors is there.")


def usable(device: str) -> str:
    """The device that `--device` names, if torch can use it here.

    Raises:
        UsageError: It cannot.
    """
    check_device(device, named="--device ", instead="--device cpu")
    return device


def check_device(device: torch.device | str, *, named: str = "the device ", instead: str = 'device="cpu"') -> None:
    """Refuse a device that torch cannot use here.

    Args:
        device: Which.
        named: What stands before it in the message.
        instead: How its caller asks for another.

    Raises:
        UsageError: No such device, or torch was built without it.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise UsageError(f"{named}{device} cannot be used here: {reason.rstrip(chr(46))}. Use {instead}.") from error
