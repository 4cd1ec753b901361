"""The weights that a run leaves behind, and of which prior they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from videossl.files import replacing
from videossl.loading.fitted_prior import prior_metadata
from videossl.models import WorldModel


def save_weights(model: WorldModel, path: Path, *, prior: Mapping[str, Any] | None) -> None:
    """Write weights as safetensors, in one step.

    Args:
        model: Whose.
        path: weights.safetensors of the run.
        prior: class_path and init_args of the prior, where it is another than the config of the run says.
    """
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata=prior_metadata(prior))
