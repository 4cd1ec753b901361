"""Encoder, heads, latent, editor, and the world model that joins them. Public names only."""

from videossl.models.heads import MLPProjector
from videossl.models.stems import ConvStem, LinearStem
from videossl.models.transformer import VideoTransformer
from videossl.models.world_model import WorldModel
from videossl.transition import (
    AdditiveEditor,
    CodebookLatent,
    DiagonalGaussian,
    GaussianLatent,
    GaussianPrior,
    LowRankEditor,
    MixturePrior,
    MLPEditor,
    SparseGate,
    StandardNormalPrior,
)

__all__ = [
    "AdditiveEditor",
    "CodebookLatent",
    "ConvStem",
    "DiagonalGaussian",
    "GaussianLatent",
    "GaussianPrior",
    "LinearStem",
    "LowRankEditor",
    "MLPEditor",
    "MLPProjector",
    "MixturePrior",
    "SparseGate",
    "StandardNormalPrior",
    "VideoTransformer",
    "WorldModel",
]
