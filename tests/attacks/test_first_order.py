"""The first-order cost, a number where other costs are counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, attack_costs, detectors
from a2d_tf.attacks import BIM, FirstOrder
from a2d_tf.evaluation import select_attacks
from a2d_tf.evaluation.metrics import auroc

MIXED = {"bim": BIM(eps=0.3, step=0.004, max_iterations=60), "near": FirstOrder()}


def thousand(images: tf.Tensor) -> tf.Tensor:
    """1,000 classes: class k has the logit (1 - k/1000) x the first pixel."""
    return tf.reshape(images, (-1, 4))[:, :1] * (1 - tf.range(1000.0) / 1000)


def test_of_a_thousand_classes_the_runner_up_counts() -> None:
    # Its logit is 0.5/1000 lower, and the margin's gradient is 1/1000 at one pixel.
    result = FirstOrder().run(Classifier(thousand), np.full((2, 2, 2, 1), 0.5))
    np.testing.assert_allclose(result.cost, 0.5, rtol=1e-3)
    assert result.cost.dtype == np.float32
    assert (result.queries.tolist(), result.gradients.tolist()) == ([1, 1], [1, 1])
    np.testing.assert_allclose(result.adversarial[0].ravel(), [0, 0.5, 0.5, 0.5], atol=1e-3)


def test_it_foretells_how_far_bim_must_go(classifier: Classifier, benign: np.ndarray) -> None:
    foretold = FirstOrder().run(classifier, benign[:100]).cost
    counted = BIM(eps=0.5, step=1e-3, max_iterations=500).run(classifier, benign[:100])
    found = counted.success
    assert np.corrcoef(foretold[found], counted.cost[found])[0, 1] > 0.7


def test_another_label_to_leave(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign[:5])
    assert (FirstOrder().run(classifier, benign[:5], (labels + 1) % 10).cost == 0).all()


def test_tables_keep_its_digits(classifier: Classifier, benign: np.ndarray) -> None:
    alone = attack_costs(classifier, benign[:6], FirstOrder()).costs
    assert alone.dtype == np.float32 and (0 < alone).all() and (alone < 1).all()
    mixed = attack_costs(classifier, benign[:6], MIXED).costs
    np.testing.assert_array_equal(mixed[:, 1], alone[:, 0])
    none = attack_costs(classifier, benign[:0], FirstOrder()).costs
    assert none.shape == (0, 1) and none.dtype == np.float32


@pytest.fixture(scope="module")
def crafted(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign)
    return threat.adversarial[threat.success]


@pytest.mark.parametrize("name", sorted(detectors.REGISTRY))
def test_every_detector_judges_it(
    name: str, classifier: Classifier, benign: np.ndarray, crafted: np.ndarray
) -> None:
    detector = detectors.REGISTRY[name]()
    a2d = A2D(classifier, "first-order", detector)
    a2d.fit(benign[:200], crafted[:200] if detector.learns_from_adversarial else None)
    assert auroc(a2d.score(benign[200:300]), a2d.score(crafted[200:300])) > 0.85


@pytest.mark.long
def test_saved_exported_and_written_it_is_the_same(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    a2d = A2D(classifier, MIXED, "zscore").fit(benign[:100])
    detection = a2d.predict(benign[100:110])
    assert detection.costs.dtype == np.float64
    np.testing.assert_array_equal(detection.costs, detection.columns)
    header, rows = detection.table([str(index) for index in range(10)])
    assert header[-2:] == ["cost_bim", "cost_near"]
    assert isinstance(rows[0][-2], np.int32) and rows[0][-1] == detection["near"][0]
    a2d.save(tmp_path / "saved")
    np.testing.assert_array_equal(
        A2D.load(tmp_path / "saved").predict(benign[100:110]).costs, detection.costs
    )
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    for count in (0, 10):
        outputs = served.signatures["serving_default"](images=tf.constant(benign[100:100 + count]))
        np.testing.assert_allclose(outputs["costs"], detection.costs[:count], rtol=1e-4)
    verdicts = served.signatures["classify"](images=tf.constant(benign[100:110]))
    np.testing.assert_array_equal(verdicts["is_adversarial"], detection.is_adversarial)
    np.testing.assert_array_equal(a2d.is_adversarial(benign[100:110]), detection.is_adversarial)


def test_a_choice_among_attacks(
    classifier: Classifier, benign: np.ndarray, crafted: np.ndarray
) -> None:
    scores = {one.attack: one for one in select_attacks(
        classifier, benign[:60], crafted[:60], MIXED
    )}
    assert scores["near"].auroc > 0.85 and 0 < scores["near"].benign < 1


@pytest.mark.long
def test_scripts_take_it_by_name(
    run_script: Callable[..., object], small_model: Path, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).uniform(size=(40, 28, 28, 1)).astype(np.float32)
    np.savez(tmp_path / "images.npz", images=images)
    flags = (f"--model={small_model}", "--images=images.npz")
    for script, more in (
        ("attack_cost", ("--attack=first-order", "--out=costs.npz")),
        ("fit_detector", ("--attacks=first-order", "--fpr=0.1", "--out=detector")),
    ):
        done = run_script(script, *flags, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    with np.load(tmp_path / "costs.npz") as stored:
        expected = FirstOrder().run(Classifier(small_model), images).cost
        np.testing.assert_allclose(stored["cost"], expected, rtol=1e-4)
