"""Features that Ray's actors measured: the same table, and the same detector."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.attacks import BIM
from a2d_tf.features import AttackCost, Margin, measure
from a2d_tf.scoring import distributed_measure

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
pytestmark = pytest.mark.long


def test_the_table_is_that_of_one_process(
    classifier: Classifier, benign: np.ndarray, descendants: Callable[[int, str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("a2d_tf.scoring.measuring.IMAGES_PER_TASK", 64)
    attack = BIM(eps=0.3, step=0.003, max_iterations=90)
    features = {"bim": AttackCost(attack=attack), "margin": Margin()}
    finished: list[int] = []
    with distributed_measure(classifier, actors=2) as measured:
        expected = measure(classifier, features, benign[:300])
        found = measured(classifier, features, benign[:300], on_finished=finished.append)
        for name, one in expected.features.items():
            for values, others in zip(one, found.features[name], strict=True):
                # Kernels round otherwise in a task's smaller last batch; counts are integers.
                np.testing.assert_allclose(values, others, rtol=1e-5 if name == "margin" else 0)
        np.testing.assert_array_equal(expected.labels, found.labels)
        assert sum(finished) == 600
        assert len(measured(classifier, features, benign[:0])) == 0
        a2d = A2D(classifier, {"bim": attack}, "conformal").fit(benign[:200], fpr=0.1)
        os.kill(descendants(os.getpid(), "Measurer")[0], signal.SIGKILL)
        again = A2D(classifier, {"bim": attack}, "conformal").fit(
            benign[:200], fpr=0.1, measure=measured
        )
        assert again.detector.threshold == a2d.detector.threshold
        np.testing.assert_array_equal(again.detector.benign_, a2d.detector.benign_)
        with pytest.raises(InvalidInputError, match="expected the classifier"):
            measured(Classifier(classifier.model), features, benign[:5])
        with pytest.raises(InvalidInputError, match="expected images of shape"):
            measured(classifier, features, benign[:5, :4])


def test_the_script_writes_the_same_detector(
    model: keras.Model, benign: np.ndarray, run_script: Callable[..., Any], tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "benign.npz", images=benign[:200])
    common = ("--model=model.keras", "--images=benign.npz", "--fpr=0.1")
    for name, more in (("one", ()), ("many", ("--address=local",))):
        done = run_script("fit_detector", *common, f"--out={name}", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, many = (
        dict(np.load(tmp_path / name / "detector.npz")) for name in ("one", "many")
    )
    assert one.keys() == many.keys()
    for key, values in one.items():
        np.testing.assert_array_equal(values, many[key])
    # A third of the 200 images, and such that 10 % of one more is a whole number.
    assert A2D.load(tmp_path / "many").detector.calibration.images == 59
    done = run_script("fit_detector", *common, "--out=no", "--address=127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--address: expected Ray to start or a cluster" in done.stderr
