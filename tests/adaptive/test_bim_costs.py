"""The estimate of BIM's cost, and attacks on detectors that judge it beside other features."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.adaptive import (
    DifferentiableScore, OrthogonalPGD, SelectivePGD, differentiable_score, score_of,
)
from a2d_tf.adaptive.bim_costs import LEAST_COST, crossing_time, estimated_cost
from a2d_tf.adaptive.defences import Scored
from a2d_tf.adaptive.goal import Goal
from a2d_tf.adaptive.noisy import Noisy
from a2d_tf.attacks import BIM, BIM2, JSMA
from a2d_tf.features import AttackCost
from a2d_tf.threats import PGD

MakeClassifier = Callable[..., Classifier]
SMALL = BIM(eps=0.9, step=0.01, max_iterations=40)
START = PGD(eps=1.2, norm="l2", steps=30)


def pairs(*values: tuple[float, float]) -> np.ndarray:
    """Images f32[n,1,2,1] of pairs of values."""
    return np.array(values, np.float32).reshape(-1, 1, 2, 1)


def test_by_hand_on_two_pixels(two_pixels: MakeClassifier) -> None:
    """A step of BIM moves both pixels by 0.01, and takes 0.03 of the lead 2a - b."""
    plane = two_pixels(lambda a, b: 2 * a - b)
    images = tf.constant(pairs((0.6, 0.5), (0.3, 0.8), (0.9, 0.1)))  # leads of 0.7, 0.2 and 1.7
    counted = AttackCost(attack=SMALL).measure(plane, images.numpy())[:, 0]
    assert counted.tolist() == [23, 6, 40]
    for reach in (4.0, 16.0, 30.0):  # the lead crosses 0 within the strides, or beyond them
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            time = crossing_time(plane, SMALL, images, tf.constant([0, 1, 0]), reach)
            low, even = (estimated_cost(time, SMALL, cautious=one) for one in (True, False))
        np.testing.assert_allclose(time, np.array([0.7, 0.2, 1.7]) / 0.03, rtol=1e-4)
        slopes = np.array([[2, -1], [-2, 1], [2, -1]]) / 0.03
        for found, expected in ((time, slopes), (even, slopes), (low, slopes / 1.25)):
            gradient = np.asarray(tape.gradient(found, images)).reshape(3, 2)
            np.testing.assert_allclose(gradient, expected, rtol=1e-4)
        # It takes 24 steps to change the first label, and the 24th does: the cost is 23.
        np.testing.assert_allclose(even, [0.7 / 0.03 - 0.5, 0.2 / 0.03 - 0.5, 40], rtol=1e-4)
        np.testing.assert_allclose(low, [0.7 / 0.0375, 0.2 / 0.0375, 40], rtol=1e-4)


def test_few_iterations_are_estimated_too(two_pixels: MakeClassifier) -> None:
    """The lead rises steeply at the boundary, and less further away."""
    steep = two_pixels(lambda a, b: tf.tanh(10 * (a - 0.5)))
    attack = BIM(eps=0.9, step=0.02, max_iterations=20)
    images = pairs(*((0.5 + 0.02 * n + 0.01, 0.5) for n in range(8)))
    counted = AttackCost(attack=attack).measure(steep, images)[:, 0]
    assert counted.tolist() == list(range(8))
    for reach in (6.0, 15.0):
        with tf.GradientTape() as tape:
            moved = tf.constant(images)
            tape.watch(moved)
            time = crossing_time(steep, attack, moved, tf.zeros(8, tf.int32), reach)
            low = estimated_cost(time, attack, cautious=True)
        assert (np.asarray(time) >= 0).all() and (np.diff(time) >= 0).all()
        assert (np.asarray(low) <= np.maximum(counted, LEAST_COST)).all()
        slopes = np.asarray(tape.gradient(low, moved)).reshape(8, 2)[:, 0]
        assert (slopes > 0).all()  # the first ones, just across the boundary, have one too


def test_an_image_at_the_largest_cost_reaches_the_goal(two_pixels: MakeClassifier) -> None:
    """Most benign images are at the largest cost, as on a robust network."""
    plane = two_pixels(lambda a, b: 2 * a - b - 0.2)
    rng = np.random.default_rng(0)
    attack = BIM(eps=0.9, step=0.01, max_iterations=20)
    values = np.column_stack([rng.uniform(0.5, 0.95, 300), rng.uniform(0.05, 0.3, 300)])
    benign = pairs(*values)
    for detector in ("zscore", "profile"):
        a2d = A2D(plane, {"bim": attack, "margin": "margin"}, detector).fit(benign, fpr=0.05)
        score = differentiable_score(a2d, benign)
        found = a2d.predict(benign)
        at_the_cap = a2d.measure(benign).features["bim"].values.ravel() == 20
        passing = ~found.is_adversarial & at_the_cap
        assert passing.sum() > 100
        assert (np.asarray(score(benign))[passing] <= score.enough).mean() > 0.8


def test_what_cannot_be_judged_reaches_no_goal(two_pixels: MakeClassifier) -> None:
    """BIM finds no gradient between two slopes, and logits that are not finite give no label."""
    flat = two_pixels(lambda a, b: tf.nn.relu(a - 0.6) - tf.nn.relu(0.4 - a) - 0.05)
    images = pairs((0.5, 0.5), (0.3, 0.5))
    time = crossing_time(flat, SMALL, tf.constant(images), tf.constant([1, 1]), 9.0)
    assert np.isnan(time[0]) and np.isfinite(time[1])
    benign = pairs(*((0.7 + 0.01 * n, 0.5) for n in range(20)))
    a2d = A2D(flat, {"bim": SMALL}, "zscore").fit(benign)
    score = differentiable_score(a2d, benign)
    assert a2d.predict(images).valid.tolist() == [False, True]
    assert np.isfinite(score(images)).tolist() == [False, True]
    masked = two_pixels(lambda a, b: tf.where(a > 0.9, -np.float32(np.inf), a - b))
    benign, infinite = pairs(*((0.6 + 0.01 * n, 0.5) for n in range(20))), pairs((0.95, 0.5))
    alone, beside = (
        A2D(masked, features, "zscore").fit(benign)
        for features in ({"bim": SMALL}, {"bim": SMALL, "margin": "margin"})
    )
    for a2d in (alone, beside):
        assert not a2d.predict(infinite).valid[0]
        value = score_of(a2d, benign).value(tf.constant(infinite), tf.zeros((1, 0)))
        assert np.isposinf(value[0])


@pytest.mark.parametrize("attack", [
    BIM(search=True), BIM2(search=True), BIM(step=0.01, max_iterations=60),
])
def test_it_is_near_the_counted_cost(
    attack: BIM, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:150]
    counted = AttackCost(attack=attack).measure(classifier, images)[:, 0]
    reach = 1.5 * float(np.median(counted))
    labels = tf.constant(classifier.predict(images), tf.int32)
    time = crossing_time(classifier, attack, tf.constant(images), labels, reach)
    low, even = (np.asarray(estimated_cost(time, attack, cautious=one)) for one in (True, False))
    assert (low[counted >= 1] <= counted[counted >= 1]).mean() > 0.95
    inner = (counted >= 1) & (counted <= reach)
    assert inner.sum() > 75
    off = np.abs(even[inner] - counted[inner]) / np.maximum(counted[inner], 2)
    assert np.quantile(off, 0.9) < 0.25
    assert np.corrcoef(even, counted)[0, 1] > 0.9


def bypassed(defence: A2D | Noisy, threat: PGD | SelectivePGD, images: np.ndarray) -> float:
    classifier = defence.classifier
    labels = classifier.predict(images)
    found = defence.predict(threat.craft(classifier, images, labels).images)
    return float(((found.label != labels) & ~found.is_adversarial).mean())


@pytest.mark.long
@pytest.mark.parametrize("detector", ["profile", "logistic"])
def test_a_cost_beside_another_feature_is_followed(
    detector: str, classifier: Classifier, benign: np.ndarray
) -> None:
    known = None
    if detector == "logistic":
        labels = classifier.predict(benign[300:400])
        known = PGD(eps=0.9, norm="l2", steps=15).craft(classifier, benign[300:400], labels).images
    features = {"bim": "bim-search", "margin": "margin"}
    a2d = A2D(classifier, features, detector).fit(benign[100:300], known, fpr=0.1)
    goal = score_of(a2d, benign)
    assert isinstance(goal, DifferentiableScore)
    assert repr(goal) != repr(score_of(a2d, benign[50:]))  # other medians, other results
    images = benign[:20]
    plain = bypassed(a2d, START, images)
    threat = SelectivePGD(eps=1.2, norm="l2", steps=30, goal=goal, start=START)
    assert bypassed(a2d, threat, images) >= plain + 0.2
    # The attack ends at an image that reaches the goal: hardly any may be flagged.
    crafted = threat.craft(classifier, images, classifier.predict(images)).images
    reached = np.asarray(goal(tf.constant(crafted))) <= goal.enough
    assert reached.mean() > 0.2 and (reached & a2d.is_adversarial(crafted)).mean() <= 0.1


@pytest.mark.long
def test_a_cost_of_noisy_images_is_followed(classifier: Classifier, benign: np.ndarray) -> None:
    bim = A2D(classifier, {"bim": BIM(search=True)}, "zscore").fit(benign[100:300], fpr=0.1)
    noisy = Noisy(bim, 0.03, benign[100:400], fpr=0.1)
    assert isinstance(noisy, Scored)
    goal: Goal = score_of(noisy, benign)
    known = OrthogonalPGD(eps=1.2, norm="l2", steps=30, goal=goal, start=START)
    images = benign[:20]
    assert bypassed(noisy, known, images) >= bypassed(noisy, START, images) + 0.2


def test_what_it_takes(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, {"bim": SMALL, "margin": "margin"}, "zscore").fit(benign[:100])
    with pytest.raises(InvalidInputError, match="benign images, by which the costs bim are est"):
        differentiable_score(a2d)
    with pytest.raises(InvalidInputError, match="cost 'bim' can be measured, got none among the"):
        differentiable_score(a2d, benign[:0])
    with pytest.raises(InvalidInputError, match="a benign median of bim >= 1, got 0.5"):
        DifferentiableScore(a2d.state, {"bim": 0.5})
    mixed = A2D(classifier, {"bim": SMALL, "jsma": JSMA(theta=0.3)}, "zscore").fit(benign[:100])
    with pytest.raises(InvalidInputError, match="got the counted costs jsma; attack their"):
        differentiable_score(mixed)
