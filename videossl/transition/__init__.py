"""The latent r and the editors: what moves one state to the next. Public names only; torch is the only requirement."""

from videossl.transition.codebook import CodebookLatent, Codes
from videossl.transition.diagonal_gaussian import DiagonalGaussian
from videossl.transition.distributions import (
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
)
from videossl.transition.editors import AdditiveEditor, LowRankEditor, MLPEditor
from videossl.transition.flow_matching_prior import FlowMatchingPrior
from videossl.transition.flow_prior import FlowPrior
from videossl.transition.gate_prior import GateMixture, GatePrior
from videossl.transition.gaussian import GaussianLatent
from videossl.transition.gaussian_prior import GaussianPrior, StandardNormalPrior
from videossl.transition.mixture_prior import GaussianMixture, MixturePrior
from videossl.transition.protocols import (
    CodedLatent,
    Distribution,
    Editor,
    Gated,
    Gaussian,
    Latent,
    Prior,
    SparseLatent,
    Stratified,
    VariationalLatent,
)
from videossl.transition.shared_mixture_prior import SharedMixturePrior
from videossl.transition.sparse import Gates, SparseGate

__all__ = [
    "AdditiveEditor",
    "CodebookLatent",
    "CodedLatent",
    "Codes",
    "DiagonalGaussian",
    "Distribution",
    "Editor",
    "FlowMatchingPrior",
    "FlowPrior",
    "GateMixture",
    "GatePrior",
    "Gated",
    "Gates",
    "Gaussian",
    "GaussianLatent",
    "GaussianMixture",
    "GaussianPrior",
    "Latent",
    "LowRankEditor",
    "MLPEditor",
    "MixturePrior",
    "Prior",
    "SharedMixturePrior",
    "SparseGate",
    "SparseLatent",
    "StandardNormalPrior",
    "Stratified",
    "VariationalLatent",
    "expected_open_gates",
    "gate_sample",
    "gaussian_sample",
    "kl_divergence",
    "kl_per_dimension",
]
