"""DBA asks for labels alone, and walks as the authors' code does."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, UnsuitableClassifierError, attack_costs, attacks
from a2d_tf.attacks import BIM, DBA, stateless_random
from a2d_tf.classifiers.preflight import ALL
from a2d_tf.evaluation import metrics


def untouched(images: tf.Tensor) -> tf.Tensor:
    """Label 0 for images that are grey throughout, 1 for all others."""
    return tf.cast(tf.reduce_any(images != 0.5, axis=(1, 2, 3)), tf.int32)


def test_a_boundary_everywhere_takes_a_query_of_each_kind() -> None:
    # The label, one noise image, one blend, one candidate.
    result = DBA(mse_threshold=0.01, max_iterations=9).run(
        Classifier(untouched), np.full((2, 8, 8, 1), 0.5)
    )
    assert result.cost.tolist() == [1, 1]
    assert result.queries.tolist() == [4, 4]
    assert result.success.all()


@pytest.mark.long
def test_the_walk_shortens_the_distance_by_the_source_step() -> None:
    # Every candidate crosses. Uniform noise is 1/12 away in squares, its first blend a millionth
    # of that, and an iteration leaves 0.99 of the distance: to reach 1e-8 of the noise's squared
    # distance takes ln(1e-2) / (2 ln 0.99) = 229.1 iterations. Steps adapt after 300.
    result = DBA(mse_threshold=1e-8 / 12, max_iterations=299).run(
        Classifier(untouched), np.full((1, 64, 64, 1), 0.5)
    )
    # The noise of 4,096 pixels is within 3 % of that, a spherical iteration asks twice.
    assert abs(int(result.cost[0]) - 230) <= 2
    assert result.queries[0] == 3 + result.cost[0] + result.cost[0] // 10


def test_steps_adapt_to_the_rate_of_success() -> None:
    # Source steps are tried in every tenth iteration: the window of 30 is full after 300, and
    # they become half as long again, from 1 % of the distance to 1.5 %.
    long = DBA(mse_threshold=1e-30, max_iterations=400).run(
        Classifier(untouched), np.full((1, 64, 64, 1), 0.5)
    )
    distance = np.sqrt(np.square(long.adversarial - 0.5).mean())
    expected = 1e-3 / np.sqrt(12) * 0.99**300 * 0.985**100
    assert distance == pytest.approx(expected, rel=0.05)


def test_noise_of_no_other_class_is_a_failure() -> None:
    constant = Classifier(lambda images: tf.zeros_like(images[:, 0, 0, 0], tf.int32))
    result = DBA(mse_threshold=0.01, max_iterations=50).run(constant, np.full((2, 2, 2, 1), 0.5))
    assert result.cost.tolist() == [50, 50] and not result.success.any()
    assert result.queries.tolist() == [1001, 1001]
    np.testing.assert_array_equal(result.adversarial, 0.5)


def test_a_fickle_classifier_ends_too() -> None:
    answers = iter([0, 1])  # the label, and one noise image of another class

    def ask(images: np.ndarray) -> np.ndarray:
        return np.full(len(images), next(answers, 0))

    fickle = Classifier.label_only(ask)
    fickle._passed.update(ALL)  # the preflight would ask too
    result = DBA(mse_threshold=0.01, max_iterations=5).run(fickle, np.full((1, 2, 2, 1), 0.5))
    assert result.cost.tolist() == [5] and not result.success[0]
    assert result.queries.tolist() == [1002]


@pytest.mark.long
def test_labels_alone_cost_the_same_as_logits(
    model: keras.Model, classifier: Classifier, benign: np.ndarray
) -> None:
    attack = DBA(mse_threshold=0.1, max_iterations=20)
    images = benign[:8]
    expected = attack.run(classifier, images)
    assert len(np.unique(expected.queries)) > 3
    in_graph = Classifier(lambda images: tf.argmax(model(images), axis=1))
    anywhere = Classifier.label_only(
        lambda images: model.predict_on_batch(images).argmax(axis=1), input_shape=(8, 8, 1)
    )
    for black_box in (in_graph, anywhere):
        result = attack.run(black_box, images)
        np.testing.assert_array_equal(result.cost, expected.cost)
        np.testing.assert_array_equal(result.queries, expected.queries)
        np.testing.assert_array_equal(
            black_box.predict(images), classifier.predict(images)
        )
    table = attack_costs(anywhere, images, {"dba": attack})
    np.testing.assert_array_equal(table.costs[:, 0], expected.cost)
    # The label is known there, and not asked again.
    np.testing.assert_array_equal(table.queries[:, 0], expected.queries - 1)


def test_attacks_that_need_gradients_refuse_labels(benign: np.ndarray) -> None:
    black_box = Classifier.label_only(lambda images: np.zeros(len(images), int))
    for wrong in (lambda images: np.zeros((len(images), 10)), lambda images: images[:, 0, 0, 0]):
        with pytest.raises(UnsuitableClassifierError, match="expected 2 integer labels"):
            DBA(mse_threshold=0.1, max_iterations=5).run(
                Classifier.label_only(wrong), benign[:2]
            )
    with pytest.raises(UnsuitableClassifierError, match="DBA"):
        BIM(eps=0.1, step=0.01, max_iterations=5).run(black_box, benign[:2])
    with pytest.raises(UnsuitableClassifierError, match="labels alone"):
        black_box.logits(benign[:2])


@pytest.mark.long
def test_the_seed_decides(classifier: Classifier, benign: np.ndarray) -> None:
    attack = DBA(mse_threshold=0.1, max_iterations=20)
    queries = attack.run(classifier, benign[:20], seed=1).queries
    np.testing.assert_array_equal(attack.run(classifier, benign[:20], seed=1).queries, queries)
    assert (attack.run(classifier, benign[:20], seed=2).queries != queries).any()


def test_random_numbers_are_uniform_normal_and_independent() -> None:
    images = np.random.default_rng(0).uniform(size=(64, 8, 8, 1)).astype(np.float32)
    keys = stateless_random.keys(images, np.zeros(64, np.uint32))
    assert len(np.unique(keys)) == 64
    assert (stateless_random.keys(images, np.ones(64, np.uint32)).numpy() != keys.numpy()).all()
    order = np.arange(64)[::-1]
    np.testing.assert_array_equal(
        stateless_random.keys(images[order], np.zeros(64, np.uint32)), keys.numpy()[order]
    )
    first, second = (
        stateless_random.uniform(keys, tf.fill([64], draw), 4000).numpy().astype(np.float64)
        for draw in (0, 1)
    )
    for draw in (first, second):
        assert 0 < draw.min() and draw.max() < 1
        counts = np.histogram(draw, bins=100, range=(0, 1))[0]
        assert np.square(counts - 2560).sum() / 2560 < 149  # chi-squared, 99 bins, p = 0.001
    together = np.corrcoef(np.concatenate([first, second]))
    assert np.abs(together - np.eye(128)).max() < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(first[:, :-1].ravel(), first[:, 1:].ravel())[0, 1]) < 0.01
    normal = stateless_random.to_normal(tf.constant(first, tf.float32)).numpy()
    assert np.isfinite(normal).all()
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01
    assert abs((normal**4).mean() - 3) < 0.1


@pytest.mark.long
def test_costs_agree_with_the_reference_in_distribution(shared: Callable[[str], Path]) -> None:
    """The authors' walk draws other numbers: medians, means and AUROC are compared."""
    with np.load(shared("reference/dba_lenet_mnist.npz")) as stored:
        theirs = {kind: stored[f"{kind}_cost"][:24] for kind in ("benign", "fgsm", "bim_a")}
    with np.load(shared("reference/costs_lenet_mnist.npz")) as stored:
        first, fgsm = stored["test_index"][:24], stored["fgsm_images"][:24]
        bim_a = stored["bim_a_images"][:24]
    with np.load(shared("data/mnist.npz")) as stored:
        benign = stored["x_test"][first].astype(np.float32)[..., None] / 255
    classifier = Classifier.load(shared("models/lenet_mnist.keras"))
    images = np.concatenate([benign, fgsm, bim_a])
    costs = attacks.preset("dba", "mnist").run(classifier, images).cost
    ours = dict(zip(theirs, np.split(costs, 3)))
    assert np.median(ours["benign"]) == pytest.approx(np.median(theirs["benign"]), rel=0.15)
    assert np.median(ours["bim_a"]) == np.median(theirs["bim_a"]) == 1
    # Half of the FGSM images cost one iteration or little more: their median is a chance's.
    assert ours["fgsm"].mean() == pytest.approx(theirs["fgsm"].mean(), rel=0.2)
    for kind in ("fgsm", "bim_a"):
        auroc = metrics.auroc(-ours["benign"].astype(float), -ours[kind].astype(float))
        published = metrics.auroc(-theirs["benign"].astype(float), -theirs[kind].astype(float))
        assert abs(auroc - published) < 0.04
