"""The goal of attacks on detectors that count the iterations of BIM."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.adaptive import KeptLabel, SelectivePGD, score_of
from a2d_tf.adaptive.kept_label import HEADROOM
from a2d_tf.attacks import BIM, BIM2, JSMA
from a2d_tf.features import AttackCost
from a2d_tf.threats import PGD

SMALL = BIM(eps=0.3, step=0.01, max_iterations=100)


def leads(goal: KeptLabel, images: np.ndarray) -> np.ndarray:
    found = goal.value(tf.constant(images), tf.zeros((len(images), 0)))
    return np.asarray(found)


def test_by_hand_on_two_pixels() -> None:
    """The logits are 2a - b and 0, and a step of BIM moves both pixels by 0.01."""
    two = Classifier(
        lambda images: tf.stack(
            [2 * images[:, 0, 0, 0] - images[:, 0, 1, 0], tf.zeros(tf.shape(images)[0])], axis=1
        ), input_shape=(1, 2, 1),
    )
    images = np.array([[0.6, 0.5], [0.3, 0.8]], np.float32).reshape(2, 1, 2, 1)
    # The first has label 0, with a lead of 0.7: each step takes 0.03 of it. The second has label 1,
    # with a lead of 0.2.
    np.testing.assert_allclose(leads(KeptLabel(two, SMALL, 10), images), [-0.4, 0.1], atol=1e-6)
    assert two.logits(images).argmax(axis=1).tolist() == [0, 1]
    costs = AttackCost(attack=SMALL).measure(two, images)[:, 0]
    assert costs.tolist() == [23, 6]  # 24 and 7 steps cross the boundary
    for iterations in (5, 8, 22, 25):
        kept = leads(KeptLabel(two, SMALL, iterations), images) < 0
        np.testing.assert_array_equal(kept, costs >= iterations)
    # No more than eps, and no more iterations than the attack makes.
    near = BIM(eps=0.05, step=0.01, max_iterations=100)
    np.testing.assert_allclose(leads(KeptLabel(two, near, 10), images), [-0.55, -0.05], atol=1e-6)
    few = BIM(eps=0.3, step=0.01, max_iterations=5)
    np.testing.assert_allclose(leads(KeptLabel(two, few, 10), images), [-0.55, -0.05], atol=1e-6)


def test_an_attack_that_follows_it_raises_the_cost(
    classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier, {"bim": BIM(search=True)}, "zscore").fit(benign[100:300], fpr=0.1)
    images = benign[:20]
    labels = classifier.predict(images)
    goal = score_of(a2d, benign)
    assert isinstance(goal, KeptLabel)
    plain = PGD(eps=1.2, norm="l2", steps=30)
    follows = SelectivePGD(eps=1.2, norm="l2", steps=30, goal=goal, start=plain)
    found = [a2d.predict(one.craft(classifier, images, labels).images) for one in (plain, follows)]
    bypassed = [((one.label != labels) & ~one.is_adversarial).mean() for one in found]
    assert bypassed[1] >= bypassed[0] + 0.2, bypassed


def test_the_least_costs_that_are_not_flagged(classifier: Classifier, benign: np.ndarray) -> None:
    features = {"bim": BIM(search=True), "bim2": BIM2(search=True)}
    one = A2D(classifier, {"bim": features["bim"]}, "zscore").fit(benign[100:300], fpr=0.1)
    median = np.median(one.measure(benign[:64]).values)
    iterations = float(repr(score_of(one, benign)).rsplit(", ", 1)[1][:-1]) / HEADROOM
    flagged = one.detector.predict([[iterations], [iterations - median / 100 - 1]])
    assert flagged.tolist() == [False, True]
    # All costs must be reached at once.
    both = A2D(classifier, features, "zscore").fit(benign[100:300], fpr=0.1)
    assert repr(score_of(both, benign)).count("KeptLabel(") == 2
    mixed = A2D(classifier, {**features, "jsma": JSMA(theta=0.3)}, "zscore").fit(benign[100:200])
    with pytest.raises(InvalidInputError, match="counted costs bim, bim2, jsma"):
        score_of(mixed, benign)
    blind = A2D(classifier, {"bim": features["bim"]}, "zscore").fit(benign[100:300], fpr=0.99)
    with pytest.raises(InvalidInputError, match="does not flag the benign median cost"):
        score_of(blind, benign)
