"""What is measured of the images of an experiment: costs of attacks and other features."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks import Attack
from a2d_tf.attacks.base import cost_dtype
from a2d_tf.attacks.runner import Costs
from a2d_tf.classifiers import Classifier
from a2d_tf.detection.fitting import FitOptions, measure_fit
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.cache_keys import settings_key
from a2d_tf.evaluation.experiment_images import BENIGN, ExperimentImages
from a2d_tf.evaluation.feature_fits import fitted
from a2d_tf.evaluation.splits import FIT
from a2d_tf.features import AttackCost, Feature, FeatureTable, measure
from a2d_tf.images.spec import Images
from a2d_tf.reports.progress import Progress
from a2d_tf.storage.stages import Arrays, Stages
from a2d_tf.threats import Threat
from a2d_tf.zoo.datasets import Dataset


class QueryCount(NamedTuple):
    """The price of a feature for a set of images.

    Attributes:
      images: how many were measured.
      queries: of all these images.
      gradients: of all these images.
      seconds: wall time; NaN where images of all types were measured in one run.
    """

    images: int
    queries: int
    gradients: int
    seconds: float


class ExperimentData(ExperimentImages):
    """Crafts, measures and keeps everything that the detectors of an experiment share.

    Args:
      classifier, model_key, dataset, threats, limit, shuffle, noise_seed, stages, progress: see
        `ExperimentImages`. The dataset's training images are there for features that learn.
      features: the features, by name, in the order of the columns. Those that learn do so from the
        benign images of the fit and from the training images.
      others: features to compare with them; attacks among these are not among `attacks`.
      slow_limits: for features that are too slow for all images, by name: of how many images of
        each split they are measured, from the first; and of the adversarial images that were made
        from these. They take no part in ensembles, and are measured of the test images alone.

    Raises:
      InvalidInputError: too few correctly classified images for the three splits.
    """

    def __init__(
        self,
        classifier: Classifier,
        model_key: Mapping[str, Any],
        dataset: Dataset,
        threats: Mapping[str, Threat],
        features: Mapping[str, Feature],
        *,
        others: Mapping[str, Feature] = {},
        limit: int,
        slow_limits: Mapping[str, int],
        shuffle: int | None,
        noise_seed: int = 0,
        stages: Stages,
        progress: Progress,
    ):
        super().__init__(
            classifier, model_key, dataset, threats, limit=limit, shuffle=shuffle,
            noise_seed=noise_seed, stages=stages, progress=progress,
        )
        self.set_features(features, others)
        self.slow_limits = dict(slow_limits)

    def set_features(
        self, features: Mapping[str, Feature], others: Mapping[str, Feature] = {}
    ) -> None:
        """Sets `features` and `others`, for those that are chosen on the data themselves."""
        self.features = {**others, **features}
        self._compared = dict(features)
        self._fitted: dict[str, Feature] = {}

    @property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose costs are compared, by name."""
        return {
            name: feature.attack for name, feature in self._compared.items()
            if isinstance(feature, AttackCost)
        }

    def columns(
        self, input_type: str, split: str, names: Sequence[str]
    ) -> NDArray[np.float64]:
        """Columns f64[N,D] of several features of the images of a type and split.

        They are NaN where an image cannot be measured. Where a feature is measured of a part of the
        images only, the table ends with that part.
        """
        parts = [self._measured(input_type, split, name)["values"] for name in names]
        count = min(map(len, parts))
        return np.concatenate([part[:count] for part in parts], axis=1)

    def costs(self, input_type: str, split: str, attacks: Sequence[str]) -> Costs:
        """Costs of attacks for the images of a type and split; see `columns`.

        They are i32[N,A], or f64 if not all of them are counts. As published, an attack that finds
        no gradient to follow has failed: its cost is the largest one. Detectors flag such an image;
        see `Scorer`.
        """
        largest = [self.attacks[name].max_iterations for name in attacks]
        columns = self.columns(input_type, split, attacks)
        dtype = cost_dtype(self.attacks[name] for name in attacks)
        return np.where(np.isnan(columns), largest, columns).astype(dtype)

    def query_count(self, input_type: str, split: str, name: str) -> QueryCount:
        """The price of a feature for the images of a type and split."""
        measured = self._measured(input_type, split, name)
        return QueryCount(
            images=len(measured["queries"]),
            queries=int(measured["queries"].sum()),
            gradients=int(measured["gradients"].sum()),
            seconds=float(measured.get("seconds", np.nan)),
        )

    def _ready(self, name: str) -> Feature:
        """A feature that can measure, fitted if it learns."""
        feature = self.features[name]
        if not feature.needs_fit:
            return feature
        if name not in self._fitted:
            self._fitted[name] = fitted(
                name, feature, self.classifier, self.samples(BENIGN, FIT).images, self.dataset,
                key=self.cache_key | {"feature": settings_key(feature)}, stages=self.stages,
                progress=self.progress,
            )
        return self._fitted[name]

    def _measured(self, input_type: str, split: str, name: str) -> Arrays:
        if self.slow_limits.get(name, len(self.splits[split])) < len(self.splits[split]):
            return self._first_measured(split, name)[input_type]
        self._ready(name)  # its seconds are known in a resumed run too
        images, source, _ = self.samples(input_type, split)
        key = self.sample_key(input_type, split) | {"feature": settings_key(self.features[name])}

        def make() -> Arrays:
            start = time.perf_counter()
            title = f"{self._title(name)} of {input_type} ({split})"
            table = self._measure(title, name, images, source if split == FIT else None)
            seconds = np.array(time.perf_counter() - start)
            return {"seconds": seconds, **table.features[name]._asdict()}

        return self.stages.arrays(f"{self._stage(name)}/{input_type}/{split}", key, make)

    def _first_measured(self, split: str, name: str) -> dict[str, Arrays]:
        """What was measured of the first images of every type.

        All are measured in one run, since a few of them would not fill a batch.
        """
        limit, first = self.slow_limits[name], {}
        for input_type in self.input_types:
            images, source, _ = self.samples(input_type, split)
            first[input_type] = images[source < limit]
            if not len(first[input_type]):
                raise InvalidInputError(
                    f"expected {input_type} to fool the classifier within the first {limit} "
                    f"images that {name} is measured of, got none; raise that number or the limit"
                )
        images = np.concatenate(list(first.values()))

        def make() -> Arrays:
            title = f"{self._title(name)} of the first images of all types ({split})"
            return self._measure(title, name, images).features[name]._asdict()

        key = self.cache_key | {
            "split": split, "feature": settings_key(self.features[name]), "first": limit,
            "threats": {name: settings_key(recipe) for name, recipe in self.threats.items()},
        }
        measured = self.stages.arrays(f"{self._stage(name)}/{split}", key, make)
        ends = np.cumsum([len(part) for part in first.values()])[:-1]
        parts = {column: np.split(values, ends) for column, values in measured.items()}
        return {
            input_type: {column: parts[column][place] for column in parts}
            for place, input_type in enumerate(first)
        }

    def _measure(
        self, title: str, name: str, images: Images, source: NDArray[np.int64] | None = None
    ) -> FeatureTable:
        """A feature of images; `source` is given for those of the fit."""
        feature = {name: self._ready(name)}
        with self.progress.stage(title, len(images)) as advance:
            if source is None:
                return measure(self.classifier, feature, images, on_finished=advance)
            return measure_fit(
                self.classifier, feature, images, source, FitOptions(on_finished=advance)
            )

    def _stage(self, name: str) -> str:
        return f"cost/{name}" if isinstance(self.features[name], AttackCost) else name

    def _title(self, name: str) -> str:
        return f"{name} cost" if isinstance(self.features[name], AttackCost) else name
