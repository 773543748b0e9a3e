"""Ours against Foolbox 3 and ART on the same classifier; needs the extra `peers`."""

from typing import Any

import keras
import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.attacks import BIM, FGSM, CarliniWagner, DeepFool
from a2d_tf.benchmark import peers

foolbox = pytest.importorskip("foolbox", reason="the extra `peers` is not installed")
pytest.importorskip("art", reason="the extra `peers` is not installed")

SEARCHES, STEPS, STEP, CONST = 5, 100, 0.05, 0.1


def l2(images: np.ndarray, others: np.ndarray, succeeded: np.ndarray) -> float:
    return float(np.sqrt(np.square(images - others).sum(axis=(1, 2, 3)))[succeeded].mean())


def of_foolbox(
    attack: Any, logits: keras.Model, images: np.ndarray, labels: np.ndarray,
    eps: float | None = None,
) -> np.ndarray:
    import tensorflow as tf
    model = foolbox.TensorFlowModel(logits, bounds=(0, 1))
    _, found, _ = attack(model, tf.constant(images), tf.constant(labels), epsilons=eps)
    return np.asarray(found)


def test_carlini_wagner_is_as_near_as_the_better_peer(
    logits: keras.Model, for_art: Any, classifier: Classifier, benign: np.ndarray
) -> None:
    from art.attacks.evasion import CarliniL2Method

    images = benign[:40]
    labels = classifier.predict(images)
    ours = CarliniWagner(
        step=STEP, initial_const=CONST, binary_search_steps=SEARCHES,
        max_iterations=SEARCHES * STEPS,
    ).run(classifier, images).adversarial
    of_peer = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=SEARCHES, steps=STEPS, stepsize=STEP, initial_const=CONST
    )
    of_art = CarliniL2Method(
        for_art, binary_search_steps=SEARCHES, max_iter=STEPS, learning_rate=STEP,
        initial_const=CONST, batch_size=len(images), verbose=False,
    ).generate(images, np.eye(10)[labels])
    found = [ours, of_foolbox(of_peer, logits, images, labels), of_art]
    fooled = [classifier.predict(np.clip(one, 0, 1)) != labels for one in found]
    assert fooled[0].all()
    distances = [l2(one, images, success) for one, success in zip(found, fooled)]
    print("mean L2 of ours, Foolbox, ART:", distances, [f.mean() for f in fooled])
    assert distances[0] <= 1.05 * min(distances[1:])


def test_fgsm_finds_the_length_that_peers_find(
    logits: keras.Model, for_art: Any, classifier: Classifier, benign: np.ndarray
) -> None:
    from art.attacks.evasion import FastGradientMethod

    images, step, count = benign[:40], 0.01, 60
    labels = classifier.predict(images)
    ours = FGSM(step=step, max_iterations=count).run(classifier, images)
    attack = foolbox.attacks.LinfFastGradientAttack()
    fooled = np.stack([
        classifier.predict(of_foolbox(attack, logits, images, labels, step * (i + 1))) != labels
        for i in range(count)
    ])
    np.testing.assert_array_equal(ours.success, fooled.any(axis=0))
    expected = np.where(fooled.any(axis=0), fooled.argmax(axis=0), count)
    assert np.abs(ours.cost - expected).max() <= 1 and (ours.cost == expected).mean() >= 0.95
    minimal = FastGradientMethod(
        for_art, eps=step * count, eps_step=step, minimal=True, batch_size=len(images)
    ).generate(images, np.eye(10)[labels])
    lengths = np.abs(minimal - images).max(axis=(1, 2, 3))[ours.success]
    np.testing.assert_allclose(lengths, step * (ours.cost[ours.success] + 1), atol=1.01 * step)


def test_deepfool_is_as_near_as_peers(
    logits: keras.Model, for_art: Any, classifier: Classifier, benign: np.ndarray
) -> None:
    from art.attacks.evasion import DeepFool as DeepFoolOfArt

    images = benign[:60]
    labels = classifier.predict(images)
    ours = DeepFool(max_iterations=100).run(classifier, images).adversarial
    attack = foolbox.attacks.L2DeepFoolAttack(steps=100, candidates=10, overshoot=0.05)
    of_art = DeepFoolOfArt(
        for_art, max_iter=100, epsilon=0.05, nb_grads=10, batch_size=60, verbose=False
    ).generate(images)
    found = [ours, of_foolbox(attack, logits, images, labels), of_art]
    fooled = [classifier.predict(np.clip(one, 0, 1)) != labels for one in found]
    of_all = np.all(fooled, axis=0)
    distances = [l2(one, images, of_all) for one in found]
    print("mean L2 of ours, Foolbox, ART:", distances, [f.mean() for f in fooled])
    assert fooled[0].all() and of_all.mean() > 0.8
    # Foolbox 3 goes beyond the boundary once for the whole way, not in every step.
    assert distances[0] <= 1.1 * min(distances[1:])


def test_peers_take_the_same_steps(classifier: Classifier, benign: np.ndarray) -> None:
    attack = BIM(eps=0.1, step=0.01, max_iterations=7)
    labels = classifier.predict(benign[:10])
    ours = attack.run(classifier, benign[:10])
    for prepare in (peers._foolbox, peers._art):
        perform = prepare(classifier, classifier, attack, benign[:10], 10)
        found = perform(benign[:10], labels)
        found = np.asarray(found[1] if isinstance(found, tuple) else found)
        moved = np.abs(found - benign[:10]).max(axis=(1, 2, 3))
        np.testing.assert_allclose(moved, 0.07, atol=1e-4)
        # Where ours took every step too, it is at the same point.
        failed = ~ours.success
        np.testing.assert_allclose(found[failed], ours.adversarial[failed], atol=0.03)
    times = peers.time_peers(classifier, attack, benign[:10], 4)
    assert len(times) == 4 and all(time.seconds > 0 for time in times)
