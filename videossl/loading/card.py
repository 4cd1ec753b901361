"""The model card: what a model is, how to load it, what it was trained on, as far as its config says."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from videossl import __version__
from videossl.models import WorldModel
from videossl.models.pooling import pooled_width

TEMPLATE = Path(__file__).with_name("card.md.jinja").read_text()


def card_words(model: WorldModel, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the template says of this model.

    Args:
        model: Its sizes are read.
        config: Config of its run.
    """
    data = config.get("data") or {}
    clips = data.get("clips") or {}
    encoder = model.encoder
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {
        "Encoder": f"{type(encoder).__name__}, width {encoder.width}, tokens of {encoder.tubelet_frames} frames × "
        f"{encoder.patch_size}² pixels",
        "Parameters": f"{parameters / 1e6:.1f} million",
        "Pooling": f"{model.pooling.replace('_', ' and ')} over the tokens of a clip",
        "Latent r": f"{type(model.latent).__name__}, {model.latent_dim} numbers" if model.latent else "none",
        "Clips": _clips(clips),
        "Objective": _class_name(config.get("objective")),
        "Trained for": f"{steps} steps" if (steps := (config.get("training") or {}).get("max_steps")) else "",
        "Made with": f"videossl {__version__}",
    }
    return {
        "num_frames": clips.get("num_frames", "T"),
        "frame_size": data.get("frame_size", "S"),
        "width": pooled_width(encoder.width, model.pooling),
        "frame_width": encoder.width,
        "embedding_dim": model.embedding_dim,
        "foresees": model.foresees,
        "facts": {title: text for title, text in facts.items() if text},
        "training_data": _videos(data.get("videos")),
    }


def _clips(clips: Mapping[str, Any]) -> str:
    if "num_frames" not in clips:
        return ""
    rate = (
        f"{clips['target_fps']:g} frames a second"
        if clips.get("target_fps")
        else f"stride {clips.get('frame_stride', 1)}"
    )
    return f"{clips['num_frames']} frames, {rate}"


def _class_name(entry: object) -> str:
    return str(entry.get("class_path") or "").rpartition(".")[2] if isinstance(entry, Mapping) else ""


def _videos(videos: object) -> str:
    """Names of the videos without the folders that they lie in: those are nobody's business."""
    if isinstance(videos, Mapping):
        return _videos(videos.get("videos"))
    if isinstance(videos, list):
        return ", ".join(filter(None, map(_videos, videos)))
    return f"`{PurePath(videos).name}`" if isinstance(videos, str) and videos else ""
