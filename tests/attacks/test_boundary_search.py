"""Search mode: the same cost in fewer queries."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from a2d_tf import Classifier, attacks
from a2d_tf.attacks import BIM, BIM2
from a2d_tf.evaluation.metrics import auroc

# Gradients on benign images, times fewer than counting: what growing and halving steps achieve.
GROWING = {
    ("mnist", "bim"): 14.1, ("mnist", "bim2"): 19.0,
    ("cifar10", "bim"): 7.7, ("cifar10", "bim2"): 12.6,
}
COUNTED = [
    BIM(eps=0.3, step=0.0005, max_iterations=600), BIM2(eps=0.3, step=0.0005, max_iterations=600),
]


@pytest.mark.long
@pytest.mark.parametrize("attack", COUNTED, ids=lambda attack: attack.name)
def test_search_ranks_as_counting_does(
    attack: BIM, classifier: Classifier, benign: np.ndarray
) -> None:
    counted = attack.run(classifier, benign[:150])
    found = replace(attack, search=True).run(classifier, benign[:150])
    assert spearmanr(counted.cost, found.cost).statistic > 0.99
    assert 0.98 < np.median(found.cost) / np.median(counted.cost) < 1.15
    assert found.gradients.sum() * 10 < counted.gradients.sum()
    assert found.queries.sum() * 8 < counted.queries.sum()


def test_the_image_found_is_as_far_as_its_cost_says(
    classifier: Classifier, benign: np.ndarray
) -> None:
    fine = BIM(eps=0.3, step=0.001, max_iterations=300, search=True)
    found = fine.run(classifier, benign[:60])
    walked = np.abs(found.adversarial - benign[:60]).max(axis=(1, 2, 3)) / 0.001
    # Pixels whose gradient never changed its sign have gone all the way, cost + 1 steps.
    assert (walked <= found.cost + 1.01).all() and (walked > 0.6 * found.cost).all()
    assert (classifier.predict(found.adversarial) != classifier.predict(benign[:60])).all()


def test_a_boundary_that_bends_away_is_followed() -> None:
    """Along the first gradient alone the margin would grow again and never be spent."""
    def logits(images: tf.Tensor) -> tf.Tensor:
        u, v = images[:, 0, 0, 0] - 0.5, images[:, 0, 1, 0] - 0.5
        margin = 0.025 - u + 50 * u**2 - 0.2 * v
        return tf.stack([margin, tf.zeros_like(margin)], axis=1)

    classifier = Classifier(logits, input_shape=(1, 2, 1))
    image = np.full((1, 1, 2, 1), 0.5)
    attack = BIM(eps=0.5, step=0.01, max_iterations=50)
    counted = attack.run(classifier, image)
    found = replace(attack, search=True).run(classifier, image)
    assert counted.success[0] and found.success[0]
    assert abs(int(found.cost[0]) - int(counted.cost[0])) <= 3


def test_a_given_label_that_the_image_lacks_costs_nothing(
    classifier: Classifier, benign: np.ndarray
) -> None:
    other = (classifier.predict(benign[:20]) + 1) % 10
    found = replace(COUNTED[0], search=True).run(classifier, benign[:20], other)
    assert not found.cost.any() and found.success.all()


def test_a_flat_classifier_ends_the_search() -> None:
    def logits(images: tf.Tensor) -> tf.Tensor:
        # No gradient where the image is bright.
        dark = tf.reduce_sum(tf.nn.relu(0.5 - images), axis=(1, 2, 3))
        return tf.stack([tf.ones_like(dark), dark], axis=1)

    images = np.stack([np.full((2, 2, 1), 0.9), np.full((2, 2, 1), 0.4)]).astype(np.float32)
    attack = BIM(eps=0.5, step=0.01, max_iterations=50, search=True)
    result = attack.run(Classifier(logits, input_shape=(2, 2, 1), preflight=False), images)
    # Four pixels darken by 0.01 a step; the 15th brings 4 x (0.1 + 0.15) to one.
    assert result.cost[0] == 50 and not result.success[0] and result.queries[0] <= 3
    assert result.cost[1] in (14, 15) and result.success[1]


@pytest.mark.long
@pytest.mark.parametrize("dataset, file", [
    ("mnist", "lenet_mnist"), ("cifar10", "convnet_cifar10"),
])
def test_search_beats_growing_and_halving_steps(
    dataset: str, file: str, shared: Callable[[str], Path]
) -> None:
    classifier = Classifier.load(shared(f"models/{file}.keras"))
    with np.load(shared(f"reference/costs_{file}.npz")) as stored:
        reference = dict(stored)
    clean = shared_images(dataset, shared, reference["test_index"])
    images = {"benign": clean} | {k: reference[f"{k}_images"] for k in ("fgsm", "bim_a")}
    for name in ("bim", "bim2"):
        search = attacks.preset(f"{name}-search", dataset)
        found = {kind: search.run(classifier, batch) for kind, batch in images.items()}
        counted = {kind: reference[f"{name}_cost_{kind}"] for kind in images}
        fewer = counted["benign"].mean() / found["benign"].gradients.mean()
        assert fewer > GROWING[dataset, name], (name, fewer)
        rho = spearmanr(
            np.concatenate(list(counted.values())),
            np.concatenate([result.cost for result in found.values()]),
        ).statistic
        assert rho >= 0.999, (name, rho)
        for kind in ("fgsm", "bim_a"):
            expected = auroc(-counted["benign"], -counted[kind])
            # Some hundred images: the areas of 1,000 are within 0.004.
            assert auroc(-found["benign"].cost, -found[kind].cost) == pytest.approx(
                expected, abs=0.01
            )


def shared_images(
    dataset: str, shared: Callable[[str], Path], index: np.ndarray
) -> np.ndarray:
    with np.load(shared(f"data/{dataset}.npz")) as stored:
        pixels = stored["x_test"][index]
    images: np.ndarray = pixels.reshape(len(index), *pixels.shape[1:3], -1) / np.float32(255)
    return images
