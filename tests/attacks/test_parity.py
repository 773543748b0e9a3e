"""Counts equal those of the authors' released attack code on the same classifiers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from a2d_tf import Classifier, attacks
from a2d_tf.threats import preset as threat_preset

# Benign images cost the most time: a part of them will do here.
BENIGN = 12
pytestmark = pytest.mark.long
CASES = {"mnist": "lenet_mnist", "cifar10": "convnet_cifar10"}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, shared: Callable[[str], Path]
) -> tuple[str, Classifier, dict[str, np.ndarray], np.ndarray]:
    dataset, name = request.param, CASES[request.param]
    with np.load(shared(f"reference/costs_{name}.npz")) as stored:
        reference = dict(stored)
    with np.load(shared(f"data/{dataset}.npz")) as stored:
        images = stored["x_test"][reference["test_index"]].astype(np.float32) / 255
    images = images.reshape(len(images), *reference["fgsm_images"].shape[1:])
    return dataset, Classifier.load(shared(f"models/{name}.keras")), reference, images


@pytest.mark.parametrize("attack", ["bim", "bim2", "jsma"])
def test_costs(
    case: tuple[str, Classifier, dict[str, np.ndarray], np.ndarray], attack: str
) -> None:
    dataset, classifier, reference, benign = case
    ours, theirs, same_success = [], [], True
    for kind, images in {
        "benign": benign[:BENIGN],
        "fgsm": reference["fgsm_images"][:60],
        "bim_a": reference["bim_a_images"],
    }.items():
        result = attacks.preset(attack, dataset).run(classifier, images)
        ours.append(result.cost)
        theirs.append(reference[f"{attack}_cost_{kind}"][:len(images)])
        success = reference[f"{attack}_success_{kind}"][:len(images)]
        same_success &= bool((result.success == success).all())
    cost, expected = np.concatenate(ours), np.concatenate(theirs)
    difference = np.abs(cost - expected)
    assert (difference == 0).mean() >= 0.95
    assert (difference <= np.maximum(2, 0.02 * expected)).mean() >= 0.99
    assert same_success


def test_threats_craft_the_same_images(
    case: tuple[str, Classifier, dict[str, np.ndarray], np.ndarray],
) -> None:
    dataset, classifier, reference, benign = case
    for name, key in (("fgsm", "fgsm_images"), ("bim-a", "bim_a_images")):
        crafted = threat_preset(name, dataset).craft(classifier, benign, reference["label"])
        same = np.abs(crafted.images - reference[key]).max(axis=(1, 2, 3)) < 1e-5
        assert same.mean() >= 0.95
