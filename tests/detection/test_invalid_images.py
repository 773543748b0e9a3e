"""What cannot be judged is flagged and says so, and changes nothing for the images beside it."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, attack_costs
from a2d_tf.attacks import (
    BIM, BIM2, DBA, FGSM, JSMA, LBFGS, Attack, CarliniWagner, DeepFool, LocalSearch,
)
from a2d_tf.detection import Detection

WEIGHTS = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).uniform(0.1, 0.5, (60, 3, 3, 1)).astype(np.float32)
ATTACK = BIM(eps=0.35, step=0.005, max_iterations=100)
SEARCH = BIM(eps=0.35, step=0.005, max_iterations=100, search=True)


class Fragile(tf.Module):
    """Its outputs are not finite for a first pixel > 0.9, and constant for a last pixel > 0.9."""

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(images, (-1, 9))
        logits = tf.tanh(flat @ WEIGHTS)
        flat_logits = tf.where(flat[:, -1:] > 0.9, tf.stop_gradient(logits), logits)
        broken = tf.where(flat[:, 0] > 0.9, np.float32(np.nan), 1.0)
        return flat_logits * broken[:, None]


def with_pixel(image: np.ndarray, place: int, value: float) -> np.ndarray:
    changed = image.copy()
    changed.reshape(-1)[place] = value
    return changed


BROKEN = with_pixel(IMAGES[50], 0, 0.95)
SATURATED = with_pixel(IMAGES[51], -1, 0.95)
MIXED = np.stack([IMAGES[52], BROKEN, IMAGES[53], SATURATED, IMAGES[54], BROKEN])
INVALID = np.array([False, True, False, True, False, True])


def fitted(*features: object, detector: str = "zscore") -> A2D:
    classifier = Classifier(Fragile(), input_shape=(3, 3, 1), probabilities=False)
    return A2D(classifier, list(features) or [ATTACK], detector).fit(IMAGES[:40])


@pytest.mark.parametrize("features", [
    (ATTACK,), (SEARCH,),
    pytest.param(
        (ATTACK, BIM2(eps=0.35, step=0.005, max_iterations=100)), marks=pytest.mark.long
    ),
    pytest.param(("margin", ATTACK), marks=pytest.mark.long),
], ids=["count", "search", "two attacks", "margin first"])
def test_they_are_flagged_in_python_and_in_the_export(
    features: tuple[object, ...], tmp_path: Path
) -> None:
    a2d = fitted(*features)
    found = a2d.predict(MIXED)
    np.testing.assert_array_equal(found.valid, ~INVALID)
    assert found.is_adversarial[INVALID].all() and (found.label[INVALID] == -1).all()
    assert (found.score[INVALID] == np.finfo(np.float32).max).all()
    assert not found.costs[INVALID].any()
    np.testing.assert_array_equal(a2d.is_adversarial(MIXED), found.is_adversarial)
    np.testing.assert_array_equal(a2d.verdicts(MIXED).valid, found.valid)

    alone = a2d.predict(MIXED[~INVALID])
    assert alone.valid.all() and (alone.label >= 0).all()
    for name in ("score", "columns", "label", "is_adversarial", "costs"):
        np.testing.assert_array_equal(getattr(found, name)[~INVALID], getattr(alone, name))

    a2d.export(tmp_path / "served")
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    served = signatures["serving_default"](images=tf.constant(MIXED))
    for name in ("is_adversarial", "valid", "label", "score", "costs"):
        np.testing.assert_array_equal(served[name], getattr(found, name), err_msg=name)
    assert all(np.isfinite(values).all() for values in served.values())
    verdicts = signatures["classify"](images=tf.constant(MIXED))
    np.testing.assert_array_equal(verdicts["is_adversarial"], found.is_adversarial)
    np.testing.assert_array_equal(verdicts["valid"], found.valid)


@pytest.mark.parametrize("image", [BROKEN, SATURATED], ids=["not finite", "saturated"])
def test_the_first_call_says_what_later_calls_say(image: np.ndarray) -> None:
    a2d = fitted()
    first, later = a2d.predict(image[None]), a2d.predict(MIXED)
    assert not first.valid[0] and first.is_adversarial[0]
    assert a2d.predict(image[None]).score[0] == first.score[0]
    assert a2d.is_adversarial(image[None]).all() and later.valid.sum() == 3


@pytest.mark.long
@pytest.mark.parametrize("attack", [
    ATTACK, SEARCH, JSMA(max_iterations=50), FGSM(max_iterations=50), DeepFool(),
    LBFGS(max_iterations=60), CarliniWagner(max_iterations=90),
], ids=lambda attack: type(attack).__name__)
def test_every_attack_with_gradients_tells(attack: Attack) -> None:
    classifier = Classifier(Fragile(), probabilities=False)
    result = attack.run(classifier, MIXED)
    np.testing.assert_array_equal(result.valid, ~INVALID)
    assert not result.success[INVALID].any()
    assert (result.cost[INVALID] == attack.max_iterations).all()
    np.testing.assert_array_equal(
        result.cost[~INVALID], attack.run(classifier, MIXED[~INVALID]).cost
    )


@pytest.mark.parametrize("attack", [LocalSearch(max_iterations=3), DBA(max_iterations=20)])
def test_every_attack_without_gradients_tells_what_is_not_finite(attack: Attack) -> None:
    result = attack.run(Classifier(Fragile(), probabilities=False), MIXED)
    assert not result.valid[[1, 5]].any()


def test_what_is_not_finite_on_the_way_counts_too() -> None:
    def cliff(images: tf.Tensor) -> tf.Tensor:
        margin = tf.reduce_sum(images, axis=(1, 2)) - 1.0
        logits = tf.concat([-margin, margin], axis=1)
        return tf.where(margin > 0.5, np.float32(np.nan), logits)

    # All of these are of class 0, and the step leads from below the boundary onto the cliff.
    images = np.full((1, 3, 3, 1), 0.05, np.float32)
    for search in (False, True):
        attack = BIM(eps=1.0, step=0.2, max_iterations=10, search=search)
        result = attack.run(Classifier(cliff, probabilities=False), images)
        assert not result.valid[0] and not result.success[0]


def test_tables_of_costs_say_so() -> None:
    classifier = Classifier(Fragile(), probabilities=False)
    table = attack_costs(classifier, MIXED, [ATTACK])
    np.testing.assert_array_equal(table.valid[:, 0], ~INVALID)
    np.testing.assert_array_equal(table.labels < 0, [False, True, False, False, False, True])
    measured = fitted(ATTACK).measure(MIXED)
    np.testing.assert_array_equal(measured.valid, ~INVALID)
    np.testing.assert_array_equal(np.isnan(measured.values[:, 0]), INVALID)
    assert (classifier.predict(MIXED)[[1, 5]] == -1).all()


@pytest.mark.parametrize("name", ["directions", "margin"])
def test_features_without_attacks(name: str) -> None:
    classifier = Classifier(Fragile(), probabilities=False)
    a2d = A2D(classifier, [name], "logistic").fit(IMAGES[:20], IMAGES[20:40] * 0.9)
    broken = INVALID if name == "directions" else INVALID & (np.arange(6) != 3)
    np.testing.assert_array_equal(a2d.predict(MIXED).valid, ~broken)


def test_a_fit_leaves_them_out_and_says_so() -> None:
    classifier = Classifier(Fragile(), input_shape=(3, 3, 1), probabilities=False)
    with pytest.warns(UserWarning, match="2 of 42 images cannot be judged"):
        a2d = A2D(classifier, [ATTACK], "zscore").fit(np.concatenate([
            IMAGES[:40], BROKEN[None], SATURATED[None]
        ]))
    np.testing.assert_array_equal(a2d.score(IMAGES[40:]), fitted().score(IMAGES[40:]))
    with pytest.raises(InvalidInputError, match="at least 10 benign images"):
        with pytest.warns(UserWarning, match="cannot be judged"):
            A2D(classifier, [ATTACK], "zscore").fit(np.repeat(MIXED, 2, axis=0))


def test_a_score_that_is_not_finite_is_flagged() -> None:
    a2d = fitted()
    a2d.detector.mean_[:] = np.nan
    found = a2d.predict(IMAGES[40:45])
    assert not found.valid.any() and found.is_adversarial.all()
    assert a2d.is_adversarial(IMAGES[40:45]).all()


def test_old_call_sites_make_valid_detections() -> None:
    detection = Detection(
        is_adversarial=np.zeros(2, bool), score=np.zeros(2, np.float32), columns=np.ones((2, 1)),
        column_names=("bim",), cost_names=("bim",), label=np.zeros(2, np.int64),
    )
    assert detection.valid.tolist() == [True, True]
    assert detection.table(["a", "b"])[0][4] == "valid"


def test_a_frame_holds_validity() -> None:
    pytest.importorskip("pandas")
    frame = fitted().predict(MIXED).to_frame()
    np.testing.assert_array_equal(frame["valid"], ~INVALID)
