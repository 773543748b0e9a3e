"""Verdicts alone: those of the full costs, sooner."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, NotFittedError, detectors
from a2d_tf.detection import early_stopping
from a2d_tf.features import Margin, Response
from a2d_tf.attacks import BIM, BIM2, JSMA

COUNTED = {
    "jsma": JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=60),
    "bim": BIM(eps=0.3, step=0.002, max_iterations=120),
    "bim2": BIM2(eps=0.3, step=0.003, max_iterations=120),
}
SEARCHED = {
    "bim": BIM(eps=0.3, step=0.002, max_iterations=120, search=True),
    "jsma": COUNTED["jsma"],
    "bim2": BIM2(eps=0.3, step=0.003, max_iterations=120, search=True),
}
THREAT = BIM(eps=0.4, step=0.02, max_iterations=50)


class Counting:
    """A classifier that counts the images of its queries."""

    def __init__(self, classifier: Classifier):
        self.images = 0

        def logits(images: tf.Tensor) -> tf.Tensor:
            tf.py_function(self.add, [tf.shape(images)[0]], [])
            return classifier(images)

        self.classifier = Classifier(logits, input_shape=(8, 8, 1))

    def add(self, count: tf.Tensor) -> None:
        self.images += int(count)


@pytest.fixture(scope="module")
def mixed(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    crafted = THREAT.run(classifier, benign[200:300])
    return np.concatenate([benign[300:360], crafted.adversarial[crafted.success][:60]])


SEVERAL = [name for name, one in detectors.REGISTRY.items() if one.is_monotone]
SEVERAL.remove("threshold")  # it judges a single column


@pytest.mark.parametrize("kind, attacks, several", [
    *(
        pytest.param(
            kind, COUNTED, False,
            marks=[] if kind in ("conformal", "knn", "zscore") else pytest.mark.long,
        ) for kind in sorted(detectors.REGISTRY)
    ),
    *(pytest.param(kind, SEARCHED, True, marks=pytest.mark.long) for kind in SEVERAL),
    *(pytest.param(kind, COUNTED, True, marks=pytest.mark.long) for kind in SEVERAL),
    ("knn", SEARCHED, False),
])
def test_verdicts_are_those_of_the_full_costs(
    kind: str, attacks: dict[str, BIM], several: bool, classifier: Classifier,
    benign: np.ndarray, mixed: np.ndarray,
) -> None:
    chosen = attacks if several else {"bim": attacks["bim"]}
    a2d = A2D(classifier, chosen, detectors.REGISTRY[kind](), batch_size=16)
    crafted = THREAT.run(classifier, benign[:120])
    learns = a2d.detector.learns_from_adversarial
    a2d.fit(benign[:120], crafted.adversarial[crafted.success] if learns else None)
    a2d.calibrate(benign[120:200], 0.1)
    full = a2d.predict(mixed).is_adversarial
    assert 0.2 < full.mean() < 0.8
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), full)
    heard: list[int] = []
    a2d.on_finished = heard.append
    alone = [a2d.is_adversarial(image[None])[0] for image in mixed[::12]]
    np.testing.assert_array_equal(alone, full[::12])
    assert sum(heard) == len(alone) * len(chosen)


def test_others_wait_for_all_costs(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray
) -> None:
    crafted = THREAT.run(classifier, benign[:60])
    a2d = A2D(classifier, COUNTED, detectors.KNN())
    a2d.fit(benign[:60], crafted.adversarial[crafted.success])
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), a2d.predict(mixed).is_adversarial)


@pytest.mark.long
def test_more_images_than_are_held_at_once(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray
) -> None:
    a2d = A2D(classifier, COUNTED, detectors.ZScore(), batch_size=4).fit(benign[:60])
    full = a2d.predict(mixed).is_adversarial
    assert len(mixed) > 3 * 32
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), full)
    stream = tf.data.Dataset.from_tensor_slices(mixed)
    np.testing.assert_array_equal(a2d.is_adversarial(stream), full)


@pytest.mark.parametrize("votes", [
    1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long),
])
def test_votes_are_decided_early(
    votes: int, classifier: Classifier, benign: np.ndarray, mixed: np.ndarray
) -> None:
    counting = Counting(classifier)
    a2d = A2D(counting.classifier, COUNTED, detectors.ZScore(votes=votes)).fit(benign[:100])
    counting.images = 0
    full = a2d.predict(mixed).is_adversarial
    needed, counting.images = counting.images, 0
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), full)
    assert counting.images < 0.8 * needed


def test_between_the_ends_of_a_range_the_verdict_is_open(
    classifier: Classifier, benign: np.ndarray
) -> None:
    costs = np.random.default_rng(0).poisson(40, (200, 2)).astype(float)
    detector = detectors.ZScore(votes=2).fit(costs)
    table = tf.constant([[0.0, 0.0], [99.0, 0.0]], tf.float64)
    low, high = early_stopping.undecided(detector, table, 1, 100, {})
    # Both must call an input benign: if the first does not, the second cannot change it.
    assert low[0] == 100
    flags = detector.predict(np.stack([np.full(101, 99.0), np.arange(101)], axis=1))
    border = int(flags.sum())
    assert 0 < border < 40 and flags[:border].all()
    assert (low[1], high[1]) == (border - 1, border)
    low, high = early_stopping.undecided(detector, table[:1], 0, 100, {1: 100})
    assert 0 < low[0] < 40 and high[0] == 101


@pytest.mark.long
def test_cheap_attacks_run_first_and_a_saved_detector_knows(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray, tmp_path: Path
) -> None:
    a2d = A2D(classifier, COUNTED, detectors.ZScore()).fit(benign[:60])
    queries = a2d.costs(benign[:60]).queries.mean(axis=0)
    assert a2d.order == [list(COUNTED)[column] for column in np.argsort(queries)]
    assert a2d.order != list(COUNTED)
    a2d.save(tmp_path / "detector")
    loaded = A2D.load(tmp_path / "detector")
    assert loaded.order == a2d.order
    np.testing.assert_array_equal(loaded.is_adversarial(mixed), a2d.is_adversarial(mixed))


def test_a_margin_is_measured_first_and_the_attack_stops_early(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray
) -> None:
    counting = Counting(classifier)
    features = {"bim": COUNTED["bim"], "margin": Margin()}
    a2d = A2D(counting.classifier, features, detectors.Conformal()).fit(benign[:100])
    assert a2d.order == ["margin", "bim"]
    counting.images = 0
    full = a2d.predict(mixed).is_adversarial
    needed, counting.images = counting.images, 0
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), full)
    assert 0.2 < full.mean() < 0.8 and counting.images < 0.8 * needed


def test_a_profile_asks_for_a_cost_where_its_verdict_is_open(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray
) -> None:
    """The cascade: one pass and one gradient for all images, the attack for the open ones."""
    counting = Counting(classifier)
    features = {"bim": COUNTED["bim"], "response": Response()}
    a2d = A2D(counting.classifier, features).fit(benign[:200])
    assert (a2d.detector.name, a2d.order) == ("profile", ["response", "bim"])
    counting.images = 0
    full = a2d.predict(mixed).is_adversarial
    needed, counting.images = counting.images, 0
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), full)
    assert 0.2 < full.mean() < 0.8 and counting.images < 0.5 * needed


@pytest.mark.long
def test_an_exported_profile_asks_for_a_cost_where_its_verdict_is_open(
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray, tmp_path: Path
) -> None:
    served = A2D(classifier, {"bim": COUNTED["bim"], "response": Response()}).fit(benign[:200])
    served.export(tmp_path / "served")
    classify = tf.saved_model.load(str(tmp_path / "served")).signatures["classify"]
    found = classify(images=tf.constant(mixed))["is_adversarial"]
    np.testing.assert_array_equal(found, served.predict(mixed).is_adversarial)


def test_what_lies_beyond_a_known_verdict_is_not_looked_at() -> None:
    edge = tf.Variable(2.0)

    def logits(images: tf.Tensor) -> tf.Tensor:
        brightness = tf.reduce_mean(images, axis=(1, 2))
        found = tf.concat([0.8 - brightness, brightness - 0.8], axis=1)
        return tf.where(brightness > edge, np.float32(np.nan), found)

    levels = np.linspace(0.1, 0.5, 41, dtype=np.float32)
    images = np.tile(levels[:, None, None, None], (1, 4, 4, 1))
    classifier = Classifier(logits, input_shape=(4, 4, 1), probabilities=False)
    attack = BIM(eps=1.0, step=0.01, max_iterations=100)
    a2d = A2D(classifier, {"bim": attack}, detectors.ZScore(votes=1)).fit(images)
    expected = a2d.predict(images).is_adversarial
    assert expected.any() and not expected.all()
    edge.assign(0.75)  # every attack now meets what is not finite, late
    verdicts = a2d.verdicts(images)
    np.testing.assert_array_equal(verdicts.is_adversarial, expected | ~verdicts.valid)
    assert verdicts.valid.any() and not verdicts.valid[expected].any()
    assert not a2d.predict(images).valid.any()


def test_no_images_and_no_fit(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, COUNTED, detectors.ZScore())
    with pytest.raises(NotFittedError):
        a2d.is_adversarial(benign)
    assert a2d.fit(benign[:20]).is_adversarial(benign[:0]).shape == (0,)
