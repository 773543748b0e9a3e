"""Threats: named recipes that craft the adversarial inputs to be detected, one per file.

May import: errors, checks, images, classifiers, attacks.
"""

from a2d_tf import deprecated
from a2d_tf.threats.base import CraftedImages, Threat
from a2d_tf.threats.by_attack import AttackThreat
from a2d_tf.threats.fgm import FGM
from a2d_tf.threats.fgsm import FGSM
from a2d_tf.threats.hop_skip_jump import HopSkipJump
from a2d_tf.threats.jsma import JSMA
from a2d_tf.threats.pgd import PGD
from a2d_tf.threats.presets import PRESETS, adjusted, preset
from a2d_tf.threats.projected import ProjectedThreat
from a2d_tf.threats.substitute import SubstituteFGSM

__all__ = [
    "AttackThreat", "CraftedImages", "FGM", "FGSM", "HopSkipJump", "JSMA", "PGD", "PRESETS",
    "ProjectedThreat", "SubstituteFGSM", "Threat", "adjusted", "preset",
]

__getattr__ = deprecated.names_of("threats")
