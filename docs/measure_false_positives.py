"""The false-positive rate of the default detector in random partings of benign images.

  python docs/measure_false_positives.py MODEL.keras IMAGES RESULT.json [PARTINGS]

IMAGES is an .npz with `images`, or a folder of pictures. They are measured once. In each of the
PARTINGS (200), one half of them is fitted on, and the rate is measured on the other half.
"""

import sys

import numpy as np

from a2d_tf import Classifier
from a2d_tf.detection.state import fit_detector
from a2d_tf.detectors import Profile
from a2d_tf.features import Response, measure
from a2d_tf.images import load_images
from a2d_tf.storage import files

PARTINGS, RATES = 200, (0.01, 0.05, 0.1)


class Uncompiled(Profile):
    """A profile whose scores are computed without a graph, which would be traced for each fit."""

    is_compiled = False


def main(model: str, images: str, result: str, partings: str = str(PARTINGS)) -> None:
    """Measures and writes the rates."""
    classifier = Classifier.load(model)
    feature = Response()
    every = load_images(images, classifier.input_spec).images
    table = measure(classifier, {"response": feature}, every)
    values = table.values[table.valid]
    columns = {"response": feature.column_names("response", values.shape[1])}
    # A detector takes columns that are low for adversarial images.
    signs = np.array([-1 if side == "high" else 1 for side in feature.sides(values.shape[1])])
    half, rng = len(values) // 2, np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(int(partings)):
        order = rng.permutation(len(values))
        for rate in RATES:
            if half // 2 < 1 / rate - 1:
                continue
            detector = fit_detector(
                Uncompiled(fpr=rate), {"response": feature}, columns, values[order[:half]],
                np.zeros(half, np.bool_),
            )
            found.setdefault(f"{rate:g}", []).append(
                float(detector.predict(signs * values[order[half:]]).mean())
            )
    files.save_json(result, {
        "images": len(values), "invalid": int((~table.valid).sum()), "fitted_on": half,
        "partings": int(partings),
        "rates": {
            rate: {
                "mean": float(np.mean(rates)), "standard_deviation": float(np.std(rates)),
                "largest": max(rates),
            } for rate, rates in found.items()
        },
    })


if __name__ == "__main__":
    main(*sys.argv[1:])
