"""Features that learn, fitted once for an experiment and kept as stages of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from a2d_tf.classifiers import Classifier
from a2d_tf.detection.fitting import FitOptions, fit_features
from a2d_tf.features import Feature
from a2d_tf.images.spec import Images
from a2d_tf.reports.progress import Progress
from a2d_tf.storage.stages import Arrays, Stages
from a2d_tf.zoo.datasets import Dataset


def fitted(
    name: str,
    feature: Feature,
    classifier: Classifier,
    benign: Images,
    dataset: Dataset,
    *,
    key: Mapping[str, Any],
    stages: Stages,
    progress: Progress,
) -> Feature:
    """A feature that has learned from benign images and, if there are any, training images.

    Args:
      name: what it is called in the experiment.
      feature: not fitted.
      classifier: the classifier whose inputs are judged.
      benign: f32[N,H,W,C], the benign images of the fit.
      dataset: with its training images; a folder of images has none.
      key: what the fit depends on, as JSON values.
      stages: where it is kept.
      progress: follows the fit.
    """
    training = (dataset.x_train, dataset.y_train) if len(dataset.x_train) else None

    def make() -> Arrays:
        with progress.stage(f"fit {name}", 1) as advance:
            options = FitOptions(training_data=training)
            learned = fit_features(classifier, {name: feature}, benign, options)[name].learned
            advance(1)
        return dict(learned or {})

    return replace(feature, learned=stages.arrays(f"{name}/learned", dict(key), make))
