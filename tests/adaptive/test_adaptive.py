"""Attacks on classifier and detector together: gradients, balls and strength."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import a2d_baselines  # noqa: F401, registers its features
from a2d_tf import A2D, Classifier, InvalidInputError, NotFittedError
from a2d_tf.adaptive import (
    BenignColumns, Goal, OrthogonalPGD, SelectivePGD, differentiable_score,
)
from a2d_tf.attacks import BIM, JSMA
from a2d_tf.features import DirectionCosts
from a2d_tf.threats import PGD

COUNT = 40


@pytest.fixture(scope="module")
def adversarial(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    return BIM(eps=0.3, step=0.02, max_iterations=40).run(classifier, benign[:200]).adversarial


@pytest.fixture(scope="module")
def margin(classifier: Classifier, benign: np.ndarray) -> A2D:
    return A2D(classifier, "margin", "threshold").fit(benign[100:400], fpr=0.1)


@pytest.fixture(scope="module")
def directions(classifier: Classifier, benign: np.ndarray, adversarial: np.ndarray) -> A2D:
    return A2D(classifier, "directions", "logistic").fit(benign[:200], adversarial)


def bypasses(a2d: A2D, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    found = a2d.predict(images)
    return (found.label != labels) & ~found.is_adversarial


def test_the_score_is_that_of_the_detector(
    margin: A2D, directions: A2D, benign: np.ndarray
) -> None:
    for a2d in (margin, directions):
        score = differentiable_score(a2d)
        np.testing.assert_allclose(score(benign[:9]), a2d.score(benign[:9]), rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def smooth() -> Classifier:
    """A small network without kinks, so that a gradient holds for a finite step."""
    keras.utils.set_random_seed(3)
    return Classifier(keras.Sequential([
        keras.Input((6, 6, 1)),
        keras.layers.Conv2D(4, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(3, activation="softmax"),
    ]))


@pytest.mark.parametrize("names, detector", [
    (["margin"], "zscore"), (["margin"], "conformal"), (["directions"], "logistic"),
    pytest.param(["kd", "margin"], "logistic", marks=pytest.mark.long),
    pytest.param(["directions"], "svm", marks=pytest.mark.long),
    pytest.param(["lid"], "logistic", marks=pytest.mark.long),
])
def test_the_gradient_is_the_slope(names: list[str], detector: str, smooth: Classifier) -> None:
    images = np.random.default_rng(0).uniform(size=(240, 6, 6, 1)).astype(np.float32)
    a2d = A2D(smooth, names, detector)
    others = images[:120].round() if a2d.detector.learns_from_adversarial else None
    training = (images, np.arange(240) % 3)
    score = differentiable_score(
        a2d.fit(images[:120], others, fpr=0.1, training_data=training)
    )
    score.check(images)
    batch = tf.constant(images[120:160])

    @tf.function(autograph=False)
    def slope(some: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(some)
            values = score(some)
        return tape.gradient(values, some)

    gradient = slope(batch).numpy()
    assert np.isfinite(gradient).all()
    step = 3e-4 * np.sign(gradient)
    rise = (score(batch + step) - score(batch - step)).numpy()
    expected = 6e-4 * np.abs(gradient).sum(axis=(1, 2, 3))
    assert (expected > 0).mean() > 0.5
    assert np.median(np.abs(rise - expected)[expected > 0] / expected[expected > 0]) < 0.05


def test_the_score_of_the_default_falls_along_its_gradient(smooth: Classifier) -> None:
    """Rounding to a few levels lets the gradient pass, so that an attack is not blind to it."""
    images = np.random.default_rng(0).uniform(size=(240, 6, 6, 1)).astype(np.float32)
    score = differentiable_score(A2D(smooth).fit(images[:200], fpr=0.1))
    batch = tf.constant(images[200:])
    first = score(batch).numpy()
    for _ in range(10):
        with tf.GradientTape() as tape:
            tape.watch(batch)
            total = tf.reduce_sum(score(batch))
        batch = tf.clip_by_value(batch - 0.01 * tf.sign(tape.gradient(total, batch)), 0, 1)
    assert (score(batch).numpy() < first).mean() > 0.8


def test_without_a_gradient_it_is_one_line(
    classifier: Classifier, benign: np.ndarray, adversarial: np.ndarray
) -> None:
    bim = A2D(classifier, BIM(eps=0.3, step=0.02, max_iterations=40)).fit(benign[:100])
    with pytest.raises(InvalidInputError, match="by which the costs bim are estimated, got none"):
        differentiable_score(bim)
    jsma = A2D(classifier, JSMA(theta=0.3)).fit(benign[:100])
    with pytest.raises(InvalidInputError, match="the counted costs jsma.*BenignColumns"):
        differentiable_score(jsma, benign)
    with pytest.raises(NotFittedError):
        differentiable_score(A2D(classifier, "margin"))
    knn = A2D(classifier, "margin", "knn").fit(benign[:200], adversarial)
    with pytest.raises(InvalidInputError, match="a score with a gradient, got that of KNN"):
        differentiable_score(knn).check(benign)
    with pytest.raises(InvalidInputError, match="with a gradient, got attack_cost"):
        BenignColumns(classifier, benign[:9], bim.features["bim"])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="at least 2 benign images"):
        BenignColumns(classifier, benign[:1])
    with pytest.raises(InvalidInputError, match="out of median, image, got 'mean'"):
        BenignColumns(classifier, benign[:9], match="mean")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="a goal of an attack, got 'margin'"):
        SelectivePGD(eps=0.1, goal="margin")  # type: ignore[arg-type]


def test_images_without_finite_columns_are_no_aims(
    classifier: Classifier, benign: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = DirectionCosts.measure

    def spoiled(self: DirectionCosts, *args: Any, **kwargs: Any) -> np.ndarray:
        columns = measured(self, *args, **kwargs).copy()
        columns[0] = np.nan
        return columns

    monkeypatch.setattr(DirectionCosts, "measure", spoiled)
    goal = BenignColumns(classifier, benign[:20])
    assert np.isfinite(goal.aims(benign[:4], np.zeros(4, np.int64))).all()
    with pytest.raises(InvalidInputError, match="finite columns, got 1 of 2; give others"):
        BenignColumns(classifier, benign[:2])
    monkeypatch.undo()
    zeros = benign[classifier.predict(benign) == 0][:5]
    matching = BenignColumns(classifier, zeros, match="image")
    assert matching.aims(benign[:1], np.array([3])).shape[0] == 1
    with pytest.raises(InvalidInputError, match="two classes at least, got those of class 0"):
        matching.aims(benign[:1], np.array([0]))


def test_orthogonal_steps_keep_what_serves_both_aims(margin: A2D) -> None:
    threat = OrthogonalPGD(eps=0.1, goal=differentiable_score(margin))

    def combined(outwards: list[float], downwards: list[float], wrong: bool) -> list[float]:
        vectors = (tf.reshape(tf.constant(one), (1, 1, 2, 1)) for one in (outwards, downwards))
        found = threat.combine(*vectors, tf.constant([wrong]))
        return [round(float(one), 3) for one in np.ravel(found)]

    # The part against the other aim goes: (0.6, -0.8) against (0, 1) leaves (0.6, 0).
    assert combined([0.0, 1.0], [0.6, -0.8], True) == [0.6, 0.0]
    assert combined([0.6, -0.8], [0.0, 1.0], False) == [0.6, 0.0]
    assert combined([0.0, 1.0], [0.6, 0.8], True) == [0.6, 0.8]  # it serves both
    # Little would be left of (0.28, -0.96), so that the whole is followed.
    assert combined([0.0, 1.0], [0.28, -0.96], True) == [0.28, -0.96]


def test_a_start_outside_of_the_ball_is_refused(margin: A2D) -> None:
    goal = differentiable_score(margin)
    for start in (PGD(eps=0.2), PGD(eps=0.1, norm="l2")):
        with pytest.raises(InvalidInputError, match="a start within linf 0.1, got PGD.*; give a"):
            SelectivePGD(eps=0.1, goal=goal, start=start)


def test_images_that_reached_the_goal_take_no_more_steps(
    margin: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    sizes = []

    class Counting(SelectivePGD):
        def _look_graph(self, *args: Any) -> Any:
            look = super()._look_graph(*args)

            def counted(images: np.ndarray, *others: np.ndarray) -> Any:
                sizes.append(len(images))
                return look(images, *others)

            return counted

    images = benign[:20]
    labels = classifier.predict(images)
    goal = differentiable_score(margin)
    Counting(eps=0.3, steps=20, goal=goal).craft(classifier, images, labels)
    assert sizes[0] == 20 and sizes == sorted(sizes, reverse=True) and sizes[-1] < 20


@pytest.mark.parametrize("attack", [SelectivePGD, OrthogonalPGD])
@pytest.mark.parametrize("name", ["margin", pytest.param("directions", marks=pytest.mark.long)])
def test_an_attacker_who_knows_the_detector_bypasses_it(
    attack: type[SelectivePGD], name: str, request: pytest.FixtureRequest, classifier: Classifier,
    benign: np.ndarray,
) -> None:
    a2d = request.getfixturevalue(name)
    images = benign[:COUNT]
    labels = classifier.predict(images)
    threat = attack(eps=0.3, steps=60, goal=differentiable_score(a2d))
    crafted = threat.craft(classifier, images, labels)
    assert bypasses(a2d, crafted.images, labels).mean() > 0.85
    assert np.abs(crafted.images - images).max() <= 0.3 + 1e-6
    assert crafted.images.min() >= 0 and crafted.images.max() <= 1


@pytest.mark.long
def test_a_larger_ball_bypasses_no_less(
    directions: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    goal = differentiable_score(directions)
    for norm, radii in (("linf", (0.02, 0.1, 0.4)), ("l2", (0.1, 0.8, 4.0))):
        rates = [
            bypasses(directions, SelectivePGD(
                eps=eps, norm=norm, steps=40, random_start=False, goal=goal,
            ).craft(classifier, images, labels).images, labels).mean() for eps in radii
        ]
        assert rates == sorted(rates) and rates[0] < 0.5 < rates[-1], (norm, rates)


def test_batch_and_order_change_nothing(
    margin: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    threat = SelectivePGD(eps=0.2, steps=15, goal=differentiable_score(margin))
    whole = threat.craft(classifier, images, labels).images
    order = np.random.default_rng(0).permutation(COUNT)
    shuffled = threat.craft(classifier, images[order], labels[order]).images
    assert np.isclose(shuffled, whole[order], atol=1e-4).all(axis=(1, 2, 3)).mean() >= 0.9


def distance_to_medians(goal: Goal, images: np.ndarray) -> float:
    aims = goal.aims(images, np.zeros(len(images), np.int64))
    return float(np.median(goal.value(tf.constant(images), tf.constant(aims))))


@pytest.mark.long
def test_surrogate_costs_reach_those_of_benign_images(
    classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    goal = BenignColumns(classifier, benign[200:400])
    plain = PGD(eps=0.3, loss="margin").craft(classifier, images, labels)
    moved = SelectivePGD(eps=0.3, goal=goal).craft(classifier, images, labels)
    assert plain.success.all() and moved.success.all()
    assert distance_to_medians(goal, moved.images) < 0.6 * distance_to_medians(goal, plain.images)
    # Counted costs follow: a detector that sees nothing but them is bypassed more often.
    bim = A2D(classifier, "bim-search").fit(benign[200:500], fpr=0.1)
    near = BIM(eps=0.3, step=0.02, max_iterations=40).run(classifier, images).adversarial
    assert bypasses(bim, near, labels).mean() < 0.3 < bypasses(bim, moved.images, labels).mean()


@pytest.mark.long
def test_matching_aims_at_a_benign_image_of_another_class(
    classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    goal = BenignColumns(classifier, benign[:200], match="image")
    aims = goal.aims(images, labels)
    own = np.log1p(A2D(classifier, "directions", "logistic").features["directions"].measure(
        classifier, benign[:200]
    ))
    chosen = np.abs(aims[:, None] - own).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(own[chosen], aims, rtol=1e-3)
    assert (classifier.predict(benign[chosen]) != labels).all()
    threat = SelectivePGD(eps=0.3, steps=30, goal=goal, random_start=False)
    crafted = threat.craft(classifier, images, labels)
    assert crafted.success.all()
    few = dataclasses.replace(threat, steps=5).craft(classifier, images, labels)
    values = [
        np.median(goal.value(tf.constant(some.images), tf.constant(aims)))
        for some in (few, crafted)
    ]
    assert values[1] < values[0]
