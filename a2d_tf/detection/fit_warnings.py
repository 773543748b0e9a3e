"""Warnings of a fit on images or with attacks that leave the detector little to judge by."""

import warnings
from collections.abc import Mapping

import numpy as np

from a2d_tf.errors import DetectorWarning
from a2d_tf.features import AttackCost, Feature, FeatureTable
from a2d_tf.images.spec import Bounds, Images

MIN_SHARE_OF_RANGE = 0.05
MAX_SHARE_AT_CAP = 0.5


def warn_of_unused_range(benign: Images, bounds: Bounds) -> None:
    """Warns if the pixels of benign images use a small part of their range only."""
    if not benign.size:
        return
    used = float(benign.max() - benign.min())
    share = used / float(np.max(bounds[1]) - np.min(bounds[0]))
    if share < MIN_SHARE_OF_RANGE:
        _warn(
            f"the pixels of the benign images are between {benign.min():g} and {benign.max():g}, "
            f"{share:.1%} of the bounds {tuple(bounds)}, and attacks take steps in fractions of "
            "these; give the bounds of the images that the classifier was trained on"
        )


def warn_of_costs_at_the_cap(features: Mapping[str, Feature], benign: FeatureTable) -> None:
    """Warns of each attack that fails on most benign images, whose costs are then all equal."""
    for name, feature in features.items():
        if not isinstance(feature, AttackCost) or not len(benign):
            continue
        cap = feature.attack.max_iterations
        share = float((benign.features[name].values >= cap).mean())
        if share >= MAX_SHARE_AT_CAP:
            _warn(
                f"the attack {name} fails on {share:.0%} of the benign images within its "
                f"{cap} iterations, so that their costs cannot be told apart; "
                f"{feature.attack.failure_advice}"
            )


def _warn(message: str) -> None:
    warnings.warn(message, DetectorWarning, stacklevel=5)
