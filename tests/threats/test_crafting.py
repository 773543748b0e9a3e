"""The attacks that craft threats: Papernot's pairwise JSMA, and Carlini and Wagner's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, InvalidInputError, threats
from a2d_tf.attacks import BIM, CarliniWagner, PairwiseJSMA

WEIGHTS = np.array([1.0, -2.0, 3.0, -1.0], np.float32)
# Enough for the small digit classifier.
PAIRS = PairwiseJSMA(theta=1.0, max_iterations=12)
CW = CarliniWagner(step=0.1, initial_const=0.1, binary_search_steps=4, max_iterations=200)


def linear(images: tf.Tensor) -> tf.Tensor:
    margin = tf.linalg.matvec(tf.reshape(images, (-1, 4)), WEIGHTS)
    return tf.stack([margin, tf.zeros_like(margin)], axis=1)


def distances(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(images - others).sum(axis=(1, 2, 3)))


def test_pairs_brighten_the_two_pixels_that_help_most() -> None:
    # Only the second and fourth pixel lower the margin 0.5; 0.1 each takes off 0.3.
    image = np.full((1, 2, 2, 1), 0.5, np.float32)
    result = PairwiseJSMA(theta=0.1, max_iterations=9).run(Classifier(linear), image)
    np.testing.assert_allclose(
        result.adversarial.ravel() - image.ravel(), [0, 0.1, 0, 0.1], atol=1e-6
    )
    # Once changed, a pixel is left alone, and the others do not help.
    assert not result.success[0] and result.cost[0] == 9
    brighter = PairwiseJSMA(theta=0.3, max_iterations=9).run(Classifier(linear), image)
    assert brighter.success[0] and brighter.cost[0] == 1


def test_pairs_reach_their_targets(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign[:60])
    targets = (labels + 1 + np.arange(60) % 9) % 10
    result = PAIRS.run(classifier, benign[:60], targets=targets)
    reached = classifier.predict(result.adversarial) == targets
    assert result.success.mean() > 0.5
    assert reached[result.success].all()
    changed = (result.adversarial != benign[:60]).sum(axis=(1, 2, 3))
    assert (changed[result.success] == 2 * result.cost[result.success]).all()
    assert (result.adversarial >= benign[:60]).all() and result.adversarial.max() <= 1


def test_the_nearest_image_across_a_plane() -> None:
    # The plane is 0.5 / |w| = 0.5 / sqrt(15) away, and confidence 0.3 another 0.3 / sqrt(15).
    image = np.full((1, 2, 2, 1), 0.5, np.float32)
    settings = {"step": 0.01, "binary_search_steps": 9, "max_iterations": 4500}
    for confidence in (0.0, 0.3):
        attack = CarliniWagner(confidence=confidence, **settings)
        result = attack.run(Classifier(linear), image)
        nearest = (0.5 + confidence) / np.sqrt(15)
        assert result.success[0]
        assert distances(result.adversarial, image)[0] == pytest.approx(nearest, rel=0.02)
        assert linear(result.adversarial).numpy()[0, 0] <= -confidence


@pytest.mark.long
def test_distances_do_not_depend_on_the_scale_of_the_pixels() -> None:
    wide = Classifier(lambda images: linear(images / 255), bounds=(0, 255), input_shape=(2, 2, 1))
    narrow = CW.run(Classifier(linear), np.full((1, 2, 2, 1), 0.5))
    scaled = CW.run(wide, np.full((1, 2, 2, 1), 127.5))
    np.testing.assert_allclose(scaled.adversarial / 255, narrow.adversarial, atol=1e-3)


@pytest.mark.long
def test_carlini_wagner_fools_every_digit(classifier: Classifier, benign: np.ndarray) -> None:
    images = benign[:40]
    labels = classifier.predict(images)
    untargeted = CW.run(classifier, images)
    assert untargeted.success.all()
    assert (classifier.predict(untargeted.adversarial) != labels).all()
    bim = BIM(eps=1.0, step=0.005, max_iterations=200).run(classifier, images)
    l2 = distances(untargeted.adversarial, images)
    assert l2.mean() < distances(bim.adversarial, images).mean()
    targeted = CW.run(classifier, images, targets=(labels + 3) % 10)
    assert (classifier.predict(targeted.adversarial) == (labels + 3) % 10)[targeted.success].all()
    assert targeted.success.mean() > 0.8
    assert distances(targeted.adversarial, images).mean() > l2.mean()


def test_confidence_is_a_lead_in_logits(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign[:20])
    attack = CarliniWagner(
        confidence=2.0, step=0.1, initial_const=0.1, binary_search_steps=4, max_iterations=400
    )
    result = attack.run(classifier, benign[:20])
    logits = classifier.logits(result.adversarial)
    own = logits[np.arange(20), labels]
    logits[np.arange(20), labels] = -np.inf
    assert result.success.any()
    assert ((logits.max(axis=1) - own)[result.success] >= 2 - 1e-4).all()


@pytest.mark.parametrize("attack", [PAIRS, CW], ids=repr)
def test_batch_and_order_change_nothing(
    attack: PairwiseJSMA | CarliniWagner, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:30]
    whole = attack.run(classifier, images)
    order = np.random.default_rng(0).permutation(30)
    for other, rows in (
        (attack.run(classifier, images, batch_size=7), np.arange(30)),
        (attack.run(classifier, images[order]), order),
    ):
        l2, expected = distances(other.adversarial, images[rows]), distances(
            whole.adversarial, images
        )[rows]
        assert (np.abs(l2 - expected) < 0.01).mean() >= 0.95
        assert (other.success == whole.success[rows]).all()
    assert attack.run(classifier, images[:0]).cost.shape == (0,)


def test_unfit_settings_and_targets_are_refused(
    classifier: Classifier, benign: np.ndarray
) -> None:
    with pytest.raises(InvalidInputError, match="confidence >= 0"):
        CarliniWagner(confidence=-1.0)
    with pytest.raises(InvalidInputError, match="step > 0"):
        CarliniWagner(step=0.0)
    with pytest.raises(InvalidInputError, match="at least one iteration"):
        CarliniWagner(binary_search_steps=5, max_iterations=4)
    with pytest.raises(InvalidInputError, match="2 integer targets"):
        CW.run(classifier, benign[:2], targets=[1])
    with pytest.raises(InvalidInputError, match="no bounds on the cost"):
        CW.run(classifier, benign[:2], max_cost=5)
    with pytest.raises(InvalidInputError, match="below the 10 classes, got 10"):
        CW.run(classifier, benign[:2], targets=[1, 10])
    with pytest.raises(InvalidInputError, match="no targets for BIM"):
        BIM(eps=0.1, step=0.1, max_iterations=1).run(classifier, benign[:2], targets=[1, 2])


def test_random_targets_belong_to_the_image(classifier: Classifier, benign: np.ndarray) -> None:
    jsma = threats.JSMA(theta=1.0, gamma=0.3)
    labels = classifier.predict(benign[:40])
    crafted = jsma.craft(classifier, benign[:40], labels)
    assert crafted.success.mean() > 0.5
    assert len(np.unique((classifier.predict(crafted.images) - labels)[crafted.success])) > 5
    backwards = jsma.craft(classifier, benign[:40][::-1], labels[::-1])
    np.testing.assert_array_equal(backwards.images[::-1], crafted.images)
    assert ((crafted.images != benign[:40]).sum(axis=(1, 2, 3)) <= 0.3 * 64).all()


@pytest.mark.long
@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_published_threats_fool_the_published_classifiers(
    dataset: str, shared: Callable[[str], Path]
) -> None:
    name = {"mnist": "lenet_mnist", "cifar10": "convnet_cifar10"}[dataset]
    with np.load(shared(f"reference/costs_{name}.npz")) as stored:
        index, labels = stored["test_index"][:10], stored["label"][:10]
        shape = stored["fgsm_images"].shape[1:]
    with np.load(shared(f"data/{dataset}.npz")) as stored:
        images = stored["x_test"][index].astype(np.float32).reshape(10, *shape) / 255
    classifier = Classifier.load(shared(f"models/{name}.keras"))
    for threat in ("jsma", "cw"):
        assert threats.preset(threat, dataset).craft(classifier, images, labels).success.all()
