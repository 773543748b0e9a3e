"""The goal of attacks on detectors that count the iterations of BIM."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError
from a2d_tf.adaptive import KeptLabel, OrthogonalPGD, SelectivePGD, Together, score_of
from a2d_tf.adaptive.bim_costs import HEADROOM
from a2d_tf.attacks import BIM, BIM2, JSMA
from a2d_tf.features import AttackCost
from a2d_tf.threats import PGD

MakeClassifier = Callable[..., Classifier]
SMALL = BIM(eps=0.3, step=0.01, max_iterations=100)


def leads(goal: KeptLabel, images: np.ndarray) -> np.ndarray:
    return np.asarray(goal.value(tf.constant(images), tf.zeros((len(images), 0))))


def test_by_hand_on_two_pixels(two_pixels: MakeClassifier) -> None:
    """A step of BIM moves both pixels by 0.01."""
    two = two_pixels(lambda a, b: 2 * a - b)
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
    # No more than eps.
    near = BIM(eps=0.05, step=0.01, max_iterations=100)
    np.testing.assert_allclose(leads(KeptLabel(two, near, 10), images), [-0.55, -0.05], atol=1e-6)
    # A step of BIM2 has a root mean square of 0.01. The gradient is (2, -1), and a step along it
    # changes the lead by 0.01 * sqrt(2) * sqrt(5).
    rms = BIM2(eps=0.3, step=0.01, max_iterations=100)
    change = 10 * 0.01 * np.sqrt(10)
    np.testing.assert_allclose(
        leads(KeptLabel(two, rms, 10), images), [change - 0.7, change - 0.2], atol=1e-6
    )


def test_each_channel_moves_by_a_share_of_its_range(two_pixels: MakeClassifier) -> None:
    two = two_pixels(lambda a, b: a + b - 1, Bounds((0, 0), (1, 3)), (1, 1, 2))
    images = np.array([[[[0.5, 1.5]]]], np.float32)
    # Ten steps of 0.01 take 0.1 from the first channel and 0.3 from the second.
    np.testing.assert_allclose(leads(KeptLabel(two, SMALL, 10), images), [0.4 - 1], atol=1e-6)


def test_what_bim_cannot_attack_never_reaches_the_goal(two_pixels: MakeClassifier) -> None:
    """BIM finds no gradient between the two slopes, so that a detector flags the image."""
    flat = two_pixels(lambda a, b: tf.nn.relu(a - 0.6) - tf.nn.relu(0.4 - a) - 0.05)
    images = np.array([[0.5, 0.5], [0.3, 0.5]], np.float32).reshape(2, 1, 2, 1)
    goal = KeptLabel(flat, SMALL, 3)
    found = leads(goal, images)
    assert np.isinf(found[0]) and found[1] == pytest.approx(-0.12, abs=1e-6)
    crafted = SelectivePGD(eps=0.5, steps=40, goal=goal, random_start=False).craft(
        flat, np.array([[0.9, 0.5]], np.float32).reshape(1, 1, 2, 1), np.array([0])
    )
    cost = AttackCost(attack=SMALL).measure(flat, crafted.images)
    assert crafted.success.all() and (np.isnan(cost) | (cost >= 3)).all()
    broken = two_pixels(lambda a, b: a + np.float32(np.nan))
    assert not (leads(KeptLabel(broken, SMALL, 3), images) <= goal.enough).any()


@pytest.mark.parametrize("attack", [
    BIM(search=True), pytest.param(BIM2(search=True), marks=pytest.mark.long),
])
def test_an_attack_that_follows_it_raises_the_cost(
    attack: BIM, classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier, {"cost": attack}, "zscore").fit(benign[100:300], fpr=0.1)
    images = benign[:20]
    labels = classifier.predict(images)
    goal = score_of(a2d, benign)
    assert isinstance(goal, KeptLabel)
    plain = PGD(eps=1.2, norm="l2", steps=30)
    bypassed = {}
    for name, threat in (
        ("plain", plain), *(
            (kind.__name__, kind(eps=1.2, norm="l2", steps=30, goal=goal, start=plain))
            for kind in (SelectivePGD, OrthogonalPGD)
        ),
    ):
        crafted = threat.craft(classifier, images, labels).images
        found = a2d.predict(crafted)
        wrong = found.label != labels
        bypassed[name] = (wrong & ~found.is_adversarial).mean()
        if name != "plain":
            # The attack ends at an image that reaches the goal: hardly any may be flagged.
            reached = leads(goal, crafted) <= goal.enough
            assert (wrong & reached & found.is_adversarial).mean() <= 0.05
    assert min(bypassed["SelectivePGD"], bypassed["OrthogonalPGD"]) >= bypassed["plain"] + 0.2


def test_the_least_costs_that_are_not_flagged(classifier: Classifier, benign: np.ndarray) -> None:
    features = {"bim": BIM(search=True), "bim2": BIM2(search=True)}
    one = A2D(classifier, {"bim": features["bim"]}, "zscore").fit(benign[100:300], fpr=0.1)
    median = np.median(one.measure(benign[:64]).values)
    goal = score_of(one, benign)
    assert isinstance(goal, KeptLabel)
    iterations = goal.iterations / HEADROOM
    flagged = one.detector.predict([[iterations], [iterations - median / 100 - 1]])
    assert flagged.tolist() == [False, True]
    # A detector that flags the benign median lets higher costs pass.
    strict = A2D(classifier, {"bim": features["bim"]}, "zscore").fit(benign[100:300], fpr=0.8)
    goal = score_of(strict, benign)
    assert isinstance(goal, KeptLabel) and goal.iterations > HEADROOM * median
    assert not strict.detector.predict([[goal.iterations / HEADROOM]]).any()
    mixed = A2D(classifier, {**features, "jsma": JSMA(theta=0.3)}, "zscore").fit(benign[100:200])
    with pytest.raises(InvalidInputError, match="counted costs jsma; attack their surrogate"):
        score_of(mixed, benign)
    with pytest.raises(InvalidInputError, match="cost 'bim' can be measured, got none"):
        score_of(one, benign[:0])


def test_costs_below_those_that_are_flagged_are_no_aim(two_pixels: MakeClassifier) -> None:
    """A tree may let the lowest costs pass, flag those above, and let the median pass."""
    two = two_pixels(lambda a, b: a - b)

    def images(costs: np.ndarray) -> np.ndarray:
        """Each step takes 0.02 from the lead."""
        moved = np.stack([0.5 + 0.01 * costs, 0.5 - 0.01 * costs], axis=1)
        return moved.reshape(-1, 1, 2, 1).astype(np.float32)

    benign = images(np.r_[np.full(40, 1.0), np.full(160, 25.0)])
    tree = A2D(two, {"bim": SMALL}, "tree").fit(benign, images(np.linspace(8, 16, 20)))
    assert tree.detector.predict([[0.0], [12.0], [24.0]]).tolist() == [False, True, False]
    goal = score_of(tree, images(np.full(9, 25.0)))
    assert isinstance(goal, KeptLabel) and goal.iterations > HEADROOM * 15


def test_several_costs_are_reached_at_once(classifier: Classifier, benign: np.ndarray) -> None:
    margin = A2D(classifier, "margin", "threshold").fit(benign[100:300], fpr=0.1)
    both = A2D(
        classifier, {"bim": BIM(search=True), "bim2": BIM2(search=True)}, "zscore"
    ).fit(benign[100:300], fpr=0.1)
    for defence in (both, Together({"both": both, "margin": margin})):
        goal = score_of(defence, benign)
        images = benign[:100]
        values = np.asarray(goal.value(tf.constant(images), tf.zeros((100, 0))))
        reached = values <= goal.enough
        assert 0.3 < reached.mean() < 1
        flagged = defence.predict(images).is_adversarial
        assert (reached & flagged).mean() <= 0.03


def test_what_it_takes(classifier: Classifier) -> None:
    with pytest.raises(InvalidInputError, match="expected the attack BIM or BIM2, got JSMA"):
        KeptLabel(classifier, JSMA(theta=0.3), 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="iterations >= 0"):
        KeptLabel(classifier, SMALL, -3)
