"""Adversarial versions of a data set's test images."""

import dataclasses
from typing import Any

from numpy.typing import NDArray

from a2d_tf.a2d import A2D
from a2d_tf.adaptive import FlaggedBy
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.splits import first_right
from a2d_tf.reports.progress import Progress
from a2d_tf.threats import HopSkipJump, Threat
from a2d_tf.zoo.datasets import Dataset

MOST_STARTS = 500  # training images that a decision-based attack starts from


def craft_test_images(
    name: str, threat: Threat, classifier: Classifier, dataset: Dataset, limit: int,
    progress: Progress,
) -> dict[str, NDArray[Any]]:
    """Crafts from the first correctly classified test images.

    Args:
      name: the name of the threat.
      threat: the recipe.
      classifier: the classifier to attack.
      dataset: its test images are used.
      limit: the largest number of images.
      progress: follows the crafting.

    Returns:
      images f32[N,H,W,C], labels i64[N] (the true ones), index i64[N] in the test set and
      success bool[N].

    Raises:
      InvalidInputError: no test image is classified correctly.
    """
    index = first_right(classifier.predict(dataset.x_test), dataset.y_test, limit)
    labels = dataset.y_test[index]
    with progress.stage(f"craft {name}", len(index)) as advance:
        crafted = threat.craft(classifier, dataset.x_test[index], labels, advance)
    return {
        "images": crafted.images, "labels": labels, "index": index, "success": crafted.success
    }


def past_detector(threat: Threat, dataset: Dataset, a2d: A2D | None, name: str) -> Threat:
    """The threat with images to start from and, if there is a detector, its flags as failures.

    Args:
      threat: the recipe; one that is not decision-based stays as it is.
      dataset: the attack starts from its first training images.
      a2d: a fitted detector of the classifier under attack; None without one.
      name: of the detector.

    Raises:
      InvalidInputError: a detector for a threat that does not ask for verdicts.
    """
    if isinstance(threat, HopSkipJump):
        start = dataset.x_train[:MOST_STARTS]
        flagged = None if a2d is None else FlaggedBy(a2d, name)
        changes: dict[str, Any] = {"start_images": start, "is_flagged": flagged}
        return dataclasses.replace(threat, **changes)
    if a2d is not None:
        raise InvalidInputError(
            f"expected the threat hopskipjump for a detector, got {type(threat).__name__}, which "
            "does not ask for verdicts; leave the detector out, or use adaptive.py"
        )
    return threat
