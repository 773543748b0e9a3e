"""What is measured of an image: attack costs, first-order costs, margins; one kind per file.

May import: errors, checks, images, classifiers, attacks.
"""

from a2d_tf.features.attack_cost import AttackCost, CostTable, attack_costs
from a2d_tf.features.base import REGISTRY, Feature, FeatureStream, FitData, Measured
from a2d_tf.features.direction_costs import DirectionCosts
from a2d_tf.features.logits import MSP, Energy, Entropy, LogitsFeature, Margin
from a2d_tf.features.named import by_name
from a2d_tf.features.predicted_class import PredictedClass
from a2d_tf.features.response import Response
from a2d_tf.features.table import FeatureTable, measure, needs

__all__ = [
    "AttackCost", "CostTable", "DirectionCosts", "Energy", "Entropy", "Feature", "FeatureStream",
    "FeatureTable", "FitData", "LogitsFeature", "MSP", "Margin", "Measured",
    "PredictedClass", "REGISTRY", "Response", "attack_costs", "by_name", "measure", "needs",
]
