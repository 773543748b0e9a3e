"""Warnings of a fit on images or with attacks that leave the detector little to judge by."""

import warnings
from collections.abc import Mapping

import numpy as np

from a2d_tf.errors import DetectorWarning
from a2d_tf.features import AttackCost, Feature, FeatureTable
from a2d_tf.images.spec import Images, Labels

MAX_SHARE_AT_CAP = 0.5
MAX_SHARE_OF_A_LABEL = 0.95
FEW_IMAGES = 50  # of fewer, many may have one label by chance


def warn_of_one_label(labels: Labels) -> None:
    """Warns if the classifier gives nearly all benign images one label i64[N]."""
    if len(labels) < FEW_IMAGES:
        return
    kinds, counts = np.unique(labels, return_counts=True)
    if (share := counts.max() / len(labels)) >= MAX_SHARE_OF_A_LABEL:
        _warn(
            f"the classifier gives {share:.0%} of the benign images the label "
            f"{kinds[counts.argmax()]}; give images of all classes, and check that bounds and "
            "preprocessing are those of its training"
        )


def warn_of_copies(benign: Images) -> None:
    """Warns if most of the benign images are copies of others."""
    different = len({image.tobytes() for image in benign})
    if len(benign) >= FEW_IMAGES and different <= len(benign) / 2:
        _warn(
            f"only {different} of the {len(benign)} benign images differ, so that the "
            "false-positive rate need not hold; give images without copies"
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
