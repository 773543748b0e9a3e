"""Projected gradient descent: its ball, its randomness and its strength."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError, threats
from a2d_tf.attacks import CarliniWagner
from a2d_tf.threats import FGSM, PGD, AttackThreat

EPS = {"linf": 0.1, "l2": 0.8}
COUNT = 60
KINDS = [(norm, loss) for norm in EPS for loss in ("cross-entropy", "margin")]


def length(images: np.ndarray, others: np.ndarray, norm: str) -> np.ndarray:
    away = (images - others).reshape(len(images), -1)
    return np.abs(away).max(axis=1) if norm == "linf" else np.linalg.norm(away, axis=1)


def cross_entropy(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = classifier.logits(images)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits).numpy()


@pytest.mark.parametrize("norm, loss", KINDS)
def test_images_stay_in_the_ball_and_in_the_bounds(
    norm: str, loss: str, classifier: Classifier, benign: np.ndarray
) -> None:
    images, eps = benign[:COUNT], EPS[norm]
    labels = classifier.predict(images)
    threat = PGD(eps=eps, steps=10, norm=norm, loss=loss)
    crafted = threat.craft(classifier, images, labels)
    assert (length(crafted.images, images, norm) <= eps + 1e-5).all()
    assert length(crafted.images, images, norm).mean() > 0.5 * eps  # it uses what it may
    assert crafted.images.min() >= 0 and crafted.images.max() <= 1
    np.testing.assert_array_equal(crafted.success, classifier.predict(crafted.images) != labels)


@pytest.mark.parametrize("norm, loss", KINDS)
def test_batch_and_order_change_nothing(
    norm: str, loss: str, classifier: Classifier, benign: np.ndarray
) -> None:
    images = np.concatenate([benign[:30], benign[:2]])
    labels = classifier.predict(images)
    threat = PGD(eps=EPS[norm], steps=5, norm=norm, loss=loss, restarts=2)
    whole = threat.craft(classifier, images, labels).images
    np.testing.assert_allclose(whole[:2], whole[-2:], atol=1e-5)  # equal images
    order = np.random.default_rng(0).permutation(32)
    shuffled = threat.craft(classifier, images[order], labels[order]).images
    single = threat.craft(classifier, images[4:5], labels[4:5]).images
    same = np.isclose(shuffled, whole[order], atol=1e-4).all(axis=(1, 2, 3))
    assert same.mean() >= 0.9  # rounding turns a small gradient's sign here and there
    np.testing.assert_allclose(single, whole[4:5], atol=1e-3)
    assert threat.craft(classifier, images[:0], labels[:0]).images.shape == (0, 8, 8, 1)


@pytest.mark.parametrize("norm, loss", KINDS)
def test_a_larger_budget_succeeds_no_less(
    norm: str, loss: str, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:COUNT]
    labels = classifier.predict(images)
    base = PGD(eps=EPS[norm], steps=20, norm=norm, loss=loss)
    rates = [
        dataclasses.replace(base, eps=share * base.eps).craft(classifier, images, labels)
        .success.mean() for share in (0.3, 1.0, 3.0)
    ]
    assert rates == sorted(rates) and rates[0] < rates[-1] == 1.0, rates
    once, thrice = (
        cross_entropy(classifier, dataclasses.replace(
            base, eps=0.3 * base.eps, loss="cross-entropy", restarts=restarts
        ).craft(classifier, images, labels).images, labels) for restarts in (1, 3)
    )
    assert (thrice >= once - 1e-4).mean() > 0.95 and thrice.mean() >= once.mean()


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_it_beats_one_step(loss: str, classifier: Classifier, benign: np.ndarray) -> None:
    benign = benign[:200]
    labels = classifier.predict(benign)
    for eps in (0.05, 0.1):
        one = FGSM(eps=eps).craft(classifier, benign, labels)
        many = PGD(eps=eps, steps=20, loss=loss).craft(classifier, benign, labels)
        assert many.success.mean() >= one.success.mean()
        if loss == "cross-entropy":
            losses = [cross_entropy(classifier, some.images, labels) for some in (one, many)]
            assert losses[1].mean() > losses[0].mean()
    assert many.success.mean() > one.success.mean()


def test_more_steps_raise_the_loss(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign[:COUNT])
    threat = PGD(eps=0.05, step=0.005, random_start=False)
    losses = [
        cross_entropy(
            classifier, dataclasses.replace(threat, steps=steps)
            .craft(classifier, benign[:COUNT], labels).images, labels,
        ).mean() for steps in (1, 3, 10, 30)
    ]
    assert losses == sorted(losses) and losses[-1] > 2 * losses[0]


def test_distances_are_in_units_of_the_pixel_range(
    classifier: Classifier, benign: np.ndarray
) -> None:
    wide = Classifier(
        lambda images: classifier(images / 255), Bounds(0, 255), input_shape=(8, 8, 1)
    )
    labels = classifier.predict(benign[:10])
    for norm, eps in EPS.items():
        threat = PGD(eps=eps, steps=5, norm=norm, random_start=False)
        narrow = threat.craft(classifier, benign[:10], labels).images
        scaled = threat.craft(wide, 255 * benign[:10], labels).images / 255
        np.testing.assert_allclose(scaled, narrow, atol=2e-3)


@pytest.mark.long
def test_carlini_wagner_at_any_confidence_and_to_random_targets(
    classifier: Classifier, benign: np.ndarray
) -> None:
    labels = classifier.predict(benign[:20])
    attack = CarliniWagner(step=0.1, initial_const=0.1, binary_search_steps=4, max_iterations=400)
    lengths = []
    for kappa in ("0", "3"):
        threat = threats.adjusted(AttackThreat(attack=attack), [f"confidence={kappa}"])
        crafted = threat.craft(classifier, benign[:20], labels)
        assert crafted.success.all()
        lengths.append(length(crafted.images, benign[:20], "l2").mean())
    assert lengths == sorted(lengths)
    targeted = threats.adjusted(AttackThreat(attack=attack), ["targeted=true"])
    crafted = targeted.craft(classifier, benign[:20], labels)
    away = length(crafted.images, benign[:20], "l2")[crafted.success].mean()
    assert crafted.success.mean() > 0.8 and away > lengths[0]
    reached = classifier.predict(crafted.images)
    assert len(np.unique((reached - labels)[crafted.success])) > 3


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_settings_by_name(dataset: str) -> None:
    threat = threats.preset("pgd-margin", dataset)
    changed = threats.adjusted(threat, ["eps=2", "norm=l2", "steps=7", "random_start=false"])
    assert isinstance(threat, PGD)
    assert changed == dataclasses.replace(
        threat, eps=2.0, norm="l2", steps=7, random_start=False
    )
    assert eval(repr(changed), {"PGD": PGD}) == changed


@pytest.mark.parametrize("settings, message", [
    (["eps=0"], "eps > 0"),
    (["eps=2"], "eps <= 1"),
    (["eps=far"], "a number for eps, got 'far'"),
    (["norm=l1"], "norm out of linf, l2, got 'l1'"),
    (["loss=hinge"], "loss out of cross-entropy, margin"),
    (["steps=0"], "steps of at least 1"),
    (["step=-1"], "step > 0"),
    (["kappa=1"], "a setting of the threat out of .*eps.*, got 'kappa'"),
    (["eps"], "name=value, got 'eps'"),
    (["random_start=maybe"], "random_start out of true, false"),
])
def test_unfit_settings_are_one_line(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as raised:
        threats.adjusted(threats.preset("pgd"), settings)
    assert "\n" not in str(raised.value)


def test_an_attack_without_targets_cannot_be_targeted() -> None:
    with pytest.raises(InvalidInputError, match="takes targets, got bim"):
        threats.adjusted(threats.preset("bim-a"), ["targeted=true"])


def test_a_threat_of_ones_own_follows_its_own_loss(model: Any, benign: np.ndarray) -> None:
    class Lowest(PGD):
        def loss_of(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return -tf.reduce_sum(logits, axis=1)

    classifier = Classifier(model)  # with no graphs yet
    labels = classifier.predict(benign[:8])
    own = Lowest(eps=0.1, steps=3)
    alone = own.craft(Classifier(model), benign[:8], labels).images
    plain = PGD(eps=0.1, steps=3).craft(classifier, benign[:8], labels).images
    np.testing.assert_array_equal(own.craft(classifier, benign[:8], labels).images, alone)
    assert np.abs(alone - plain).max() > 0.05
