"""Several features of the same images, side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature, Measured, OnFinished, Values
from a2d_tf.images.batching import ImageSource
from a2d_tf.images.spec import Labels


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The columns of several features, a row per image.

    Attributes:
      features: what each feature measured, by name.
      labels: i64[N], what the classifier predicts for the images; -1 where its outputs are not
        finite.
    """

    features: Mapping[str, Measured]
    labels: Labels

    @property
    def values(self) -> Values:
        """All columns f64[N,D], those of each feature side by side."""
        return np.concatenate([measured.values for measured in self.features.values()], axis=1)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Whether each image could be measured, bool[N]: label and all columns are known."""
        valid = self.labels >= 0
        for measured in self.features.values():
            valid = valid & np.isfinite(measured.values).all(axis=1)
        return valid

    @property
    def passes(self) -> dict[str, float]:
        """The mean number of forward and backward passes per image, by feature."""
        return {
            name: float((measured.queries + measured.gradients).mean()) if len(self.labels) else 0.0
            for name, measured in self.features.items()
        }

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "FeatureTable":
        """Some of the rows."""
        return FeatureTable(
            {
                name: Measured(
                    measured.values[rows], measured.queries[rows], measured.gradients[rows]
                )
                for name, measured in self.features.items()
            },
            self.labels[rows],
        )


def needs(features: Iterable[Feature]) -> dict[str, bool]:
    """What several features need of a classifier, as arguments of `Classifier.batches`."""
    every = list(features)
    return {
        "needs_logits": any(feature.needs_logits for feature in every),
        "needs_gradients": any(feature.needs_gradients for feature in every),
    }


def measure(
    classifier: Classifier,
    features: Mapping[str, Feature],
    images: ImageSource,
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
    preflight: bool = True,
    labels: bool = True,
) -> FeatureTable:
    """Measures every feature of every image. The images are read, checked and labelled once.

    The columns of an image are NaN where a feature cannot be measured of it: where the classifier's
    outputs or gradients are not finite, or the gradient at the image is exactly zero.

    Args:
      classifier: the classifier whose inputs are judged.
      features: the features, by name, in the order of their columns.
      images: f32[N,H,W,C] within the classifier's bounds, N may be 0; or a dataset of them, which
        is never held as a whole.
      batch_size: images at once; bounds the memory, changes no value.
      on_finished: called with the number of (image, feature) pairs that just finished.
      preflight: whether the classifier is checked on the first images, if it was not before.
      labels: False for labels that are all 0, without a query, if no feature needs them.

    Raises:
      InvalidInputError: images of the wrong shape, not finite or out of bounds.
      UnsuitableClassifierError: the classifier fails its preflight check.
      NotFittedError: a feature must be fitted first.
    """
    for feature in features.values():
        feature.require_fit()
    streams = {
        name: feature.stream(classifier, batch_size=batch_size, on_finished=on_finished)
        for name, feature in features.items()
    }
    needs_labels = labels or any(feature.needs_labels for feature in features.values())
    found = [np.zeros(0, np.int64)]
    for batch in classifier.batches(
        images, batch_size, preflight=preflight, needs_labels=needs_labels,
        **needs(features.values()),
    ):
        found.append(batch.labels)
        for stream in streams.values():
            stream.update(batch)
    return FeatureTable(
        {name: stream.result() for name, stream in streams.items()}, np.concatenate(found)
    )
