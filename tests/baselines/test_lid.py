"""LID: the estimate on points of known dimension, and on awkward ones."""

import keras
import numpy as np
import pytest

from a2d_tf import Classifier, InvalidInputError
from a2d_tf.features import FitData
from a2d_tf.images import Batch
from a2d_baselines import LID, lid
from a2d_baselines.distances import COINCIDENT, squared_distances


def distances(queries, reference):
    return np.sqrt(squared_distances(queries, reference))


def test_estimate_by_hand():
    # Nearest three at 1, 2 and 4: the mean of log(4 / r) is (log 4 + log 2 + 0) / 3 = log 2.
    inverse = lid.inverse_lid(np.array([[9.0, 4, 1, 2, 8]]), 3)
    np.testing.assert_allclose(inverse, [np.log(2)])
    np.testing.assert_allclose(lid.inverse_lid(np.array([[4.0, 1, 2]]), 99), [np.log(2)])


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_estimate_is_the_dimension_of_a_ball_wherever_it_is_embedded(dimension):
    rng = np.random.default_rng(dimension)
    directions = rng.normal(size=(20_000, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ball = directions * rng.random((20_000, 1)) ** (1 / dimension)
    embedded = ball @ np.linalg.qr(rng.normal(size=(12, dimension)))[0].T
    inverse = lid.inverse_lid(distances(np.zeros((1, 12)), embedded), 500)
    np.testing.assert_allclose(1 / inverse, [dimension], rtol=0.15)


def test_distances_are_accurate_and_zero_for_duplicates():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 1000)).astype(np.float32)
    queries = np.concatenate([points[:3], points[3:6] * (1 + 1e-3)]).astype(np.float64)
    found = distances(queries, points.astype(np.float64))
    wanted = np.linalg.norm(queries[:, None] - points[None], axis=2)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found[[0, 1, 2], [0, 1, 2]], 0)
    np.testing.assert_array_equal(distances(np.zeros((2, 3)), np.zeros((4, 3))), 0)


@pytest.mark.parametrize("row, inverse", [
    ([0.0, 0, 0], -np.log(COINCIDENT)),
    ([0.0, 5, 5], -np.log(COINCIDENT) / 3),
    ([5.0, 5, 5], 0),
])
def test_zero_and_equal_distances_have_an_answer(row, inverse):
    np.testing.assert_allclose(lid.inverse_lid(np.array([row]), 3), [inverse])
    assert lid.combine(np.array([[[0.0]]])) == lid.MAX_LID


def test_estimates_are_combined_by_their_harmonic_mean():
    combined = lid.combine(np.array([[[1 / 2], [1 / 4]]]))
    np.testing.assert_allclose(combined, [[8 / 3]])


def test_minibatches_are_disjoint_and_one_more_than_used():
    chosen = lid.choose_minibatches(1000, 100, 6, seed=0)
    assert len(np.unique(np.concatenate(chosen))) == 600
    assert [len(rows) for rows in lid.choose_minibatches(5, 2, 6, seed=0)] == [2, 2]


def identity():
    """A classifier whose one layer gives the pixels."""
    model = keras.Sequential([keras.layers.Input((1, 1, 3)), keras.layers.Flatten()])
    return Classifier(model, (-100, 100), preflight=False)


def fitted(classifier, images, **settings):
    data = FitData(images, images, np.zeros(len(images), np.int64))
    return LID(**settings).fit(classifier, data)


def test_no_image_of_the_fit_is_measured_against_its_own_minibatch():
    rng, classifier = np.random.default_rng(0), identity()
    images = rng.normal(size=(40, 1, 1, 3)).astype(np.float32)
    feature = fitted(classifier, images, neighbours=3, minibatch=10, minibatches=3)
    order = rng.permutation(40)  # images that were made from others
    batches = [
        Batch(images[order[part]], np.zeros(20, np.int64), is_last=False)
        for part in (slice(20), slice(20, 40))
    ]
    values = np.empty(40)
    values[order] = feature.measure_fit_batches(classifier, batches, order)[:, 0]
    members = lid.choose_minibatches(40, 10, 4, seed=0)
    assert len(members) == 4
    flat = images.reshape(40, 3).astype(np.float64)
    for own, rows in enumerate(members):
        inverse = np.mean([
            lid.inverse_lid(distances(flat[rows], flat[others]), 3)
            for index, others in enumerate(members) if index != own
        ], axis=0)
        np.testing.assert_allclose(values[rows], 1 / inverse, rtol=1e-6)
    # Other images are measured against as many minibatches, without the last one.
    last = members[-1]
    np.testing.assert_allclose(
        feature.measure(classifier, images)[last, 0], values[last], rtol=1e-6
    )


@pytest.mark.parametrize("settings", [{"neighbours": 1}, {"minibatch": 1}, {"minibatches": 0}])
def test_unfit_settings_are_refused(settings):
    with pytest.raises(InvalidInputError, match="LID's .* of at least"):
        LID(**settings)


def test_too_few_benign_images_are_refused():
    with pytest.raises(InvalidInputError, match="at least 4 benign"):
        fitted(identity(), np.zeros((3, 1, 1, 3), np.float32))
