"""Training objectives: mathematics on embeddings. Public names only; torch is the only requirement."""

from videossl.objectives.adassl import AdaSSL
from videossl.objectives.an_info_nce import AnInfoNCE, an_info_nce
from videossl.objectives.average import Average, average
from videossl.objectives.base import Loss, MultiViewObjective, TeacherObjective
from videossl.objectives.beta import Beta, FixedBeta, InformationBudget
from videossl.objectives.clip_style import ClipStyle, clip_style
from videossl.objectives.critics import PairCritic
from videossl.objectives.dino import DINO, dino_cross_entropy
from videossl.objectives.distillation import Distillation, byol, distillation, negative_cosine
from videossl.objectives.ema import Teacher, ema_decay
from videossl.objectives.factor_cl import FactorBounds, FactorCL, factor_cl
from videossl.objectives.h_info_nce import HInfoNCE, h_info_nce
from videossl.objectives.info_nce import InfoNCE, info_nce
from videossl.objectives.information_bounds import club_bound, info_nce_bound
from videossl.objectives.multi_positive import MultiPositive, multi_positive
from videossl.objectives.mv_dhel import MVDHEL, mv_dhel
from videossl.objectives.mv_infonce import MVInfoNCE, mv_infonce
from videossl.objectives.nt_xent import NTXent, nt_xent
from videossl.objectives.pairwise import Pairwise, pairwise
from videossl.objectives.poly_view import PolyView, poly_view
from videossl.objectives.prediction import Prediction, prediction
from videossl.objectives.sigreg import SIGReg, sigreg
from videossl.objectives.similarity_graph import embedding_similarity, label_similarity, time_similarity
from videossl.objectives.temperature import LearnedTemperature
from videossl.objectives.vicreg import VarianceCovariance, VICReg, covariance_penalty, variance_penalty, vicreg
from videossl.objectives.view_graph import Graph, ViewGraph, view_graph
from videossl.objectives.x_sample import XSample, x_sample
from videossl.transition import (
    AdditiveEditor,
    CodebookLatent,
    Editor,
    Gaussian,
    GaussianLatent,
    Latent,
    LowRankEditor,
    MLPEditor,
    SparseGate,
    SparseLatent,
    VariationalLatent,
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
)

__all__ = [
    "DINO",
    "MVDHEL",
    "AdaSSL",
    "AdditiveEditor",
    "AnInfoNCE",
    "Average",
    "Beta",
    "ClipStyle",
    "CodebookLatent",
    "Distillation",
    "Editor",
    "FactorBounds",
    "FactorCL",
    "FixedBeta",
    "Gaussian",
    "GaussianLatent",
    "Graph",
    "HInfoNCE",
    "InfoNCE",
    "InformationBudget",
    "Latent",
    "LearnedTemperature",
    "Loss",
    "LowRankEditor",
    "MLPEditor",
    "MVInfoNCE",
    "MultiPositive",
    "MultiViewObjective",
    "NTXent",
    "PairCritic",
    "Pairwise",
    "PolyView",
    "Prediction",
    "SIGReg",
    "SparseGate",
    "SparseLatent",
    "Teacher",
    "TeacherObjective",
    "VICReg",
    "VarianceCovariance",
    "VariationalLatent",
    "ViewGraph",
    "XSample",
    "an_info_nce",
    "average",
    "byol",
    "clip_style",
    "club_bound",
    "covariance_penalty",
    "dino_cross_entropy",
    "distillation",
    "ema_decay",
    "embedding_similarity",
    "expected_open_gates",
    "factor_cl",
    "gate_sample",
    "gaussian_sample",
    "h_info_nce",
    "info_nce",
    "info_nce_bound",
    "kl_divergence",
    "kl_per_dimension",
    "label_similarity",
    "multi_positive",
    "mv_dhel",
    "mv_infonce",
    "negative_cosine",
    "nt_xent",
    "pairwise",
    "poly_view",
    "prediction",
    "sigreg",
    "time_similarity",
    "variance_penalty",
    "vicreg",
    "view_graph",
    "x_sample",
]
