"""A detector that can flag nothing, or has nothing to judge by, says so when it is fitted."""

import warnings

import numpy as np
import pytest

from a2d_tf import A2D, Bounds, Classifier, DetectorWarning, detectors
from a2d_tf.attacks import BIM

SMALL_STEPS = BIM(eps=1e-6, step=1e-8, max_iterations=5)
ATTACK = BIM(eps=0.3, step=0.004, max_iterations=60)


def test_costs_at_the_cap(classifier: Classifier, benign: np.ndarray) -> None:
    with pytest.warns(DetectorWarning, match="bim fails on 100% of the benign images within its 5"):
        A2D(classifier, SMALL_STEPS, "conformal").fit(benign[:40])


def test_bounds_of_other_images(classifier: Classifier, benign: np.ndarray) -> None:
    wide = Classifier(classifier.model, Bounds(0, 255))
    with pytest.warns(DetectorWarning, match=r"0\.4% of the bounds \(0\.0, 255\.0\)"):
        A2D(wide, ATTACK, detectors.ZScore(votes=1)).fit(benign[:40])


def test_more_neighbours_than_inputs() -> None:
    costs = np.r_[np.full(20, 5), np.full(20, 300)]
    with pytest.warns(DetectorWarning, match="none of the 20 adversarial inputs .* k well below"):
        detectors.KNN().fit(costs, np.arange(40) < 20)


def test_a_threshold_that_no_cost_exceeds() -> None:
    costs = np.r_[np.zeros(20), np.arange(1, 21)]
    with pytest.warns(DetectorWarning, match="flags no input, whatever its columns"):
        detectors.Threshold(fpr=0.1).fit(costs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = detectors.ZScore(votes=1).fit(np.arange(1, 41))
    with pytest.warns(DetectorWarning, match="flags no input, whatever its columns"):
        detector.calibrate(costs, 0.1)


@pytest.mark.parametrize("fpr", [None, 0.1])
def test_a_sound_fit_says_nothing(
    fpr: float | None, classifier: Classifier, benign: np.ndarray
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DetectorWarning)
        A2D(classifier, ATTACK, detectors.ZScore(votes=1)).fit(benign[:60], fpr=fpr)


def test_one_label_and_copies(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign)
    with pytest.warns(DetectorWarning, match="gives 100% of the benign images the label 3; give"):
        zeros = np.concatenate([benign[labels == 3], benign[labels == 3] * np.float32(0.999)])
        A2D(classifier, "margin", "zscore").fit(zeros[:60])
    with pytest.warns(DetectorWarning, match="only 20 of the 60 benign images differ"):
        A2D(classifier, "margin", "zscore").fit(np.tile(benign[:20], (3, 1, 1, 1)))


def test_images_of_another_range_than_those_of_the_fit(
    classifier: Classifier, benign: np.ndarray
) -> None:
    wide = Classifier(lambda images: classifier(images / 255), Bounds(0, 255))
    a2d = A2D(wide, "margin", "zscore").fit(255 * benign[:60])
    for judge in (a2d.predict, a2d.is_adversarial):
        with pytest.warns(DetectorWarning, match=r"hardly anything of the bounds \(0\.0, 255\.0\)"):
            judge(benign[:20])
        with warnings.catch_warnings():
            warnings.simplefilter("error", DetectorWarning)
            judge(255 * benign[:20])
            judge(np.zeros_like(benign[:3]))
