"""Encoder, heads, latent, editor, and the world model that joins them. Public names only."""

from videossl.models.editor import AdditiveEditor, MLPEditor
from videossl.models.heads import MLPProjector
from videossl.models.latent import DiagonalGaussian, GaussianLatent
from videossl.models.transformer import VideoTransformer
from videossl.models.world_model import WorldModel

__all__ = [
    "AdditiveEditor",
    "DiagonalGaussian",
    "GaussianLatent",
    "MLPEditor",
    "MLPProjector",
    "VideoTransformer",
    "WorldModel",
]
