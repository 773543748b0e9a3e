"""How well detectors work: metrics, comparison on anyone's data, and the choice of an attack.

May import: errors, checks, storage, reports, images, classifiers, attacks, features, detectors,
detection, a2d, adaptive, threats, robustness, zoo.
"""

from a2d_tf.evaluation.attack_selection import AttackScore, select_attacks
from a2d_tf.evaluation.comparison import Comparison, run_comparison
from a2d_tf.evaluation.crafting import craft_test_images

__all__ = [
    "AttackScore", "Comparison", "craft_test_images", "run_comparison", "select_attacks",
]
