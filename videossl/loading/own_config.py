"""The config by which a model is built here: its own, or the one that a model of transformers would have."""

import copy
from typing import Any

from videossl.loading.files import ModelFiles
from videossl.models.transformers_files import describe


def model_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the world model in a config, which stand in its section or in the `init_args` of that."""
    section = config["model"]
    arguments = section.get("init_args", section) if isinstance(section, dict) else {}
    return arguments if isinstance(arguments, dict) else {}


def encoder_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the encoder; empty where the config does not name any."""
    encoder = model_arguments(config).get("encoder")
    arguments = encoder.get("init_args") if isinstance(encoder, dict) else None
    return arguments if isinstance(arguments, dict) else {}


def config_of(files: ModelFiles) -> dict[str, Any]:
    """The config of a model, to be built on this machine.

    Args:
        files: Of the model.

    Raises:
        UsageError: A model of transformers that is no encoder of images or videos.
    """
    if not files.is_ours:
        return _of_transformers(files)
    config = copy.deepcopy(files.config)
    encoder = encoder_arguments(config)
    if isinstance(path := encoder.get("path"), str) and path.startswith("./"):  # a part that was shared with it
        encoder["path"] = str(files.folder.resolve() / path)
    return config


def _of_transformers(files: ModelFiles) -> dict[str, Any]:
    """Encoder as it came, representation as embedding, clips as its config and its preprocessor say."""
    about = describe(str(files.folder))
    encoder = {"path": str(files.folder.resolve())} if files.hub_id is None else {"path": files.hub_id}
    return {
        "data": {"clips": {"num_frames": about.clip_frames}, "frame_size": about.frame_size},
        "model": {
            "class_path": "videossl.models.WorldModel",
            "init_args": {
                "encoder": {
                    "class_path": "videossl.models.TransformersEncoder",
                    "init_args": {**encoder, "revision": files.revision, "freeze": True},
                },
                "projector": {"class_path": "videossl.models.IdentityProjector"},
                "pooling": "mean",
            },
        },
    }
