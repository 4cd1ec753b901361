"""What is read of a checkpoint before training goes on from it. Nothing in it is executed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from videossl.errors import UsageError
from videossl.loading.weights import read_checkpoint

SIZED_BY_THE_FIRST_BATCH = "log_beta"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file, the step at which it was written, and the shapes of what it holds."""

    path: Path
    step: int
    shapes: dict[str, torch.Size]

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Look into a checkpoint.

        Raises:
            UsageError: No such file, or not a checkpoint of `videossl pretrain`, or one that would run code.
        """
        if not path.is_file():
            raise UsageError(
                f"no such checkpoint: {path}. A training writes its first after training.checkpoint_every steps; "
                "without one, start anew: leave --ckpt out, and give --overwrite true or another --out."
            )
        content = read_checkpoint(path)
        shapes = {name: value.shape for name, value in content["state_dict"].items()}
        return cls(path, int(content["global_step"]), shapes)

    def check_fits(self, module: nn.Module) -> None:
        """Refuse a checkpoint of another model, before anything of the run is touched.

        Raises:
            UsageError: A weight is missing, too many or of another shape.
        """
        wanted = {name: value.shape for name, value in module.state_dict().items()}
        for name in sorted(wanted.keys() | self.shapes.keys()):
            here, there = wanted.get(name), self.shapes.get(name)
            if here != there and not name.endswith(SIZED_BY_THE_FIRST_BATCH):
                raise UsageError(
                    f"{self.path} is of another model: {name} is {_said(there)} there and {_said(here)} here. "
                    "Go on with the config of its own run."
                )


def _said(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))
