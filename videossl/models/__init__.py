"""Encoder, heads, latent, editor, and the world model that joins them. Public names only."""

from videossl.models.encoder import Encoder
from videossl.models.heads import IdentityProjector, MLPProjector, Projector
from videossl.models.stems import ConvStem, LinearStem
from videossl.models.transformer import VideoTransformer
from videossl.models.transformers_encoder import TransformersEncoder
from videossl.models.world_model import WorldModel
from videossl.transition import (
    AdditiveEditor,
    CodebookLatent,
    DiagonalGaussian,
    FlowMatchingPrior,
    FlowPrior,
    GatePrior,
    GaussianLatent,
    GaussianPrior,
    LowRankEditor,
    MixturePrior,
    MLPEditor,
    SharedMixturePrior,
    SparseGate,
    StandardNormalPrior,
)

__all__ = [
    "AdditiveEditor",
    "CodebookLatent",
    "ConvStem",
    "DiagonalGaussian",
    "Encoder",
    "FlowMatchingPrior",
    "FlowPrior",
    "GatePrior",
    "GaussianLatent",
    "GaussianPrior",
    "IdentityProjector",
    "LinearStem",
    "LowRankEditor",
    "MLPEditor",
    "MLPProjector",
    "MixturePrior",
    "Projector",
    "SharedMixturePrior",
    "SparseGate",
    "StandardNormalPrior",
    "TransformersEncoder",
    "VideoTransformer",
    "WorldModel",
]
