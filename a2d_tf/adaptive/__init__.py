"""Attacks on a classifier and its detector together, by one who knows both.

May import: errors, checks, images, classifiers, attacks, features, detectors, threats, detection,
a2d.
"""

from a2d_tf.adaptive.benign_columns import BenignColumns
from a2d_tf.adaptive.defences import Defence, FlaggedBy, Together, Undefended, score_of
from a2d_tf.adaptive.filtered_pgd import FilteredPGD, SharedStart
from a2d_tf.adaptive.goal import Goal
from a2d_tf.adaptive.joint_pgd import OrthogonalPGD, SelectivePGD
from a2d_tf.adaptive.kept_label import KeptLabel
from a2d_tf.adaptive.noisy import Noisy
from a2d_tf.adaptive.score import DifferentiableScore, differentiable_score
from a2d_tf.adaptive.second_opinion import SecondOpinion

__all__ = [
    "BenignColumns", "Defence", "DifferentiableScore", "FilteredPGD", "FlaggedBy",
    "Goal", "KeptLabel", "Noisy", "OrthogonalPGD", "SecondOpinion", "SelectivePGD",
    "SharedStart", "Together", "Undefended", "differentiable_score", "score_of",
]
