"""What frozen features know: fits, scores and intervals. Features and targets in, scores out; no models, no files."""

from videossl.probing.attentive import attentive_probe
from videossl.probing.bootstrap import FEWEST_VIDEOS, Bootstrap, Interval
from videossl.probing.few_shot import few_shot_probe
from videossl.probing.linear import Answer, linear_probe
from videossl.probing.neighbours import neighbours_probe
from videossl.probing.parts import Parts, split_by_video
from videossl.probing.scores import Scores, accuracy, chance_accuracy, r_squared, scores

__all__ = [
    "FEWEST_VIDEOS",
    "Answer",
    "Bootstrap",
    "Interval",
    "Parts",
    "Scores",
    "accuracy",
    "attentive_probe",
    "chance_accuracy",
    "few_shot_probe",
    "linear_probe",
    "neighbours_probe",
    "r_squared",
    "scores",
    "split_by_video",
]
