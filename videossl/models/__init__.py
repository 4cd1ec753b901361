"""Encoder, heads, latent, editor, and the world model that joins them. Public names only."""

from videossl.models.heads import MLPProjector
from videossl.models.transformer import VideoTransformer
from videossl.models.world_model import WorldModel
from videossl.transition import (
    AdditiveEditor,
    DiagonalGaussian,
    GaussianLatent,
    LowRankEditor,
    MLPEditor,
    SparseGate,
)

__all__ = [
    "AdditiveEditor",
    "DiagonalGaussian",
    "GaussianLatent",
    "LowRankEditor",
    "MLPEditor",
    "MLPProjector",
    "SparseGate",
    "VideoTransformer",
    "WorldModel",
]
