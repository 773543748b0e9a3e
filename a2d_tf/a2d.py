"""A2D: a classifier, the features that are measured of its inputs, and a detector that judges.

May import: errors, checks, images, classifiers, attacks, features, detectors, detection, export.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import deprecated
from a2d_tf.attacks import Attack
from a2d_tf.checks import integer
from a2d_tf.classifiers import Classifier, as_classifier
from a2d_tf.detection import (
    Detection,
    DetectorState,
    Verdicts,
    early_stopping,
    fitting,
    saving,
)
from a2d_tf.detection.arguments import (
    OWN,
    Features,
    as_detector,
    as_features,
    default_detector,
    default_features,
)
from a2d_tf.detection.result import detect
from a2d_tf.detection.state import check_combination
from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError, NotFittedError
from a2d_tf.export import export
from a2d_tf.features import (
    AttackCost,
    CostTable,
    DirectionCosts,
    Feature,
    FeatureTable,
    attack_costs,
    measure,
    needs,
)
from a2d_tf.features.base import OnFinished
from a2d_tf.images.batching import ImageSource
from a2d_tf.images.spec import Bounds

VERDICT_BATCHES = 8
Self = TypeVar("Self", bound="A2D")


class A2D:
    """Attack as Defense (paper, section 4): judges an input by the cost of attacking it.

    Args:
      classifier: the classifier whose inputs are judged, or a Keras model; it is not changed.
      features: what is measured of an input: attacks, whose cost is the feature, other features,
        or their names. One of these, several in a sequence, or several by names of your own in a
        dict. By default "response", the logits and how much two filters change the answer; and the
        cost of "bim-search" for a detector that takes its columns for costs.
      detector: judges the columns of all features: a detector or its name. By default "profile"
        if it is not known of some columns on which side adversarial images lie, as of those of
        "response", and "conformal" otherwise. Both learn from benign images alone.
      attacks: the same as `features`, for features that are all costs of attacks.
      bounds: the valid range of the pixels of a Keras model; (0, 1) by default.
      preset: whose settings an attack takes that is given by its name: "mnist" or "cifar10" for
        the published ones; with "own", `fit` chooses its steps on the benign images.
      directions: deprecated; add the feature "directions" instead.
      batch_size: examples under attack at once. It bounds the memory and changes no verdict.
      on_finished: called with the number of (image, feature) pairs that just finished.

    Raises:
      InvalidInputError: an argument of the wrong type, no feature, two of the same name, a feature
        that cannot be measured on the classifier, or a detector that cannot judge its columns.
    """

    def __init__(
        self,
        classifier: Any,
        features: Features | None = None,
        detector: Detector | str | None = None,
        *,
        attacks: Features | None = None,
        bounds: Bounds | tuple[float, float] | None = None,
        preset: str = OWN,
        directions: bool = False,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ):
        if features is not None and attacks is not None:
            raise InvalidInputError(
                "expected features or attacks, got both; put the attacks among the features"
            )
        given = features if features is not None else attacks
        self._classifier = as_classifier(classifier, bounds)
        self._features = as_features(
            default_features(detector) if given is None else given, preset
        )
        self._given = given  # as it was given, which scikit-learn's `clone` asks for
        if directions:
            self._given = self._features
            deprecated.warn('A2D(directions=True) is deprecated; add the feature "directions"')
            self._features["directions"] = DirectionCosts()
        self._detector = as_detector(
            default_detector(self._features) if detector is None else detector
        )
        self._preset = preset
        known = {
            name: feature for name, feature in self._features.items()
            if isinstance(feature, Feature)
        }
        check_combination(self._features, self._detector)
        for feature in known.values():
            feature.check(self._classifier)
        self._state: DetectorState | None = None
        self.batch_size = integer(batch_size, "a batch size")
        self.on_finished = on_finished

    @property
    def classifier(self) -> Classifier:
        """The classifier whose inputs are judged."""
        return self._classifier

    @property
    def features(self) -> dict[str, Feature | str]:
        """What is measured, by name. Before `fit`, an attack without steps is given as its name."""
        return dict(self._state.features) if self._state else dict(self._features)

    @property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose costs are among the features, by name."""
        return {
            name: feature.attack for name, feature in self.features.items()
            if isinstance(feature, AttackCost)
        }

    @property
    def detector(self) -> Detector:
        """The detector: the fitted one after `fit`."""
        return self._state.detector if self._state else self._detector

    @property
    def order(self) -> list[str]:
        """The features in the order in which they are measured if only verdicts are wanted."""
        return list(self._state.order if self._state else self._features)

    @property
    def state(self) -> DetectorState:
        """All that was fitted.

        Raises:
          NotFittedError: before `fit`.
        """
        if self._state is None:
            raise NotFittedError("expected a fitted A2D, got one that is not; call fit first")
        return self._state

    def fit(
        self: Self,
        benign: ImageSource,
        adversarial: ImageSource | None = None,
        *,
        fpr: float | None = None,
        source: ArrayLike | None = None,
        noisy_negatives: bool = False,
        training_data: tuple[ImageSource, ArrayLike] | None = None,
        seed: int = 0,
        measure: Callable[..., FeatureTable] = measure,
    ) -> Self:
        """Fits the detector on the features of benign and, if it needs them, adversarial images.

        Args:
          benign: f32[N,H,W,C], or a dataset of such images.
          adversarial: f32[M,H,W,C], or a dataset; None for a detector that learns from benign
            images alone.
          fpr: a wanted false-positive rate, in (0, 1). Images that the detector did not learn from
            set the threshold. A detector that has a rate among its settings, such as `Profile`,
            keeps some for that (about a third), if no feature learns from the images and no attack
            chooses its steps on them. Otherwise every other benign image is kept. With None, the
            detector's default threshold holds.
          source: i64[M], the row of `benign` that each adversarial image was made from, or -1 where
            it is not known. By default row i for image i, if there are as many and `fpr` is None.
          noisy_negatives: whether benign images with noise as strong as the attack count as benign
            in the fit too, as KD and LID were published (Feinman et al. 2017, section 5).
          training_data: images and their classes for features that learn from the data that the
            classifier was trained on. By default the benign images, with the classifier's labels.
          seed: seed of the noise.
          measure: measures the features, in place of `features.measure`, with its arguments and
            its result; such as `scoring.distributed_measure`. Features that learn from the images
            of the fit are measured without it.

        Raises:
          InvalidInputError: unfit images, or too few of them.
          UnsuitableClassifierError: the classifier fails its preflight check.
        """
        self._state = fitting.fit(
            self._classifier, self._features, self._detector, benign, adversarial,
            fitting.FitOptions(
                fpr=fpr, source=source, noisy_negatives=noisy_negatives,
                training_data=training_data, seed=seed, batch_size=self.batch_size,
                on_finished=self.on_finished, measure=measure,
            ),
        )
        return self

    def calibrate(self: Self, benign: ImageSource, fpr: float) -> Self:
        """Sets the threshold to a wanted false-positive rate.

        Args:
          benign: f32[N,H,W,C], or a dataset, of images that took no part in the fit.
          fpr: the wanted rate, in (0, 1).

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: too few images for that rate.
        """
        options = fitting.FitOptions(batch_size=self.batch_size, on_finished=self.on_finished)
        self._state = fitting.calibrate(self.state, benign, fpr, options)
        return self

    def measure(self, images: ImageSource) -> FeatureTable:
        """The features of images f32[N,H,W,C] or of a dataset, and the classifier's labels.

        Raises:
          NotFittedError: before `fit`.
        """
        state = self.state
        return measure(
            state.classifier, state.features, images,
            batch_size=self.batch_size, on_finished=self.on_finished, preflight=False,
        )

    def costs(self, images: ImageSource) -> CostTable:
        """The costs of the attacks for images f32[N,H,W,C] or a dataset; see `attack_costs`."""
        return attack_costs(
            self._classifier, images, self.attacks,
            batch_size=self.batch_size, on_finished=self.on_finished,
        )

    def predict(self, images: ImageSource) -> Detection:
        """Verdict, score, columns and the classifier's label of images.

        An image that cannot be judged is flagged and does not change what is said of the others;
        see `Detection`.

        Args:
          images: f32[N,H,W,C], or a dataset of such images, which is never held as a whole.

        Raises:
          NotFittedError: before `fit`.
        """
        return detect(self.state, self.measure(images))

    def score(self, images: ImageSource) -> NDArray[np.float32]:
        """Scores f32[N] of images f32[N,H,W,C] or of a dataset; higher means more adversarial.

        Raises:
          NotFittedError: before `fit`.
        """
        return self.predict(images).score

    def decision_function(self, images: ImageSource) -> NDArray[np.float32]:
        """The scores of `score`, under scikit-learn's name."""
        return self.score(images)

    def is_adversarial(self, images: ImageSource) -> NDArray[np.bool_]:
        """The verdicts bool[N] of `predict`, and no more: attacks stop once a verdict is known.

        They differ from those of `predict` where outputs that are not finite lie beyond a verdict
        that is known: `predict` meets them and flags the image, and this does not.

        Up to `VERDICT_BATCHES` batches are held at once, so that few rows wait for the last one. If
        the verdict cannot be known before all costs are (several attacks and a detector whose score
        may rise with a cost, or an attack that does not stop at its first success), this takes as
        long as `predict`.

        Args:
          images: f32[N,H,W,C] or a dataset, as for `predict`.

        Raises:
          NotFittedError: before `fit`.
        """
        verdicts: NDArray[np.bool_] = self.verdicts(images).is_adversarial
        return verdicts

    def verdicts(self, images: ImageSource) -> Verdicts:
        """The verdicts of `is_adversarial`, and which of the images could be judged.

        An image that cannot be judged is flagged. An attack finds that out as far as it runs: what
        lies beyond a verdict that is known is not looked at.

        Args:
          images: f32[N,H,W,C] or a dataset, as for `predict`.

        Raises:
          NotFittedError: before `fit`.
        """
        state = self.state
        if not early_stopping.stopping_features(state):
            detection = detect(state, measure(
                state.classifier, state.features, images, batch_size=self.batch_size,
                on_finished=self.on_finished, preflight=False, labels=False,
            ))
            return Verdicts(detection.is_adversarial, detection.valid)
        none = np.zeros(0, np.bool_)
        parts = [Verdicts(none, none)]
        for batch in state.classifier.batches(
            images, VERDICT_BATCHES * self.batch_size, preflight=False,
            **needs(state.features.values()),
        ):
            found = early_stopping.in_batches(state, batch, self.batch_size, self.on_finished)
            parts.append(Verdicts(*(values.numpy() for values in found)))
        return Verdicts(*map(np.concatenate, zip(*parts, strict=True)))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, and with `deep` the detector's settings."""
        params: dict[str, Any] = {
            "classifier": self._classifier, "features": self._given,
            "detector": self._detector, "preset": self._preset, "batch_size": self.batch_size,
            "on_finished": self.on_finished,
        }
        if deep:
            settings = self._detector.get_params()
            params |= {f"detector__{name}": value for name, value in settings.items()}
        return params

    def set_params(self: Self, **params: Any) -> Self:
        """Changes arguments of the constructor, or settings of the detector; forgets the fit.

        Raises:
          InvalidInputError: there is no such argument, or its value is wrong.
        """
        arguments = self.get_params(deep=False)
        detector = as_detector(params.get("detector", arguments["detector"]))
        known = [*arguments, *(f"detector__{name}" for name in detector.get_params())]
        if unknown := [name for name in params if name not in known]:
            raise InvalidInputError(
                f"expected parameters out of {', '.join(known)}, got {', '.join(unknown)}"
                "; take one of these"
            )
        arguments |= {name: value for name, value in params.items() if "__" not in name}
        settings = {
            name.removeprefix("detector__"): value
            for name, value in params.items() if "__" in name
        }
        arguments["detector"] = type(detector)(**(detector.get_params() | settings))
        vars(self).update(vars(type(self)(**arguments)))
        return self

    def save(self, folder: str | Path) -> None:
        """Writes detector, features and classifier to a folder, which then needs nothing else.

        The classifier is read back. If that fails for a Keras model, it is written as a SavedModel.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: the classifier is a black box or has changed on the disk since it was
            loaded, or `folder` holds other things.
        """
        saving.save(self.state, folder)

    def export(self, folder: str | Path) -> None:
        """Writes one SavedModel that any TensorFlow runtime serves; see `a2d_tf.export`.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: the classifier or a feature cannot be part of a graph, or `folder`
            holds other things.
        """
        export(self.state, folder)

    @classmethod
    def load(
        cls: type[Self],
        folder: str | Path,
        *,
        batch_size: int = 128,
        custom_objects: Mapping[str, Any] | None = None,
        safe_mode: bool = True,
    ) -> Self:
        """The A2D that `save` wrote, in this version or in an earlier one.

        Args:
          folder: where it was written.
          batch_size: as for the constructor.
          custom_objects, safe_mode: as for `Classifier.load`.

        Raises:
          InvalidInputError: the folder does not hold a detector.
        """
        state = saving.load(folder, custom_objects=custom_objects, safe_mode=safe_mode)
        a2d = cls(state.classifier, state.features, state.detector, batch_size=batch_size)
        a2d._state = state
        return a2d

    def fit_and_calibrate(
        self: Self, benign: ImageSource, adversarial: ImageSource | None, fpr: float | None
    ) -> Self:
        """Deprecated: `fit(benign, adversarial, fpr=fpr)`."""
        deprecated.warn(
            "A2D.fit_and_calibrate is deprecated; use fit(benign, adversarial, fpr=fpr)"
        )
        return self.fit(benign, adversarial, fpr=fpr)

    def fingerprints(
        self, images: ImageSource, table: CostTable | None = None
    ) -> NDArray[np.float64]:
        """Deprecated: `measure(images).values`."""
        deprecated.warn("A2D.fingerprints is deprecated; use measure(images).values")
        return self.measure(images).values

    def __repr__(self) -> str:
        features = ", ".join(f"{name!r}: {one!r}" for name, one in self.features.items())
        fitted = "fitted" if self._state else "not fitted"
        return f"A2D({self._classifier!r}, {{{features}}}, {self.detector!r}) [{fitted}]"
