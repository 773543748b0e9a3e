"""How A2D learns: from images to fitted features, a fitted detector and a threshold."""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import sklearn.base
from numpy.typing import ArrayLike, NDArray

from a2d_tf import attacks, checks
from a2d_tf.classifiers import Classifier
from a2d_tf.detection.fit_warnings import (
    warn_of_copies,
    warn_of_costs_at_the_cap,
    warn_of_one_label,
)
from a2d_tf.detection.state import DetectorState, check_combination, fit_detector
from a2d_tf.detectors import Detector
from a2d_tf.detectors.calibration import check_count
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.features import (
    AttackCost,
    Feature,
    FeatureTable,
    FitData,
    Measured,
    measure,
    needs,
)
from a2d_tf.features.base import OnFinished
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.used_range import warn_of_unused_range
from a2d_tf.images.spec import Bounds, Images


class FitOptions(NamedTuple):
    """How to fit, besides from which images; see `A2D.fit`."""

    fpr: float | None = None
    source: ArrayLike | None = None
    noisy_negatives: bool = False
    training_data: tuple[ImageSource, ArrayLike] | None = None
    seed: int = 0
    batch_size: int = 128
    on_finished: OnFinished | None = None
    measure: Callable[..., FeatureTable] = measure


class _Part(NamedTuple):
    """Images of a fit, and the benign image i64[N] that each is, or was made from."""

    images: Images
    rows: NDArray[np.int64]


def fit(
    classifier: Classifier,
    features: Mapping[str, Feature | str],
    detector: Detector,
    benign: ImageSource,
    adversarial: ImageSource | None,
    options: FitOptions,
) -> DetectorState:
    """Fits the features and the detector, and calibrates the detector if a rate is wanted.

    Args:
      classifier: the classifier whose inputs are judged.
      features: what is measured, by name. A name in place of a feature is that of an attack whose
        steps are chosen on the benign images.
      detector: not fitted; it stays so.
      benign: f32[N,H,W,C].
      adversarial: f32[M,H,W,C]; None for a detector that learns from benign images alone.
      options: see `A2D.fit`.

    Raises:
      InvalidInputError: unfit images, or too few of them.
      UnsuitableClassifierError: the classifier fails its preflight check.
    """
    if adversarial is not None and not detector.learns_from_adversarial:
        raise InvalidInputError(
            f"expected benign images alone for {detector.name}, got adversarial ones too; "
            "leave them out or choose a detector that learns from them"
        )
    if options.fpr is not None and detector.calibrates_itself and not _learns(features):
        # To take every other image away first would only leave it fewer to learn from.
        detector = sklearn.base.clone(detector).set_params(fpr=options.fpr)
        options = options._replace(fpr=None)
    every = to_array(benign, classifier.input_spec)
    warn_of_unused_range(every, classifier.bounds)
    warn_of_copies(every)
    fitted_on, others = (every, every[:0]) if options.fpr is None else (every[::2], every[1::2])
    parts = _parts(classifier, fitted_on, len(every), adversarial, options)
    counts = [len(part.images) for part in parts]
    detector.check_counts(sum(counts[:2]), counts[2])
    if options.fpr is not None:
        check_count(len(others), options.fpr)
    resolved = {
        name: AttackCost(attack=attacks.calibrate(feature, classifier, fitted_on))
        if isinstance(feature, str) else feature
        for name, feature in features.items()
    }
    check_combination(resolved, detector)
    fitted = fit_features(classifier, resolved, fitted_on, options)
    tables = [
        _judgeable(measure_fit(classifier, fitted, part.images, part.rows, options))
        for part in parts
    ]
    warn_of_costs_at_the_cap(fitted, tables[0])
    warn_of_one_label(tables[0].labels)
    columns = {
        name: tuple(feature.column_names(name, tables[0].features[name].values.shape[1]))
        for name, feature in fitted.items()
    }
    values = np.concatenate([table.values for table in tables if len(table)])
    measured = [len(table) for table in tables]
    detector.check_counts(sum(measured[:2]), measured[2])
    judge: Detector = sklearn.base.clone(detector)
    with warnings.catch_warnings():
        if options.fpr is not None:  # the threshold of the fit will not be used
            warnings.simplefilter("ignore", DetectorWarning)
        fit_detector(
            judge, fitted, columns, values, np.arange(len(values)) >= sum(measured[:2])
        )
    passes = tables[0].passes
    order = sorted(fitted, key=lambda name: passes[name])
    state = DetectorState(classifier, fitted, judge, columns, tuple(order))
    return state if options.fpr is None else calibrate(state, others, options.fpr, options)


def _learns(features: Mapping[str, Feature | str]) -> bool:
    """Whether any feature, or the step of its attack, depends on the benign images."""
    return any(isinstance(one, str) or one.needs_fit for one in features.values())


def calibrate(
    state: DetectorState, benign: ImageSource, fpr: float, options: FitOptions
) -> DetectorState:
    """The state with a threshold for a wanted false-positive rate; see `A2D.calibrate`."""
    table = _judgeable(options.measure(
        state.classifier, state.features, benign,
        batch_size=options.batch_size, on_finished=options.on_finished, preflight=False,
    ))
    values = table.values if len(table) else np.zeros((0, state.width))
    detector = copy.deepcopy(state.detector).calibrate(state.oriented(values), fpr)
    return DetectorState(state.classifier, state.features, detector, state.columns, state.order)


def _judgeable(table: FeatureTable) -> FeatureTable:
    """The table without images that cannot be judged, which a detector flags unseen."""
    invalid = int((~table.valid).sum())
    if not invalid:
        return table
    warnings.warn(
        f"{invalid} of {len(table)} images cannot be judged and are left out (the classifier's "
        "outputs or gradients there are not finite, or the gradients exactly zero); such images "
        "are always flagged, so check the classifier and how the images are scaled",
        stacklevel=4,
    )
    return table[table.valid]


def add_noise(benign: Images, adversarial: Images, bounds: Bounds, seed: int) -> Images:
    """Benign images with Gaussian noise that is as strong as the attack.

    If such images count as benign in a fit, a detector does not learn to detect noise.

    Args:
      benign: f32[N,H,W,C].
      adversarial: f32[N,H,W,C], crafted from the same rows of `benign`.
      bounds: the pixels are clipped to this range.
      seed: seed of the noise.

    Returns:
      f32[N,H,W,C]: before the clipping, row i has the same L2 distance from `benign` as row i of
      `adversarial` (Feinman et al. 2017, section 5).
    """
    noise = np.random.default_rng(seed).standard_normal(benign.shape, np.float32)
    axes = tuple(range(1, benign.ndim))
    wanted = np.sqrt(np.square(adversarial - benign).sum(axes, keepdims=True))
    norms = np.sqrt(np.square(noise).sum(axes, keepdims=True))
    return np.asarray(np.clip(benign + noise * (wanted / norms), *bounds), np.float32)


def _parts(
    classifier: Classifier, benign: Images, count: int, adversarial: ImageSource | None,
    options: FitOptions,
) -> list[_Part]:
    """The benign, the noisy and the adversarial images of a fit.

    The benign images are those to learn from, out of `count`.
    """
    rows = np.arange(len(benign))
    none = _Part(benign[:0], rows[:0])
    if adversarial is None:
        if options.noisy_negatives:
            raise InvalidInputError(
                "expected adversarial images for noisy_negatives, which are as strong as these, "
                "got none; give some, or leave the noise out"
            )
        return [_Part(benign, rows), none, none]
    crafted = to_array(adversarial, classifier.input_spec)
    sources = _sources(options, count, len(crafted))
    if options.fpr is not None:  # every other benign image is not here
        sources = np.where((sources >= 0) & (sources % 2 == 0), sources // 2, -1)
    noisy = none
    if options.noisy_negatives:
        known = sources >= 0
        if not known.any():
            raise InvalidInputError(
                "expected adversarial images of which it is known from which benign images they "
                f"were made, for noisy_negatives, got {len(crafted)} for {count}; give their "
                "source, a row of the benign images for each"
            )
        images = add_noise(
            benign[sources[known]], crafted[known], classifier.bounds, options.seed
        )
        noisy = _Part(images, sources[known])
    return [_Part(benign, rows), noisy, _Part(crafted, sources)]


def _sources(options: FitOptions, benign: int, adversarial: int) -> NDArray[np.int64]:
    """The benign image i64[M] that each adversarial one was made from, -1 where it is unknown."""
    if options.source is None:
        pairs = benign == adversarial and options.fpr is None
        return np.arange(adversarial) if pairs else np.full(adversarial, -1)
    given = np.asarray(options.source)
    if given.shape != (adversarial,) or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInputError(
            f"expected a source row for each of {adversarial} adversarial images, got "
            f"{given.dtype} of shape {list(given.shape)}; give an integer for each"
        )
    if given.size and not -1 <= given.min() <= given.max() < benign:
        raise InvalidInputError(
            f"expected source rows from 0 to {benign - 1}, or -1 where the row is not known, got "
            f"{given.min()} to {given.max()}; give rows of the benign images"
        )
    return given.astype(np.int64)


def fit_features(
    classifier: Classifier, features: Mapping[str, Feature], benign: Images, options: FitOptions
) -> dict[str, Feature]:
    """The features, those that learn fitted on benign images and training data.

    Args:
      classifier: the classifier whose inputs are judged.
      features: not fitted, by name.
      benign: f32[N,H,W,C].
      options: with the training data; without, the benign images take their place.

    Raises:
      InvalidInputError: training data that are no pair, do not fit the classifier, or too few.
    """
    if not any(feature.needs_fit for feature in features.values()):
        return dict(features)
    if options.training_data is None:
        data = FitData(benign, benign, classifier.predict(benign, options.batch_size))
    else:
        if not isinstance(options.training_data, (tuple, list)) or len(options.training_data) != 2:
            raise InvalidInputError(
                "expected training_data as a pair (images, labels), got "
                f"{type(options.training_data).__name__}; give both"
            )
        images, labels = options.training_data
        array = to_array(images, classifier.input_spec)
        data = FitData(benign, array, checks.class_labels(labels, len(array), "training labels"))
    return {name: feature.fit(classifier, data) for name, feature in features.items()}


def measure_fit(
    classifier: Classifier, features: Mapping[str, Feature], images: Images,
    rows: NDArray[np.int64], options: FitOptions,
) -> FeatureTable:
    """The features of images of a fit, those that learned from these images among them.

    Args:
      classifier: the classifier.
      features: fitted, by name.
      images: f32[N,H,W,C].
      rows: i64[N], the benign image of the fit that each is, or was made from; -1 if unknown.
      options: of the fit.
    """
    plain = {name: feature for name, feature in features.items() if not feature.needs_fit}
    table = options.measure(
        classifier, plain, images,
        batch_size=options.batch_size, on_finished=options.on_finished,
    )
    if len(plain) == len(features) or not len(images):
        return table
    batches = list(
        classifier.batches(images, options.batch_size, **needs(features.values()))
    )
    measured = dict(table.features)
    for name, feature in features.items():
        if name not in plain:
            values = feature.measure_fit_batches(classifier, batches, rows)
            queries, gradients = (
                np.full(len(values), count, np.int64)
                for count in feature.passes_of(values.shape[1])
            )
            measured[name] = Measured(values, queries, gradients)
            if options.on_finished:
                options.on_finished(len(values))
    return FeatureTable({name: measured[name] for name in features}, table.labels)
