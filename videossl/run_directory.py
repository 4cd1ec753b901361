"""What lies where in a run directory, and the checks before one is read or written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from videossl.errors import UsageError
from videossl.files import replacing


class RunDirectory:
    """The files of one training run.

    Args:
        path: The directory, for example `runs/quickstart`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.weights = self.path / "weights.safetensors"
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.csv"
        self.index = self.path / "index.parquet"
        self.environment = self.path / "environment.json"
        self.unreadable = self.path / "unreadable.csv"
        self.evaluation = self.path / "evaluation"
        self.report = self.path / "report.html"

    def read_config(self) -> dict[str, Any]:
        """The resolved config of the run.

        Raises:
            UsageError: No such directory, or not one of a run.
        """
        if not self.path.is_dir():
            raise UsageError(
                f"no such run directory: {self.path}. `videossl pretrain --config ... --out {self.path}` makes one."
            )
        if not self.config.is_file():
            raise UsageError(
                f"{self.path} is not a run directory: it has no config.yaml. "
                "Give the folder that `videossl pretrain` wrote."
            )
        try:
            config = yaml.safe_load(self.config.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.config} cannot be read as YAML: {_first_line(error)}") from error
        if not isinstance(config, dict) or "model" not in config:
            raise UsageError(f"{self.config} is not the config of a run: it has no section `model`.")
        return config

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved config: enough to run again."""
        with replacing(self.config) as temporary:
            temporary.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that any reader takes: NaN and infinities are refused."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
