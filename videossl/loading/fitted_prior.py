"""The prior of a run's weights, where it was fitted after the training and is of another class than in the training.

config.yaml stays what the training was, so that it can go on; the weights file itself says, in its metadata, of which
prior it is. So both change in one step, and a run can be loaded at any moment.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videossl.errors import UsageError

PRIOR = "videossl.prior"  # in the metadata of the weights: class_path and init_args, as JSON


def prior_metadata(prior: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Metadata for a weights file.

    Args:
        prior: class_path and init_args; None: as the config of the run says.
    """
    return None if prior is None else {PRIOR: json.dumps(prior)}


def fitted_prior(weights: Path | None) -> dict[str, Any] | None:
    """Which prior a weights file is of: class_path and init_args; None: as the config beside it says.

    Raises:
        UsageError: What the file says of it is damaged.
    """
    if weights is None or weights.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="pt") as file:
            said = (file.metadata() or {}).get(PRIOR)
    except (SafetensorError, OSError):
        return None  # reading the weights says what is wrong with the file
    if said is None:
        return None
    try:
        prior = json.loads(said)
    except ValueError as error:
        raise UsageError(f"{weights} does not say of which prior it is: {error}. Fit the prior again.") from error
    return prior if isinstance(prior, dict) else {"class_path": prior}


def with_fitted_prior(config: dict[str, Any], weights: Path | None) -> dict[str, Any]:
    """The config of the model that these weights are of: that of the training, with the prior that was fitted later."""
    prior = fitted_prior(weights)
    if prior is None:
        return config
    changed = copy.deepcopy(config)
    model = changed["model"]
    latent = model.get("init_args", model).get("latent")
    if not isinstance(latent, dict):
        raise UsageError(f"{weights} has a fitted prior, and its config has no latent. They are of two models.")
    latent.setdefault("init_args", {})["prior"] = prior
    return changed
