"""Attacks whose iterations are counted, and the papers' settings for them."""

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.boundary import DBA
from a2d_tf.attacks.carlini import CarliniWagner
from a2d_tf.attacks.deepfool import DeepFool
from a2d_tf.attacks.gradient import BIM, BIM2, FGSM
from a2d_tf.attacks.lbfgs import LBFGS
from a2d_tf.attacks.local_search import LocalSearch
from a2d_tf.attacks.presets import PRESETS, preset
from a2d_tf.attacks.running import AttackResult
from a2d_tf.attacks.saliency import JSMA, PairwiseJSMA
from a2d_tf.attacks.step_size import calibrate

# Attacks whose cost is counted; the others craft threats.
REGISTRY: dict[str, type[Attack]] = {
    attack.name: attack for attack in (
        BIM, BIM2, JSMA, DBA, FGSM, DeepFool, LBFGS, LocalSearch, CarliniWagner,
    )
}

__all__ = [
    "Attack", "AttackResult", "BIM", "BIM2", "CarliniWagner", "DBA", "DeepFool", "FGSM", "JSMA",
    "LBFGS", "LocalSearch", "PRESETS", "PairwiseJSMA", "REGISTRY", "calibrate", "preset",
]
