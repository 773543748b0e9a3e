"""What is measured of an image: attack costs, first-order costs, margins; one feature per file.

May import: errors, checks, images, classifiers, attacks.
"""

from a2d_tf.features.attack_cost import AttackCost, CostTable, attack_costs
from a2d_tf.features.base import REGISTRY, Feature, FeatureStream, FitData, Measured
from a2d_tf.features.direction_costs import DirectionCosts
from a2d_tf.features.margin import Margin
from a2d_tf.features.named import by_name
from a2d_tf.features.table import FeatureTable, measure, needs

__all__ = [
    "AttackCost", "CostTable", "DirectionCosts", "Feature", "FeatureStream", "FeatureTable",
    "FitData", "Margin", "Measured", "REGISTRY", "attack_costs", "by_name", "measure", "needs",
]
