"""A feature outside the library, data/own_feature.py, does all that the library's own do."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, attacks
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.zoo import load_dataset

DATA = Path(__file__).parent / "data"
RunScript = Callable[..., subprocess.CompletedProcess[str]]
NAME = "own_feature:Blur"
BIM = attacks.BIM(eps=0.4, step=0.02, max_iterations=50)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load_dataset("digits").x_test


@pytest.fixture(scope="module")
def folder(
    small_model: Path, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path: Path = tmp_path_factory.mktemp("own")
    np.savez(path / "benign.npz", images=images[:200])
    np.savez(path / "images.npz", images=images[200:220])
    return path


@pytest.mark.long
def test_it_is_fitted_calibrated_saved_loaded_and_exported(
    small_model: Path, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(DATA)
    classifier = Classifier(small_model)
    crafted = BIM(classifier, images[300:400])
    a2d = A2D(classifier, {"bim": attacks.BIM(eps=0.3, step=0.003, max_iterations=90),
                           "blur": NAME}, "conformal")
    a2d.fit(images[:200], fpr=0.1).calibrate(images[200:300], 0.1)
    detection = a2d.predict(crafted)
    assert detection.column_names == ("bim", "blur") and detection.costs.shape == (100, 1)
    assert auroc(a2d.score(images[400:500]), detection.score) > 0.8
    assert a2d.order == ["blur", "bim"]
    np.testing.assert_array_equal(a2d.is_adversarial(crafted), detection.is_adversarial)
    a2d.save(tmp_path / "detector")
    again = A2D.load(tmp_path / "detector").predict(crafted)
    np.testing.assert_array_equal(again.score, detection.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    for count in (0, 1, 100):
        found = served["serving_default"](images=tf.constant(crafted[:count]))
        np.testing.assert_allclose(found["columns"], detection.columns[:count], rtol=1e-4)
        np.testing.assert_array_equal(found["costs"], detection.costs[:count])
        np.testing.assert_array_equal(found["is_adversarial"], detection.is_adversarial[:count])
        verdicts = served["classify"](images=tf.constant(crafted[:count]))["is_adversarial"]
        np.testing.assert_array_equal(verdicts, detection.is_adversarial[:count])


def test_scripts_take_it_by_its_path(
    run_script: RunScript, small_model: Path, folder: Path
) -> None:
    fit = ("fit_detector", f"--model={small_model}", "--images=benign.npz",
           f"--features=margin,{NAME}", "--detector=conformal", "--out=detector")
    unknown = run_script(*fit, cwd=folder)
    assert unknown.returncode == 1 and "a feature at module:Class, got" in unknown.stderr
    fitted = run_script(*fit, cwd=folder, path=str(DATA))
    assert fitted.returncode == 0, fitted.stderr
    judge = ("detect", "--detector=detector", "--images=images.npz", "--out=verdicts.csv")
    forgotten = run_script(*judge, cwd=folder, path=str(DATA))
    assert forgotten.returncode == 1 and len(forgotten.stderr.splitlines()) == 1
    assert "a feature out of" in forgotten.stderr and "own_feature" in forgotten.stderr
    judged = run_script(*judge, "--import_modules=own_feature", cwd=folder, path=str(DATA))
    assert judged.returncode == 0, judged.stderr
    # A module is found in the folder where the script is called, too.
    (folder / f"{NAME.split(':')[0]}.py").write_text((DATA / "own_feature.py").read_text())
    judged = run_script(*judge, "--import_modules=own_feature", cwd=folder)
    assert judged.returncode == 0, judged.stderr
    rows = list(csv.DictReader((folder / "verdicts.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "image", "label", "score", "is_adversarial", "valid", "margin", "blur",
    ]
    assert len(rows) == 20 and all(float(row["blur"]) > 0 for row in rows)


@pytest.mark.long
def test_compare_has_it_in_its_table(
    run_script: RunScript, small_model: Path, folder: Path
) -> None:
    compared = run_script(
        "compare", f"--model={small_model}", "--limit=20", "--threats=bim-a",
        "--attacks=bim-search", f"--baselines=margin,{NAME}", "--workdir=run", cwd=folder,
        path=str(DATA),
    )
    assert compared.returncode == 0, compared.stderr
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["baselines"] == [
        "margin", "msp", "entropy", "energy", "first-order", "blur",
    ] and "blur" in compared.stdout
    row = results["cells"]["bim-a"]
    assert 0 < row["blur"]["auroc"] <= 1 and row["margin"]["auroc"] > 0.8
    assert results["columns"]["blur"] == "change of the logits under a blur; benign images only"
    assert "Blur(size=3)" in results["settings"]["detectors"]["blur"]


def test_a_detector_names_the_module_of_a_feature_that_is_not_known(
    small_model: Path, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(DATA)
    A2D(Classifier(small_model), NAME, "conformal").fit(images[:60]).save(tmp_path / "detector")
    from a2d_tf.features import REGISTRY
    monkeypatch.delitem(REGISTRY, "blur")
    with pytest.raises(InvalidInputError, match="got 'blur'; import own_feature first"):
        A2D.load(tmp_path / "detector")
