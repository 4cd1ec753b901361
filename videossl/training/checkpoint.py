"""What is read of a checkpoint before training goes on from it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from videossl.errors import UsageError


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file, and the step at which it was written."""

    path: Path
    step: int

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Look into a checkpoint; nothing in it is executed.

        Raises:
            UsageError: No such file, or not a checkpoint of `videossl pretrain`.
        """
        if not path.is_file():
            raise UsageError(f"no such checkpoint: {path}. `--ckpt last` takes the newest of the run directory.")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return cls(path, int(content["global_step"]))
        except Exception as error:  # torch and pickle raise many kinds; to the user they are one
            raise UsageError(
                f"{path} is not a checkpoint of `videossl pretrain`: {' '.join(str(error).split()[:20])}"
            ) from error
