"""The tables and figures of the paper, one module each; they declare what they need and resume.

May import: errors, checks, storage, reports, images, classifiers, attacks, features, detectors,
threats, robustness, zoo, a2d, evaluation.
"""

from a2d_tf.reproduction.registry import EXPERIMENTS
from a2d_tf.reproduction.runner import (
    Experiment,
    ReproductionConfig,
    ReproductionResult,
    reproduce,
)

__all__ = ["EXPERIMENTS", "Experiment", "ReproductionConfig", "ReproductionResult", "reproduce"]
