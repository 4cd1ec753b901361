"""Training objectives: mathematics on embeddings. Public names only; torch is the only requirement."""

from videossl.objectives.adassl import AdaSSL, Editor, Gaussian, Latent
from videossl.objectives.base import Loss, MultiViewObjective, TeacherObjective
from videossl.objectives.beta import Beta, FixedBeta, InformationBudget
from videossl.objectives.info_nce import info_nce
from videossl.objectives.latent import (
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
)
from videossl.objectives.mv_infonce import MVInfoNCE, mv_infonce
from videossl.objectives.temperature import LearnedTemperature
from videossl.objectives.view_graph import Graph, ViewGraph, view_graph

__all__ = [
    "AdaSSL",
    "Beta",
    "Editor",
    "FixedBeta",
    "Gaussian",
    "Graph",
    "InformationBudget",
    "Latent",
    "LearnedTemperature",
    "Loss",
    "MVInfoNCE",
    "MultiViewObjective",
    "TeacherObjective",
    "ViewGraph",
    "expected_open_gates",
    "gate_sample",
    "gaussian_sample",
    "info_nce",
    "kl_divergence",
    "kl_per_dimension",
    "mv_infonce",
    "view_graph",
]
