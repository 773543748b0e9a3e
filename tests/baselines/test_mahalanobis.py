"""Mahalanobis against its paper's definition."""

import keras
import numpy as np
import pytest
import scipy.spatial.distance

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.attacks import BIM
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import FitData
from a2d_baselines import Mahalanobis
from a2d_baselines.mahalanobis import confidence, tied_gaussians


@pytest.fixture(scope="module")
def identity() -> Classifier:
    """A network of two pixels whose only layer gives the pixels."""
    network = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.Flatten(),
                                keras.layers.Dense(2, use_bias=False)])
    network.layers[-1].set_weights([np.eye(2)])
    return Classifier(network, bounds=(-100, 100), preflight=False)


# Class 0 about (0, 0) and class 1 about (10, 0), each with the covariance diag(4, 1).
POINTS = np.array([[2, 1], [2, -1], [-2, 1], [-2, -1]], np.float32)
FIT = FitData(
    np.zeros((0, 1, 2, 1), np.float32),
    np.concatenate([POINTS, POINTS + [10, 0]]).astype(np.float32).reshape(8, 1, 2, 1),
    np.repeat([0, 1], 4),
)


def test_hand_computed_of_two_gaussians(identity: Classifier) -> None:
    fitted = Mahalanobis(magnitude=0).fit(identity, FIT)
    images = np.array([[0, 0], [4, 3], [6, 0], [20, -2]], np.float32).reshape(4, 1, 2, 1)
    found = fitted.measure(identity, images)[:, 0]
    # The nearer mean is that of class 0, 0, 1 and 1: x^2/4 + y^2 from there.
    np.testing.assert_allclose(found, [0, -(4 + 9), -4, -(25 + 4)], rtol=1e-6, atol=1e-9)


def test_the_step_goes_towards_the_nearer_mean(identity: Classifier) -> None:
    fitted = Mahalanobis(magnitude=0.005).fit(identity, FIT)  # 0.005 x 200 is one pixel value
    images = np.array([[4, 3], [6, 0], [20, -2]], np.float32).reshape(3, 1, 2, 1)
    found = fitted.measure(identity, images)[:, 0]
    # (3, 2), (7, 0) with no gradient along y, and (19, -1).
    np.testing.assert_allclose(found, [-(9 / 4 + 4), -9 / 4, -(81 / 4 + 1)], rtol=1e-6)
    assert fitted.passes_of(3) == (4, 3) and Mahalanobis(magnitude=0).passes_of(3) == (1, 0)


def test_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    mixed = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    activations = (mixed + labels[:, None]).astype("f")
    means, precision = tied_gaussians(activations, labels)
    queries = rng.normal(size=(20, 5)).astype(np.float32)
    distances = scipy.spatial.distance.cdist(queries, means, "mahalanobis", VI=precision)
    np.testing.assert_allclose(
        confidence(queries, means, precision), -distances.min(axis=1)**2, rtol=1e-6
    )
    pooled = sum(np.cov(activations[labels == k].T, bias=True) * (labels == k).sum()
                 for k in range(3)) / 200
    np.testing.assert_allclose(precision, np.linalg.inv(pooled), rtol=1e-4)


def test_a_dead_unit_counts_for_nothing() -> None:
    activations = np.concatenate([FIT.images.reshape(8, 2), np.zeros((8, 1))], axis=1).astype("f")
    means, precision = tied_gaussians(activations, FIT.labels)
    assert np.isfinite(precision).all()
    assert confidence(np.array([[0, 0, 7]], np.float32), means, precision).numpy() == [0]


def test_too_few_training_images_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="several training images of a class"):
        tied_gaussians(np.zeros((3, 2), np.float32), np.arange(3))


def test_it_tells_adversarial_from_benign(
    classifier: Classifier, benign: np.ndarray, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign)
    crafted, source = threat.adversarial[threat.success], np.flatnonzero(threat.success)
    a2d = A2D(classifier, Mahalanobis(), "logistic").fit(
        benign[source[:150]], crafted[:150], noisy_negatives=True,
        training_data=(digits[0][:1200], digits[1][:1200]),
    )
    assert auroc(a2d.score(benign[200:300]), a2d.score(crafted[200:300])) > 0.8
    assert len(a2d.state.column_names) == 2  # the convolution and the hidden Dense layer
