"""The other attacks that the paper compares as defence: FGSM, DeepFool, L-BFGS, local search."""

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, detectors
from a2d_tf.attacks import FGSM, LBFGS, CarliniWagner, DeepFool, LocalSearch, lbfgs
from a2d_tf.attacks.loop import Examples, rows

ATTACKS = [
    FGSM(step=0.01, max_iterations=60),
    DeepFool(max_iterations=20),
    LBFGS(initial_const=1e-3, max_iterations=60),
    LocalSearch(chosen=12, reach=2, first=1.0, max_iterations=4),
]
CW = CarliniWagner(step=0.05, initial_const=0.1, binary_search_steps=2, max_iterations=30)


def distances(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(images - others).sum(axis=(1, 2, 3)))


def test_fgsm_stops_at_the_first_length_that_succeeds(
    classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:30]
    result = FGSM(step=0.01, max_iterations=100).run(classifier, images)
    assert result.success.mean() > 0.8
    found, start = result.adversarial[result.success], images[result.success]
    lengths = np.abs(found - start).max(axis=(1, 2, 3))
    np.testing.assert_allclose(lengths, 0.01 * (result.cost[result.success] + 1), atol=1e-5)
    labels = classifier.predict(start)
    for share in (0.25, 0.5, 0.75):
        shorter = 0.01 * np.floor(share * result.cost[result.success])
        between = start + np.sign(found - start) * shorter[:, None, None, None]
        assert (classifier.predict(np.clip(between, 0, 1)) == labels).all()
    assert (result.gradients == 1).all()


@pytest.mark.long
def test_deepfool_goes_beyond_the_nearest_plane() -> None:
    # From the middle, three planes are 0.2 / 1, 0.3 / 2 and 0.4 / 1 away in L2.
    weights = np.array([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]], np.float32)
    bias = np.array([0.0, -0.7, -1.3, -0.9], np.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, (-1, 4)) @ weights.T + bias

    image = np.full((1, 2, 2, 1), 0.5, np.float32)
    result = DeepFool(max_iterations=9).run(Classifier(logits, input_shape=(2, 2, 1)), image)
    assert result.success[0] and result.cost[0] == 0
    np.testing.assert_allclose(
        result.adversarial.ravel(), [0.5, 0.5 + 1.05 * 0.15, 0.5, 0.5], atol=1e-5
    )


@pytest.mark.long
def test_deepfool_is_nearer_than_fgsm(classifier: Classifier, benign: np.ndarray) -> None:
    images = benign[:40]
    near = DeepFool(max_iterations=50).run(classifier, images)
    far = FGSM(step=0.01, max_iterations=100).run(classifier, images)
    assert near.success.all()
    of_both = [distances(one.adversarial, images)[far.success] for one in (near, far)]
    assert (of_both[0] < of_both[1]).mean() > 0.9
    assert of_both[0].mean() < 0.7 * of_both[1].mean()


def test_lbfgs_finds_the_minimum_that_scipy_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "TOLERANCE", 1e-7)
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 2, (16, 3)).astype(np.float32)
    bias = np.array([0, 0, -25], np.float32)  # the target is out of reach

    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, (-1, 16)) @ weights + bias

    classifier = Classifier(logits, input_shape=(4, 4, 1))
    starts = rng.uniform(size=(6, 4, 4, 1)).astype(np.float32).round(1)
    const = 0.03
    attack = LBFGS(initial_const=const, max_iterations=500)
    each = np.zeros(6, np.int32)
    state = rows(attack, Examples(
        images=tf.constant(starts), labels=tf.constant(each), targets=tf.constant(each + 2),
        seeds=tf.constant(each.astype(np.uint32)), min_cost=tf.constant(each - 1),
        max_cost=tf.constant(each + 500),
    ), 0, 6)
    ends = starts.copy()
    while (state["const"].numpy() < 1.5 * const).any():
        first = (state["const"].numpy() < 1.5 * const)
        ends[first] = state["images"].numpy()[first]
        state = attack.advance(classifier, state | {"queries": state["queries"] + 1})

    def loss(point: np.ndarray, start: np.ndarray) -> tuple[float, np.ndarray]:
        outputs = point @ weights.astype(float) + bias
        shares = np.exp(outputs - outputs.max()) / np.exp(outputs - outputs.max()).sum()
        away = point - start
        gradient = 2 * away / 16 + const * weights @ (shares - np.eye(3)[2])
        return float((away**2).mean() - const * np.log(shares[2])), gradient

    assert (ends == 0).any() and (ends == 1).any()
    for start, end in zip(starts.reshape(6, 16).astype(float), ends.reshape(6, 16)):
        best, value, _ = scipy.optimize.fmin_l_bfgs_b(
            loss, start, args=(start,), bounds=[(0, 1)] * 16, factr=10, pgtol=1e-10
        )
        untouched = loss(start, start)[0]
        assert (loss(end, start)[0] - value) < 1e-4 * (untouched - value)
        np.testing.assert_allclose(end, best, atol=0.01)


def test_lbfgs_reaches_its_targets(classifier: Classifier, benign: np.ndarray) -> None:
    images = benign[:40]
    labels = classifier.predict(images)
    targets = (labels + 1 + np.arange(40) % 9) % 10
    attack = LBFGS(initial_const=1e-4, max_iterations=300)
    result = attack.run(classifier, images, targets=targets)
    assert result.success.mean() > 0.9
    reached = classifier.predict(result.adversarial) == targets
    assert reached[result.success].all()
    second = attack.run(classifier, images)
    assert second.cost.mean() < result.cost.mean()
    assert distances(second.adversarial, images).mean() < 2


def test_local_search_changes_few_pixels_and_counts_every_image(
    classifier: Classifier, benign: np.ndarray
) -> None:
    attack = LocalSearch(chosen=3, reach=1, first=0.25, max_iterations=6)
    result = attack.run(classifier, benign[:30])
    changed = (result.adversarial != benign[:30]).sum(axis=(1, 2, 3))
    rounds = result.cost + result.success
    assert (changed <= 3 * rounds).all() and (changed >= 1).all()
    # The image before the first round and after each, 16 pixels in the first, up to 27 later.
    assert (result.queries >= 1 + rounds + 16).all()
    assert (result.queries <= 1 + rounds + 16 + 27 * (rounds - 1)).all()
    # From a bound, half of the distance to the middle too far: it comes back in a quarter away.
    once = LocalSearch(chosen=3, reach=1, first=0.25, max_iterations=1)
    dark = once.run(classifier, np.zeros((1, 8, 8, 1), np.float32)).adversarial
    assert set(np.unique(dark)) == {0, 0.75}


def test_local_search_draws_by_its_seed(classifier: Classifier, benign: np.ndarray) -> None:
    attack = LocalSearch(chosen=1, first=0.1, max_iterations=1)
    first = attack.run(classifier, benign[:20], seed=1).adversarial
    np.testing.assert_array_equal(first, attack.run(classifier, benign[:20], seed=1).adversarial)
    assert (first != attack.run(classifier, benign[:20], seed=2).adversarial).any()
    with pytest.raises(InvalidInputError, match="factor <= 2"):
        LocalSearch(factor=2.5)


@pytest.mark.long
def test_saved_and_exported_detectors_hold_them(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    a2d = A2D(classifier, [*ATTACKS, CW], detectors.ZScore()).fit(benign[:40])
    images = benign[40:50]
    expected = a2d.predict(images)
    # C&W always takes all of its constants: there is no verdict before.
    np.testing.assert_array_equal(a2d.is_adversarial(images), expected.is_adversarial)
    a2d.save(tmp_path / "saved")
    assert A2D.load(tmp_path / "saved").attacks == a2d.attacks
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    for count in (0, 10):
        found = served["serving_default"](images=tf.constant(images[:count]))
        np.testing.assert_array_equal(found["costs"], expected.costs[:count])
        np.testing.assert_array_equal(
            found["is_adversarial"], expected.is_adversarial[:count]
        )


@pytest.mark.long
def test_verdicts_of_attacks_that_stop_early(
    classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier, ATTACKS, detectors.ZScore()).fit(benign[:40])
    mixed = np.concatenate([benign[40:50], FGSM(step=0.02, max_iterations=40).run(
        classifier, benign[50:70]
    ).adversarial])
    np.testing.assert_array_equal(a2d.is_adversarial(mixed), a2d.predict(mixed).is_adversarial)
