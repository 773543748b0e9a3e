"""Attacks whose iterations are counted: the one loop, an update rule per file, and the presets.

May import: errors, checks, images, classifiers.
"""

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.basic_iterative_method import BIM, BIM2
from a2d_tf.attacks.boundary_attack import DBA
from a2d_tf.attacks.calibration import calibrate
from a2d_tf.attacks.carlini_wagner import CarliniWagner
from a2d_tf.attacks.deepfool import DeepFool
from a2d_tf.attacks.fast_gradient_method import FGSM
from a2d_tf.attacks.first_order import FirstOrder
from a2d_tf.attacks.jsma import JSMA, PairwiseJSMA
from a2d_tf.attacks.lbfgs import LBFGS
from a2d_tf.attacks.local_search import LocalSearch
from a2d_tf.attacks.presets import PRESETS, preset
from a2d_tf.attacks.runner import AttackResult, AttackStream

# Attacks that have a cost. PairwiseJSMA crafts threats only.
REGISTRY: dict[str, type[Attack]] = {
    attack.name: attack for attack in (
        BIM, BIM2, JSMA, DBA, FGSM, DeepFool, LBFGS, LocalSearch, CarliniWagner, FirstOrder,
    )
}

__all__ = [
    "Attack", "AttackResult", "AttackStream", "BIM", "BIM2", "CarliniWagner", "DBA", "DeepFool",
    "FGSM", "FirstOrder", "JSMA", "LBFGS", "LocalSearch", "PRESETS", "PairwiseJSMA", "REGISTRY",
    "calibrate", "preset",
]
