"""LCR: its mutants leave the model alone, and the sequential test saves them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, InvalidInputError, attacks
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import FitData
from a2d_baselines import LCR, SequentialTest, mutation
from a2d_baselines.sequential_test import ADVERSARIAL, BENIGN, OPEN

layers = keras.layers


def test_log_ratio_and_verdicts_by_hand():
    test = SequentialTest(threshold=0.3, half_width=0.1)
    # p1 = 0.4, p0 = 0.2: a change adds log 2, and any other mutant log 0.75.
    np.testing.assert_allclose(
        test.log_ratio([1, 1, 5], [1, 0, 3]), [np.log(2), np.log(0.75), np.log(8 * 0.75**2)]
    )
    # The bounds are log 19 and -log 19: 2^4 = 16 < 19 <= 2^5, and 0.75^10 > 1 / 19 >= 0.75^11.
    asked, changed = [0, 4, 5, 10, 11, 6], [0, 4, 5, 0, 0, 5]
    np.testing.assert_array_equal(
        test.verdict(asked, changed), [OPEN, OPEN, ADVERSARIAL, OPEN, BENIGN, ADVERSARIAL]
    )
    # Errors that may be as frequent as one in five: bounds log 4 and -log 4.
    lax = SequentialTest(threshold=0.3, half_width=0.1, alpha=0.2, beta=0.2)
    np.testing.assert_array_equal(lax.verdict([2, 1, 5, 4], [2, 1, 0, 0]), [1, 0, -1, 0])
    uneven = SequentialTest(threshold=0.3, half_width=0.1, alpha=0.01, beta=0.1)
    # log 90 = 6.49 changes, and log(0.1 / 0.99) = 7.97 mutants without.
    np.testing.assert_array_equal(uneven.verdict([6, 7, 7, 8], [6, 7, 0, 0]), [0, 1, 0, -1])


def test_the_threshold_of_benign_rates():
    rates = [0.0, 0.02, 0.04, 0.02]
    upper = 0.02 + 2.58 * np.std(rates, ddof=1) / 2
    test = SequentialTest.from_benign(rates, extend=1.5, relax=0.1)
    assert test.threshold == pytest.approx(1.5 * upper)
    assert test.half_width == pytest.approx(0.1 * upper)


@pytest.mark.parametrize("make, match", [
    (lambda: SequentialTest(threshold=0.1, half_width=0.1), "between 0 and 1, got 0.1"),
    (lambda: SequentialTest(threshold=0.95, half_width=0.1), "between 0 and 1, got 0.95"),
    (lambda: SequentialTest(threshold=0.1, half_width=0.01, alpha=0.7), "alpha <= 0.5"),
    (lambda: SequentialTest.from_benign([0.1]), "2 benign images or more, got 1"),
    (lambda: SequentialTest.from_benign([0.0, 0.0]), "got none; use a larger rate"),
    (lambda: LCR(operator="zap"), "LCR's operator out of nai, gf, ns, ws, got 'zap'"),
    (lambda: LCR(rate=0.0), "LCR's rate > 0"),
])
def test_unfit_settings_are_refused(make, match):
    with pytest.raises(InvalidInputError, match=match):
        make()


def by_hand(logit=1.0):
    """Two pixels, two logits that equal them; a softmax, which no mutant needs."""
    model = keras.Sequential([
        layers.Input((1, 2, 1)), layers.Flatten(), layers.Dense(2, activation="softmax"),
    ])
    model.layers[-1].set_weights([np.eye(2, dtype="f4") * logit, np.zeros(2, np.float32)])
    return model


def test_the_rate_is_the_share_of_mutants_that_change_the_label():
    # NAI turns one of the two neurons. Whichever leads at (0.2, 0.1), turning the first changes
    # the label, and turning the second does not.
    classifier = Classifier(by_hand())
    images = np.array([[0.2, 0.1], [0.1, 0.2]], np.float32).reshape(2, 1, 2, 1)
    # The images of the fit are as often right whichever neuron turns, so all mutants are kept.
    labelled = np.zeros((4, 1, 2, 1), np.float32)
    feature = LCR(rate=0.5, mutants=40).fit(
        classifier, FitData(images, labelled, np.zeros(4, np.int64))
    )
    found = feature.measure(classifier, images)[:, 0]
    first = np.mean([
        np.signbit(mutation.OPERATORS["nai"](
            mutation.Mutable(classifier.model).layers(), 0.5, np.random.default_rng([0, index])
        )[0].kernel[0, 0])
        for index in feature.learned["mutants"]
    ])
    np.testing.assert_allclose(found, [first, 1 - first])
    assert 0.2 < first < 0.8


def test_mutants_that_are_too_bad_are_drawn_again(classifier, digits):
    data = FitData(digits[0][:200], digits[0][:400], digits[1][:400])
    feature = LCR(rate=0.12, mutants=30).fit(classifier, data)
    kept = feature.learned["mutants"]
    assert len(kept) == 30 and (np.diff(kept) > 0).all() and kept[-1] > 29
    with pytest.raises(InvalidInputError, match="expected 3 mutants of accuracy 0.*lower rate"):
        LCR(rate=1.0, operator="gf", mutants=3).fit(classifier, data)


def test_adversarial_images_change_their_labels_and_the_test_saves_mutants(
    classifier, digits, benign
):
    data = FitData(digits[0][:200], digits[0][:400], digits[1][:400])
    crafted = attacks.BIM(eps=0.3, step=0.02, max_iterations=50).run(classifier, benign[:150])
    adversarial = crafted.adversarial[crafted.success]
    before = [np.array(one) for one in classifier.model.get_weights()]
    feature = LCR(rate=0.02, mutants=100).fit(classifier, data)
    rates = feature.measure(classifier, benign[:150])[:, 0]
    attacked = feature.measure(classifier, adversarial)[:, 0]
    assert auroc(rates, attacked) > 0.9
    test = SequentialTest.from_benign(rates, relax=0.5)
    heard: list[int] = []
    mixed = np.concatenate([benign[:50], adversarial[:50]])
    found = feature.judge(classifier, mixed, test, batch_size=16, on_finished=heard.append)
    assert sum(heard) == len(mixed)
    assert found.is_adversarial[50:].mean() > 0.7 > 0.3 > found.is_adversarial[:50].mean()
    assert found.asked.max() <= 100 and found.asked[50:].mean() < 50
    # Undecided images were asked about by all mutants, and then the score is the rate.
    rates = feature.measure(classifier, mixed)[:, 0]
    everyone = found.asked == 100
    np.testing.assert_array_equal(found.score[everyone], rates[everyone])
    # Each verdict is that of the sequence by itself.
    alone = [feature.judge(classifier, mixed[row:row + 1], test) for row in (0, 60, 99)]
    assert [int(one.asked[0]) for one in alone] == [int(found.asked[row]) for row in (0, 60, 99)]
    none = feature.judge(classifier, mixed[:0], test)
    assert none.score.shape == none.asked.shape == none.is_adversarial.shape == (0,)
    for old, new in zip(before, classifier.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_exception_on_the_way_leaves_the_model_as_it_is(classifier, digits, benign):
    data = FitData(digits[0][:200], digits[0][:400], digits[1][:400])
    feature = LCR(rate=0.05, mutants=5).fit(classifier, data)
    labels = classifier.predict(benign)

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature.judge(classifier, benign, SequentialTest(threshold=0.5, half_width=0.4),
                      on_finished=stop)
    np.testing.assert_array_equal(classifier.predict(benign), labels)


@pytest.mark.parametrize("model", [
    lambda images: tf.reduce_mean(images, (1, 2)),
    keras.Sequential([layers.Input((1, 2, 1)), layers.Flatten()]),
], ids=["callable", "no kernel"])
def test_models_that_cannot_be_mutated_are_refused(model):
    with pytest.raises(InvalidInputError, match="leave (LCR|it) out"):
        LCR().check(Classifier(model, input_shape=(1, 2, 2)))
