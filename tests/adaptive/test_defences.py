"""Defences besides a single detector: a second opinion, noise, and none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, DetectorWarning, InvalidInputError
from a2d_tf.adaptive import (
    FlaggedBy,
    Noisy,
    OrthogonalPGD,
    SecondOpinion,
    SelectivePGD,
    Together,
    Undefended,
    score_of,
)
from a2d_tf.adaptive.defences import Defence
from a2d_tf.attacks import JSMA
from a2d_tf.threats import PGD

COUNT = 30


@pytest.fixture(scope="module")
def margin(classifier: Classifier, benign: np.ndarray) -> A2D:
    return A2D(classifier, "margin", "threshold").fit(benign[100:400], fpr=0.1)


@pytest.fixture(scope="module")
def second(digits: tuple[np.ndarray, np.ndarray], benign: np.ndarray) -> A2D:
    """A detector on another network for the same digits."""
    keras.utils.set_random_seed(7)
    network = keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Flatten(),
        keras.layers.Dense(48, activation="relu"), keras.layers.Dense(10),
    ])
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(digits[0][:1200], digits[1][:1200], epochs=20, batch_size=64, verbose=0)
    return A2D(Classifier(network), "margin", "threshold").fit(benign[100:400], fpr=0.1)


def bypass_rate(defence: Defence, crafted: np.ndarray, labels: np.ndarray) -> float:
    found = defence.predict(crafted)
    return float(((found.label != labels) & ~found.is_adversarial).mean())


@pytest.mark.long
def test_an_attacker_who_knows_both_classifiers_goes_farther(
    margin: A2D, second: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    opinion = SecondOpinion(classifier, second, images)
    both = Together({"margin": margin, "second": opinion})
    assert both.predict(benign[400:]).is_adversarial.mean() < 0.3
    other = second.predict(images)
    np.testing.assert_array_equal(
        opinion.predict(images).is_adversarial, other.is_adversarial | (other.label != labels)
    )
    # What fools one classifier does not fool both; what looks at both does, farther away.
    crafted = {
        name: OrthogonalPGD(
            eps=0.5, steps=150, step=0.05, goal=score_of(defence, benign)
        ).craft(classifier, images, labels).images
        for name, defence in (("margin", margin), ("both", both))
    }
    assert bypass_rate(margin, crafted["margin"], labels) > 0.9
    assert bypass_rate(both, crafted["margin"], labels) < 0.6
    assert bypass_rate(both, crafted["both"], labels) > 0.65
    near = SelectivePGD(eps=0.1, steps=40, goal=score_of(both, benign)).craft(
        classifier, images, labels
    ).images
    assert bypass_rate(both, near, labels) <= bypass_rate(margin, near, labels) + 0.2


def test_a_second_classifier_must_take_the_same_images(
    second: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    wide = Classifier(
        lambda images: classifier(images / 255), Bounds(0, 255), input_shape=(8, 8, 1)
    )
    with pytest.raises(InvalidInputError, match="images in .*255.*give one for the same images"):
        SecondOpinion(wide, second, 255 * benign[:2])
    two = Classifier(lambda images: classifier(images)[:, :2], input_shape=(8, 8, 1))
    with pytest.raises(InvalidInputError, match="of 2 classes, got one of 10"):
        SecondOpinion(two, second, benign[:2])


def test_noise_is_the_same_for_the_same_image(margin: A2D, benign: np.ndarray) -> None:
    noisy = Noisy(margin, 0.1, benign[100:400], fpr=0.1)
    some = noisy.noisy(benign[:5])
    np.testing.assert_array_equal(noisy.noisy(benign[:5][::-1])[::-1], some)
    assert some.min() >= 0 and some.max() <= 1
    assert 0.02 < np.abs(some - benign[:5]).mean() < 0.1
    assert (Noisy(margin, 0.1, benign[100:400], 0.1, seed=1).noisy(benign[:5]) != some).any()
    assert noisy.predict(benign[100:400]).is_adversarial.mean() <= 0.1
    found = noisy.predict(benign[:9])
    np.testing.assert_array_equal(found.label, margin.classifier.predict(benign[:9]))
    with pytest.raises(InvalidInputError, match="a standard deviation of noise > 0"):
        Noisy(margin, 0.0, benign[:9], 0.1)


def test_an_attack_follows_the_mean_over_the_noise(
    margin: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    noisy = Noisy(margin, 0.05, benign[100:400], fpr=0.1)
    images = benign[:COUNT]
    labels = classifier.predict(images)
    goal = score_of(noisy, benign)
    plain = PGD(eps=0.4, steps=3).craft(classifier, images, labels).images
    crafted = SelectivePGD(eps=0.4, steps=60, goal=goal).craft(classifier, images, labels).images
    means = [np.asarray(goal.value(tf.constant(one), None)).mean() for one in (plain, crafted)]
    assert means[1] < means[0] and means[1] < noisy.threshold
    assert bypass_rate(noisy, crafted, labels) > 0.7


def test_parts_with_a_gradient_are_followed_alone(
    margin: A2D, classifier: Classifier, benign: np.ndarray
) -> None:
    jsma = A2D(classifier, JSMA(theta=0.3)).fit(benign[:100])
    with pytest.warns(DetectorWarning, match="do not follow jsma: .*counted costs"):
        goal = score_of(Together({"jsma": jsma, "margin": margin}), benign)
    values = np.asarray(goal.value(tf.constant(benign[:200]), tf.zeros((200, 0))))
    # It is reached where the margin's detector does not flag.
    np.testing.assert_array_equal(values <= goal.enough, ~margin.is_adversarial(benign[:200]))


def test_goals_name_what_they_depend_on(margin: A2D, second: A2D, benign: np.ndarray) -> None:
    """Finished attacks are found again by that name, so that it must be that of another process."""
    opinion = SecondOpinion(margin.classifier, second, benign[:2])
    noisy = Noisy(margin, 0.1, benign[100:400], fpr=0.1)
    for defence in (margin, noisy, opinion, Together({"margin": margin, "second": opinion})):
        assert " at 0x" not in repr(score_of(defence, benign))
    with pytest.raises(InvalidInputError, match="goals that can be reached, got MeanScore"):
        score_of(Together({"margin": margin, "noisy": noisy}), benign)


def test_each_image_has_its_own_noise_at_each_step(margin: A2D, benign: np.ndarray) -> None:
    goal = score_of(Noisy(margin, 0.1, benign[100:400], fpr=0.1), benign)

    def values(images: np.ndarray) -> np.ndarray:
        return np.asarray(goal.value(tf.constant(images), None))

    both = values(benign[:20])
    np.testing.assert_allclose(values(benign[:20][::-1])[::-1], both, rtol=1e-4, atol=1e-4)
    # A change that no network sees changes the draws, and with them the mean.
    assert np.median(np.abs(values(benign[:20] * np.float32(1 - 1e-6)) - both)) > 1e-3


def test_no_defence_has_no_score(
    classifier: Classifier, margin: A2D, benign: np.ndarray
) -> None:
    nothing = Undefended(classifier)
    assert not nothing.predict(benign[:5]).is_adversarial.any()
    with pytest.raises(InvalidInputError, match="a defence with a score"):
        score_of(nothing, benign)
    jsma = A2D(classifier, JSMA(theta=0.3)).fit(benign[:100])
    with pytest.raises(InvalidInputError, match="counted costs jsma"):
        score_of(Together({"one": jsma, "other": jsma}), benign)
    flagged = FlaggedBy(margin, "mine")
    assert repr(flagged) == "FlaggedBy('mine')"
    np.testing.assert_array_equal(flagged(benign[:5]), margin.predict(benign[:5]).is_adversarial)
