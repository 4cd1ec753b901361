"""Which model made the rows, told by its tensors: a file of the same tensors may have other bytes."""

import hashlib

import torch
from torch import Tensor


def model_sha256(model: object) -> str | None:
    """SHA-256 over names, shapes, types and bytes of the tensors of `state_dict`, in hexadecimal.

    Args:
        model: Any; on any device.

    Returns:
        None for a model that has no `state_dict`, or no tensors in it: nobody can tell which it is.
    """
    if not hasattr(model, "state_dict"):
        return None
    tensors = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest() if tensors else None
