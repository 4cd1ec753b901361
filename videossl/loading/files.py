"""Where config and weights of a model lie: in a run directory, a folder, beside a weights file or on the hub."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videossl.errors import UsageError
from videossl.files import sha256
from videossl.loading.fitted_prior import with_fitted_prior
from videossl.run_directory import RunDirectory

WEIGHTS = ("weights.safetensors", "model.safetensors")
CONFIGS = ("config.yaml", "config.json")
# Formats that torch reads by running what is in them.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".th")
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
# What is fetched of a model on the hub: neither pickles nor code.
HUB_FILES = [
    "config.yaml",
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*preprocessor_config.json",
    "processor_config.json",
    "backbone/*.json",
    "backbone/*.safetensors",
]


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model.

    Attributes:
        source: What the user gave.
        folder: Where they lie.
        config_path: `config.yaml` or `config.json`.
        config: What is in it, with the prior that the weights are of where it was fitted after the training.
        weights: The weights file; None where there is none (or several, as large models of `transformers` have).
        hub_id: Name on the hub, None where it is none.
        revision: The revision there that was asked for.
    """

    source: str
    folder: Path
    config_path: Path
    config: dict[str, Any]
    weights: Path | None
    hub_id: str | None = None
    revision: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this is a model of videossl; otherwise it is one of `transformers`."""
        return "model" in self.config

    @property
    def pickles(self) -> list[Path]:
        """Files beside the config that torch would read by running what is in them."""
        return sorted(path for path in self.folder.iterdir() if path.suffix in PICKLES)

    def weights_sha256(self) -> str:
        """SHA-256 of the weights, in hexadecimal; of several files, of all of them in the order of their names."""
        return sha256([self.weights] if self.weights else sorted(self.folder.glob("*.safetensors")))


def find_model_files(source: Path | str, *, revision: str | None = None, **hub: Any) -> ModelFiles:
    """Find out what a user means by a model.

    Args:
        source: Run directory; folder with `config.yaml` or `config.json` and safetensors, which may be of
            `transformers`; a weights file (`.safetensors`, or `.ckpt` of a training) next to its config; or a hub id
            `owner/name`, `owner/name@revision`. What exists here, or whose folder does, is never looked for on the hub.
        revision: Branch, tag or commit on the hub.
        hub: Further arguments of `huggingface_hub.snapshot_download`: cache_dir, token, local_files_only, ...

    Raises:
        UsageError: Nothing of this name, or no config in it.
    """
    if not isinstance(source, str | Path):
        raise UsageError(f"expected a model, got {source!r}. Give a path or a hub id (owner/name) as text.")
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, str(source))
    if path.is_file():
        return _of_weights_file(path, str(source))
    hub_id = HUB_ID.fullmatch(str(source))
    if hub_id is None or (path.parent.is_dir() and revision is None):
        raise UsageError(
            f"no such run directory: {source}. Give a folder that `videossl pretrain` wrote, a folder or file of "
            "safetensors with its config, or a hub id (owner/name)."
        )
    revision = revision or hub_id[2]
    files = _of_folder(_from_hub(hub_id[1], revision, hub), str(source))
    return replace(files, hub_id=hub_id[1], revision=revision)


def _of_folder(folder: Path, source: str) -> ModelFiles:
    config_path, config = _config_in(folder)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    return ModelFiles(source, folder, config_path, with_fitted_prior(config, weights), weights)


def _of_weights_file(path: Path, source: str) -> ModelFiles:
    if path.suffix not in (".safetensors", ".ckpt"):
        raise UsageError(
            f"{source} is no safetensors file. Other formats can run anything when they are read, so they are not."
        )
    beside = path.parent
    if path.suffix == ".ckpt" and not any((beside / name).is_file() for name in CONFIGS):
        beside = beside.parent  # of a training: RUN/checkpoints/step-1000.ckpt
    if not any((beside / name).is_file() for name in CONFIGS):
        raise UsageError(
            f"there is no config.yaml or config.json next to {source}. It says what model the weights are of."
        )
    config_path, config = _config_in(beside)
    return ModelFiles(source, beside, config_path, with_fitted_prior(config, path), path)


def _config_in(folder: Path) -> tuple[Path, dict[str, Any]]:
    path = folder / "config.json"
    if not path.is_file() or (folder / "config.yaml").is_file():
        directory = RunDirectory(folder)
        return directory.config, directory.read_config()
    try:
        config = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict) or not ("model" in config or "model_type" in config):
        raise UsageError(f"{path} is the config neither of a model of videossl nor of one of transformers.")
    return path, config


def _from_hub(repository: str, revision: str | None, options: dict[str, Any]) -> Path:
    """The folder in the cache with the files of a model on the hub; fetched if it can be."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{repository}@{revision}" if revision else repository
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=HUB_FILES, **options))
    except RepositoryNotFoundError as error:
        reason = f"the hub has no model {repository} (or it is private: log in with `hf auth login`)"
        raise UsageError(f"no such run directory: {name}, and {reason}.") from error
    except RevisionNotFoundError as error:
        raise UsageError(f"the hub's model {repository} has no revision {revision}.") from error
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise UsageError(
            f"no such run directory: {name}, and it is neither in the cache of the hub nor can it be fetched: {reason}"
        ) from error
