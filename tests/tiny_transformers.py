"""Models of transformers with random weights, saved as their own library saves them."""

import json

import torch
import transformers

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
NORMALISATION = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "do_normalize": True, "do_rescale": True}
CONFIGS = {
    "vjepa2": lambda: transformers.VJEPA2Config(
        **SIZES, patch_size=8, crop_size=32, frames_per_clip=8, tubelet_size=2, mlp_ratio=2,
        pred_hidden_size=12, pred_num_attention_heads=2, pred_num_hidden_layers=1,
    ),
    "videomae": lambda: transformers.VideoMAEConfig(
        **SIZES, patch_size=8, image_size=32, num_frames=8, tubelet_size=2, intermediate_size=48
    ),
    "timesformer": lambda: transformers.TimesformerConfig(
        **SIZES, patch_size=8, image_size=32, num_frames=4, intermediate_size=48
    ),
    "vivit": lambda: transformers.VivitConfig(
        **SIZES, image_size=32, num_frames=4, tubelet_size=[2, 8, 8], intermediate_size=48
    ),
    "dinov2": lambda: transformers.Dinov2Config(**SIZES, patch_size=8, image_size=32, mlp_ratio=2),
    "dinov3": lambda: transformers.DINOv3ViTConfig(
        **SIZES, patch_size=8, image_size=32, intermediate_size=48, num_register_tokens=3
    ),
    "dinov2_registers": lambda: transformers.Dinov2WithRegistersConfig(
        **SIZES, patch_size=8, image_size=32, mlp_ratio=2, num_register_tokens=2
    ),
    "siglip": lambda: transformers.SiglipVisionConfig(**SIZES, patch_size=8, image_size=32, intermediate_size=48),
    "vit": lambda: transformers.ViTConfig(**SIZES, patch_size=8, image_size=32, intermediate_size=48),
}  # fmt: skip


def write_tiny(kind, folder, *, preprocessor=NORMALISATION, seed=0):
    """A folder as the hub has it: config.json, model.safetensors, preprocessor_config.json."""
    torch.manual_seed(seed)
    model = transformers.AutoModel.from_config(CONFIGS[kind]())
    with torch.no_grad():  # positions and CLS tokens begin as zeros: give every weight a value
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
