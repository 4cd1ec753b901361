"""The latent r and the editors: what moves one state to the next. Public names only; torch is the only requirement."""

from videossl.transition.distributions import (
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
)
from videossl.transition.editors import AdditiveEditor, LowRankEditor, MLPEditor
from videossl.transition.gaussian import DiagonalGaussian, GaussianLatent
from videossl.transition.protocols import Editor, Gated, Gaussian, Latent, SparseLatent, VariationalLatent
from videossl.transition.sparse import Gates, SparseGate

__all__ = [
    "AdditiveEditor",
    "DiagonalGaussian",
    "Editor",
    "Gated",
    "Gates",
    "Gaussian",
    "GaussianLatent",
    "Latent",
    "LowRankEditor",
    "MLPEditor",
    "SparseGate",
    "SparseLatent",
    "VariationalLatent",
    "expected_open_gates",
    "gate_sample",
    "gaussian_sample",
    "kl_divergence",
    "kl_per_dimension",
]
