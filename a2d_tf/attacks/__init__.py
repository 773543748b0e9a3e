"""Attacks whose iterations are counted, and the papers' settings for them."""

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.boundary import DBA
from a2d_tf.attacks.carlini import CarliniWagner
from a2d_tf.attacks.gradient import BIM, BIM2
from a2d_tf.attacks.presets import PRESETS, preset
from a2d_tf.attacks.running import AttackResult
from a2d_tf.attacks.saliency import JSMA, PairwiseJSMA
from a2d_tf.attacks.step_size import calibrate

# Attacks whose cost is counted; the others craft threats.
REGISTRY: dict[str, type[Attack]] = {
    attack.name: attack for attack in (BIM, BIM2, JSMA, DBA)
}

__all__ = [
    "Attack", "AttackResult", "BIM", "BIM2", "CarliniWagner", "DBA", "JSMA", "PRESETS",
    "PairwiseJSMA", "REGISTRY", "calibrate", "preset",
]
