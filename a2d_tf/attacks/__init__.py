"""Attacks whose iterations are counted, and the papers' settings for them."""

from a2d_tf.attacks.base import Attack, AttackResult
from a2d_tf.attacks.gradient import BIM, BIM2
from a2d_tf.attacks.presets import PRESETS, preset
from a2d_tf.attacks.saliency import JSMA

REGISTRY: dict[str, type[Attack]] = {attack.name: attack for attack in (BIM, BIM2, JSMA)}

__all__ = [
    "Attack", "AttackResult", "BIM", "BIM2", "JSMA", "PRESETS", "REGISTRY", "preset",
]
