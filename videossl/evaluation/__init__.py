"""What a model knows of the future: metrics for one-to-many prediction, controls, oracles, probes and health."""

from videossl.evaluation.best_of_k import BestOfK
from videossl.evaluation.branch_accuracy import BranchAccuracy
from videossl.evaluation.branch_calibration import BranchCalibration
from videossl.evaluation.branch_coverage import BranchCoverage
from videossl.evaluation.branch_precision import BranchPrecision
from videossl.evaluation.candidate_nll import CandidateNLL
from videossl.evaluation.energy_score import EnergyScore
from videossl.evaluation.future_retrieval import FutureRetrieval
from videossl.evaluation.headlines import future_scores, headlines
from videossl.evaluation.held_out import HeldOut, ProbeClips
from videossl.evaluation.protocol import FutureModel
from videossl.evaluation.rank_histogram import RankHistogram
from videossl.evaluation.reading import read_held_out
from videossl.evaluation.run import evaluate
from videossl.evaluation.spread_skill import SpreadSkill
from videossl.evaluation.table import table
from videossl.evaluation.trajectories import Trajectories
from videossl.evaluation.trajectory_energy import TrajectoryEnergy

__all__ = [
    "BestOfK",
    "BranchAccuracy",
    "BranchCalibration",
    "BranchCoverage",
    "BranchPrecision",
    "CandidateNLL",
    "EnergyScore",
    "FutureModel",
    "FutureRetrieval",
    "HeldOut",
    "ProbeClips",
    "RankHistogram",
    "SpreadSkill",
    "Trajectories",
    "TrajectoryEnergy",
    "evaluate",
    "future_scores",
    "headlines",
    "read_held_out",
    "table",
]
