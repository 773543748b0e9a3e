"""A2D from images to verdicts, saved and loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from a2d_tf import A2D, Classifier, InvalidInputError, NotFittedError, detectors
from a2d_tf.attacks import BIM, DBA, JSMA
from a2d_tf.evaluation.metrics import auroc

ATTACKS = {
    "bim": BIM(eps=0.3, step=0.004, max_iterations=60),
    "jsma": JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=60),
}
# A coarse attack that stops just across the boundary.
THREAT = BIM(eps=0.4, step=0.02, max_iterations=50)


@pytest.fixture(scope="module")
def adversarial(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    result = THREAT.run(classifier, benign)
    return np.where(result.success[:, None, None, None], result.adversarial, np.nan)


@pytest.mark.parametrize("kind", [
    pytest.param(
        kind, marks=[] if kind in ("logistic", "profile", "zscore") else pytest.mark.long
    ) for kind in sorted(detectors.REGISTRY)
])
def test_unseen_adversarial_images_are_flagged(
    kind: str, classifier: Classifier, benign: np.ndarray, adversarial: np.ndarray
) -> None:
    crafted = adversarial[~np.isnan(adversarial).any(axis=(1, 2, 3))]
    attacks = {"bim": ATTACKS["bim"]} if kind == "threshold" else ATTACKS
    a2d = A2D(classifier, attacks, detectors.REGISTRY[kind]())
    learns = a2d.detector.learns_from_adversarial
    a2d.fit(benign[:150], crafted[:150] if learns else None).calibrate(benign[150:300], 0.1)
    clean, attacked = a2d.predict(benign[300:]), a2d.predict(crafted[300:])
    assert auroc(clean.score, attacked.score) > 0.9
    assert attacked.is_adversarial.mean() > 0.75
    assert clean.is_adversarial.mean() < 0.2
    assert clean.costs.shape == (len(clean), len(attacks))
    np.testing.assert_array_equal(clean.label, classifier.predict(benign[300:]))
    np.testing.assert_array_equal(clean.score, a2d.score(benign[300:]))


def test_a_fresh_process_loads_what_was_saved_and_moved(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    a2d = A2D(classifier, ATTACKS, detectors.ZScore()).fit(benign[:60])
    a2d.calibrate(benign[60:100], 0.1)
    a2d.save(tmp_path / "detector")
    a2d.save(tmp_path / "detector")  # an earlier detector is replaced
    shutil.move(tmp_path / "detector", tmp_path / "elsewhere")
    np.save(tmp_path / "images.npy", benign[100:120])
    program = (
        "import sys, json, numpy as np; from a2d_tf import A2D;"
        "d = A2D.load(sys.argv[1]).predict(np.load(sys.argv[2]));"
        "print(json.dumps([d.is_adversarial.tolist(), d.costs.tolist(), d.score.tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "elsewhere", tmp_path / "images.npy"],
        capture_output=True, text=True, check=True,
    )
    verdicts, costs, scores = json.loads(done.stdout)
    here = a2d.predict(benign[100:120])
    assert verdicts == here.is_adversarial.tolist()
    assert costs == here.costs.tolist()
    np.testing.assert_allclose(scores, here.score, rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "images.npy"]


def test_attacks_may_be_a_sequence_of_different_kinds(classifier: Classifier) -> None:
    a2d = A2D(classifier, list(ATTACKS.values()), detectors.ZScore())
    assert list(a2d.attacks) == ["bim", "jsma"]
    with pytest.raises(InvalidInputError, match="several of one"):
        A2D(classifier, [THREAT, THREAT], detectors.ZScore())
    with pytest.raises(InvalidInputError, match="at least one attack"):
        A2D(classifier, [], detectors.ZScore())


def test_no_image_is_attacked_in_vain(classifier: Classifier, benign: np.ndarray) -> None:
    attacked: list[int] = []
    a2d = A2D(classifier, ATTACKS, detectors.KNN(), on_finished=attacked.append)
    zscore = A2D(classifier, ATTACKS, detectors.ZScore(), on_finished=attacked.append)
    for step, error in (
        (lambda: a2d.predict(benign), NotFittedError),
        (lambda: a2d.calibrate(benign, 0.1), NotFittedError),
        (lambda: a2d.fit(benign), InvalidInputError),
        (lambda: a2d.fit(benign, benign[:9]), InvalidInputError),
        (lambda: zscore.fit(benign, benign), InvalidInputError),
        (lambda: a2d.fit(benign[:20], benign[:20], fpr=0.01), InvalidInputError),
    ):
        with pytest.raises(error):
            step()
    assert not attacked


def test_unfit_folders_are_refused(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(InvalidInputError, match="expected a detector folder"):
        A2D.load(tmp_path / "notes")
    a2d = A2D(classifier, ATTACKS, detectors.ZScore()).fit(benign[:20])
    with pytest.raises(InvalidInputError, match="choose another place"):
        a2d.save(tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    a2d.save(tmp_path / "saved")
    settings = json.loads((tmp_path / "saved" / "a2d.json").read_text())
    del settings["bounds"]
    (tmp_path / "saved" / "a2d.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match="expected 'bounds' in"):
        A2D.load(tmp_path / "saved")


def test_only_known_attacks_are_saved(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    class Mine(BIM):
        pass

    attack = Mine(eps=0.3, step=0.01, max_iterations=5)
    a2d = A2D(classifier, {"mine": attack}, detectors.ZScore()).fit(benign[:20])
    with pytest.raises(InvalidInputError, match="got mine of another class"):
        a2d.save(tmp_path / "detector")


def test_bounds_of_numpy_numbers_are_saved(
    model: object, benign: np.ndarray, tmp_path: Path
) -> None:
    bounded = Classifier(model, (benign.min(), benign.max()))
    A2D(bounded, ATTACKS, detectors.ZScore()).fit(benign[:20]).save(tmp_path / "detector")
    assert A2D.load(tmp_path / "detector").classifier.bounds == bounded.bounds


def test_a_black_box_cannot_be_saved(benign: np.ndarray, tmp_path: Path) -> None:
    box = Classifier.label_only(lambda images: (images.mean(axis=(1, 2, 3)) > 0.3).astype(int))
    a2d = A2D(box, DBA(mse_threshold=0.1, max_iterations=2), detectors.ZScore())
    with pytest.raises(InvalidInputError, match="got a Python function"):
        a2d.fit(benign[:10]).save(tmp_path / "detector")
    assert not list(tmp_path.iterdir())


def test_no_images_have_no_verdicts(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, ATTACKS, detectors.ZScore()).fit(benign[:20])
    detection = a2d.predict(np.zeros((0, 8, 8, 1)))
    assert detection.costs.shape == (0, 2) and detection.is_adversarial.shape == (0,)


def test_what_outputs_mean_is_saved(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    # The softmax cannot be left out: it is not the last layer.
    network = keras.Sequential([*model.layers, keras.layers.Reshape((10,))])
    classifier = Classifier(network, probabilities=True)
    a2d = A2D(classifier, ATTACKS["bim"], detectors.ZScore(votes=1)).fit(benign[:60])
    a2d.save(tmp_path / "detector")
    loaded = A2D.load(tmp_path / "detector")
    assert loaded.classifier.probabilities
    expected = a2d.predict(benign[60:90]).costs
    np.testing.assert_array_equal(loaded.predict(benign[60:90]).costs, expected)


def test_nothing_can_be_changed_after_it_is_made(classifier: Classifier) -> None:
    a2d = A2D(classifier, ATTACKS, detectors.ZScore())
    for owner, name, value in (
        (a2d, "order", ["jsma"]), (a2d, "classifier", None), (a2d, "features", {}),
        (classifier, "bounds", (0, 2)), (a2d.detector, "h", -1.0), (ATTACKS["bim"], "eps", 0.1),
        (classifier, "path", "elsewhere"),
    ):
        with pytest.raises(AttributeError):
            setattr(owner, name, value)
