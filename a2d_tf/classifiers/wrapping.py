"""What may be given as a classifier."""

from typing import Any

import keras

from a2d_tf.classifiers.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds, check_bounds


def as_classifier(
    classifier: Any, bounds: Bounds | tuple[float, float] | None = None
) -> Classifier:
    """The classifier: itself, or a model wrapped in one.

    Raises:
      InvalidInputError: it is neither, or bounds were given for a classifier that has its own.
    """
    if isinstance(classifier, Classifier):
        if bounds is not None and check_bounds(bounds) != classifier.bounds:
            raise InvalidInputError(
                f"expected no bounds beside a Classifier, which has its own {classifier.bounds}, "
                f"got {check_bounds(bounds)}; leave them out"
            )
        return classifier
    if isinstance(classifier, keras.Model):
        return Classifier(classifier, Bounds() if bounds is None else bounds)
    raise InvalidInputError(
        f"expected a Classifier or a Keras model, got {type(classifier).__name__}; wrap it in "
        "Classifier(model, bounds), or load it with Classifier.load"
    )
