"""The estimate of BIM's cost, and attacks on detectors that judge it beside other features."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier
from a2d_tf.adaptive import OrthogonalPGD, SelectivePGD, differentiable_score, score_of
from a2d_tf.adaptive.bim_costs import HEADROOM, estimated_cost
from a2d_tf.adaptive.defences import Scored
from a2d_tf.adaptive.noisy import Noisy
from a2d_tf.attacks import BIM, BIM2
from a2d_tf.features import AttackCost
from a2d_tf.threats import PGD

SMALL = BIM(eps=0.3, step=0.01, max_iterations=40)


def two_pixels(first_logit: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Classifier:
    """A classifier by a function of two pixels; the second logit is 0."""
    def logits(images: tf.Tensor) -> tf.Tensor:
        values = tf.reshape(images, (-1, 2))
        first = first_logit(values[:, 0], values[:, 1])
        return tf.stack([first, tf.zeros_like(first)], axis=1)

    return Classifier(logits, input_shape=(1, 2, 1))


def pairs(*values: tuple[float, float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 2, 1)


def test_by_hand_on_two_pixels() -> None:
    """A step of BIM moves both pixels by 0.01, and takes 0.03 of the lead 2a - b."""
    plane = two_pixels(lambda a, b: 2 * a - b)
    images = tf.constant(pairs((0.6, 0.5), (0.3, 0.8), (0.9, 0.5)))  # leads of 0.7, 0.2 and 1.3
    labels = tf.constant([0, 1, 0])
    for reach in (4.0, 16.0, 30.0):  # the lead crosses 0 within the strides, or beyond them
        with tf.GradientTape() as tape:
            tape.watch(images)
            cost = estimated_cost(plane, SMALL, images, labels, reach)
        slopes = np.asarray(tape.gradient(cost, images)).reshape(3, 2)
        np.testing.assert_allclose(cost, [0.7 / 0.03, 0.2 / 0.03, 40], rtol=1e-4)
        expected = np.array([[2, -1], [-2, 1], [0, 0]]) / 0.03  # the third is at the largest cost
        np.testing.assert_allclose(slopes, expected, rtol=1e-4)


def test_where_bim_finds_no_gradient_there_is_no_cost(
    classifier: Classifier, benign: np.ndarray
) -> None:
    flat = two_pixels(lambda a, b: tf.nn.relu(a - 0.6) - tf.nn.relu(0.4 - a) - 0.05)
    images = tf.constant(pairs((0.5, 0.5), (0.3, 0.5)))
    found = np.asarray(estimated_cost(flat, SMALL, images, tf.constant([1, 1]), 9.0))
    assert np.isnan(found[0]) and np.isfinite(found[1])
    score = differentiable_score(
        A2D(flat, {"bim": SMALL}, "zscore").fit(pairs(*((0.7 + 0.01 * n, 0.5) for n in range(20)))),
        pairs((0.8, 0.5)),
    )
    assert np.isinf(score(images)[0]) and score(images)[0] > score.enough


@pytest.mark.parametrize("attack", [BIM(search=True), BIM2(search=True)])
def test_it_is_near_the_counted_cost(
    attack: BIM, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:150]
    counted = AttackCost(attack=attack).measure(classifier, images)[:, 0]
    reach = 1.5 * float(np.median(counted))
    labels = tf.constant(classifier.predict(images), tf.int32)
    estimated = np.asarray(estimated_cost(classifier, attack, tf.constant(images), labels, reach))
    inner = (counted >= 5) & (counted <= reach)
    assert inner.sum() > 75
    off = np.abs(np.log(estimated[inner] / counted[inner]))
    assert np.quantile(off, 0.9) < np.log(HEADROOM)
    assert np.corrcoef(estimated, counted)[0, 1] > 0.9


@pytest.fixture(scope="module")
def mixed(classifier: Classifier, benign: np.ndarray) -> A2D:
    """A detector of BIM's cost and the margin; a profile judges both together."""
    return A2D(classifier, ["bim-search", "margin"], "profile").fit(benign[100:300], fpr=0.1)


def test_a_cost_beside_another_feature_is_followed(
    mixed: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:20]
    labels = classifier.predict(images)
    goal = score_of(mixed, benign)
    assert repr(goal) != repr(score_of(mixed, benign[50:]))  # other medians, other results
    start = PGD(eps=1.2, norm="l2", steps=30)
    bypassed = {}
    for name, threat in (
        ("plain", start),
        ("selective", SelectivePGD(eps=1.2, norm="l2", steps=30, goal=goal, start=start)),
    ):
        found = mixed.predict(threat.craft(classifier, images, labels).images)
        bypassed[name] = ((found.label != labels) & ~found.is_adversarial).mean()
    assert bypassed["selective"] >= bypassed["plain"] + 0.2, bypassed


@pytest.mark.long
def test_a_cost_of_noisy_images_is_followed(classifier: Classifier, benign: np.ndarray) -> None:
    bim = A2D(classifier, {"bim": BIM(search=True)}, "zscore").fit(benign[100:300], fpr=0.1)
    noisy = Noisy(bim, 0.03, benign[100:400], fpr=0.1)
    assert isinstance(noisy, Scored)
    images = benign[:20]
    labels = classifier.predict(images)
    start = PGD(eps=1.2, norm="l2", steps=30)
    known = OrthogonalPGD(eps=1.2, norm="l2", steps=30, goal=score_of(noisy, benign), start=start)
    bypassed = []
    for threat in (start, known):
        found = noisy.predict(threat.craft(classifier, images, labels).images)
        bypassed.append(((found.label != labels) & ~found.is_adversarial).mean())
    assert bypassed[1] >= bypassed[0] + 0.2, bypassed
