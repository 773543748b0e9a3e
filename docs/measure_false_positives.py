"""The false-positive rate of the default detector in random partings of benign images.

  python docs/measure_false_positives.py MODEL.keras IMAGES RESULT.json [PARTINGS]

IMAGES is an .npz with `images`, or a folder of pictures. They are measured once. In each of the
PARTINGS (200), one half of them is fitted on, and the rate is measured on the other half. Within
each predicted class it is measured too, with one threshold and with one for each class, if every
class has enough images.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from a2d_tf import Classifier
from a2d_tf.detection.state import fit_detector
from a2d_tf.detectors import Profile
from a2d_tf.detectors.calibration import least_count
from a2d_tf.features import Feature, PredictedClass, Response, measure
from a2d_tf.images import load_images
from a2d_tf.storage import files

PARTINGS, RATES = 200, (0.01, 0.05, 0.1)
CLASS_RATE = 0.1
DEFAULT: dict[str, Feature] = {"response": Response()}
BY_CLASS: dict[str, Feature] = DEFAULT | {"predicted-class": PredictedClass()}


class Uncompiled(Profile):
    """A profile whose scores are computed without a graph, which would be traced for each fit."""

    is_compiled = False


def main(model: str, images: str, result: str, partings: str = str(PARTINGS)) -> None:
    """Measures and writes the rates."""
    classifier = Classifier.load(model)
    every = load_images(images, classifier.input_spec).images
    table = measure(classifier, BY_CLASS, every)
    columns, classes = table.values[table.valid], table.labels[table.valid]
    half = len(columns) // 2
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(columns)) for _ in range(int(partings))]
    found: dict[str, list[float]] = {}
    for order in orders:
        for rate in RATES:
            if half // 2 >= 1 / rate - 1:
                flagged = _flagged(DEFAULT, rate, columns[:, :-1], order)
                found.setdefault(f"{rate:g}", []).append(float(flagged.mean()))
    saved = {
        "images": len(columns), "invalid": int((~table.valid).sum()), "fitted_on": half,
        "partings": len(orders),
        "rates": {
            rate: {
                "mean": float(np.mean(rates)), "standard_deviation": float(np.std(rates)),
                "largest": max(rates),
            } for rate, rates in found.items()
        },
    }
    numbers, counts = np.unique(classes, return_counts=True)
    if counts.min() >= 4 * least_count(CLASS_RATE):  # half of them are fitted on
        saved["within_classes"] = {
            "wanted": CLASS_RATE, "classes": len(numbers), "fewest_images": int(counts.min()),
        } | {
            name: _within_classes(features, columns[:, :width], classes, orders)
            for name, features, width in (
                ("one_threshold", DEFAULT, -1), ("by_class", BY_CLASS, columns.shape[1]),
            )
        }
    files.save_json(result, saved)
    print(f"{result}: {len(orders)} splits of {len(columns)} images")


def _flagged(
    features: dict[str, Feature], rate: float, columns: NDArray[np.float64],
    order: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """The verdicts on the second half of an order, of a detector that was fitted on the first."""
    widths = {name: 1 for name in features} | {"response": columns.shape[1] - len(features) + 1}
    names = {name: one.column_names(name, widths[name]) for name, one in features.items()}
    sides = [side for name, one in features.items() for side in one.sides(widths[name])]
    half = len(columns) // 2
    detector = fit_detector(
        Uncompiled(fpr=rate), features, names, columns[order[:half]], np.zeros(half, np.bool_)
    )
    # A detector takes columns that are low for adversarial images.
    signs = np.array([-1 if side == "high" else 1 for side in sides])
    return detector.predict(signs * columns[order[half:]])


def _within_classes(
    features: dict[str, Feature], columns: NDArray[np.float64], classes: NDArray[np.int64],
    orders: list[NDArray[np.int64]],
) -> dict[str, float]:
    """The mean rate within each predicted class, by its number."""
    flagged, judged = np.zeros(classes.max() + 1), np.zeros(classes.max() + 1)
    for order in orders:
        of = classes[order[len(columns) // 2:]]
        verdicts = _flagged(features, CLASS_RATE, columns, order)
        flagged += np.bincount(of, verdicts, len(flagged))
        judged += np.bincount(of, minlength=len(flagged))
    return {
        str(number): float(flagged[number] / judged[number]) for number in np.flatnonzero(judged)
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
