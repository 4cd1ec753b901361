"""A small model with random weights, as a training leaves it."""

import torch
import yaml
from safetensors.torch import save_file

from videossl.loading import build_model

CONFIG = {
    "data": {
        "videos": "/home/somebody/private/clips",
        "clips": {"num_views": 2, "num_frames": 4, "frame_stride": 2},
        "frame_size": 16,
        "reader": "videossl.data.PyAVReader",
    },
    "model": {
        "class_path": "videossl.models.WorldModel",
        "init_args": {
            "encoder": {
                "class_path": "videossl.models.VideoTransformer",
                "init_args": {"width": 24, "depth": 1, "num_heads": 2, "patch_size": 8},
            },
            "projector": {"class_path": "videossl.models.MLPProjector", "init_args": {"embedding_dim": 6}},
            "latent": {"class_path": "videossl.models.GaussianLatent", "init_args": {"latent_dim": 3}},
            "editor": {"class_path": "videossl.models.MLPEditor"},
            "pooling": "mean_max",
        },
    },
    "objective": {"class_path": "videossl.objectives.MVInfoNCE", "init_args": {"temperature": 0.1}},
    "training": {"max_steps": 7, "devices": 1},
    "out": "/home/somebody/runs/one",
}


def frames(length=4):
    return torch.randint(0, 256, (2, length, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def write_run(folder, config=CONFIG):
    """A run directory as a training leaves it."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    weights = build_model(config).state_dict()
    save_file(weights, folder / "weights.safetensors")
    state = {f"model.{name}": value for name, value in weights.items()} | {"objective.log_beta": torch.zeros(1)}
    torch.save({"state_dict": state, "global_step": 3}, folder / "checkpoints" / "step-3.ckpt")
    return folder
