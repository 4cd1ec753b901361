"""Read weights from a file without running anything that is in it."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videossl.errors import UsageError

MODEL_PREFIX = "model."  # of the world model among what a training checkpoint holds
PICKLE_BEGINS = (b"\x80", b"PK\x03\x04")  # of pickle itself, and of torch.save


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a model.

    Args:
        path: A `.safetensors` file, or a `.ckpt` of `videossl pretrain`, of which tensors alone are read.

    Raises:
        UsageError: Another format under that name, or a checkpoint that asks for more than tensors.
    """
    if path.suffix == ".ckpt":
        state = read_checkpoint(path)["state_dict"]
        return {name.removeprefix(MODEL_PREFIX): state[name] for name in state if name.startswith(MODEL_PREFIX)}
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a safetensors file: {_what_it_is(path) or error}") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint of `videossl pretrain` holds. Nothing in it is executed.

    Args:
        path: A file `RUN/checkpoints/*.ckpt`.

    Returns:
        "state_dict", "global_step" and what else Lightning keeps; tensors stay on the disk until they are used.

    Raises:
        UsageError: Not such a checkpoint, or one that asks for more than tensors, numbers and texts.
    """
    problem = f"{path} is not a checkpoint of `videossl pretrain`. Its checkpoints are RUN/checkpoints/*.ckpt."
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch and pickle raise many kinds; to the user they are one
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            problem = f"{path} asks to run {asked[1]}, which no weights need: refused, and nothing of it was run."
        raise UsageError(problem) from error
    tensors = content.get("state_dict") if isinstance(content, dict) else None
    whole = isinstance(tensors, dict) and all(isinstance(value, Tensor) for value in tensors.values())
    if not whole or not isinstance(content.get("global_step"), int):
        raise UsageError(problem)
    return content


def _what_it_is(path: Path) -> str | None:
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning.startswith(PICKLE_BEGINS):
        return "it is a pickle under another name. A pickle can run anything, so it is not read."
    return None
