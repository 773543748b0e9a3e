"""Adversarial versions of a data set's test images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.reports.progress import Progress
from a2d_tf.threats import Threat
from a2d_tf.zoo.datasets import Dataset


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
    correct = classifier.predict(dataset.x_test) == dataset.y_test
    index = np.flatnonzero(correct)[:limit]
    if not len(index):
        raise InvalidInputError(
            f"expected correctly classified test images, got none of {len(correct)}; "
            "check that model and dataset belong together"
        )
    labels = dataset.y_test[index]
    with progress.stage(f"craft {name}", len(index)) as advance:
        crafted = threat.craft(classifier, dataset.x_test[index], labels, advance)
    return {
        "images": crafted.images, "labels": labels, "index": index, "success": crafted.success
    }
