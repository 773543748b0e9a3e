"""How far a detector can be trusted: bypass rates, worst cases, and the script."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from a2d_tf import A2D, Classifier, DetectorWarning, InvalidInputError
from a2d_tf.evaluation import adaptive, adaptive_report
from a2d_tf.evaluation.adaptive import MARGIN, Bypass, Judge
from a2d_tf.evaluation.adaptive_attacks import KINDS, Strengths, kinds
from a2d_tf.reports.progress import NullProgress

RunScript = Callable[..., subprocess.CompletedProcess[str]]
COUNT = 20


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, model: keras.Model, benign: np.ndarray
) -> Path:
    """A folder with a model, benign images, and detectors."""
    path = tmp_path_factory.mktemp("adaptive")
    model.save(path / "model.keras")
    np.savez(path / "benign.npz", images=benign[:60])
    classifier = Classifier.load(path / "model.keras")
    A2D(classifier, "margin", "zscore").fit(benign[:200], fpr=0.1).save(path / "zscore")
    A2D(classifier, "bim-search", preset="mnist").fit(benign[:100], fpr=0.1).save(path / "bim")
    return path


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Classifier:
    return Classifier.load(folder / "model.keras")


@pytest.fixture(scope="module")
def judges(loaded: Classifier, folder: Path, benign: np.ndarray) -> dict[str, Judge]:
    detectors = {name: (A2D.load(folder / name), folder / name) for name in ("zscore", "bim")}
    return adaptive.load_judges(loaded, benign[:60], detectors, 0.1)


def test_bypass_is_misclassified_and_not_flagged(
    loaded: Classifier, judges: dict[str, Judge], benign: np.ndarray, tmp_path: Path
) -> None:
    images, labels = adaptive.right_images(loaded, benign, None, COUNT)
    strengths = Strengths(kappas=(0.0,), eps=(0.05, 0.4), steps=15)
    attacks = ["pgd-margin", "selective"]

    def run() -> list[Bypass]:
        return adaptive.run_adaptive(
            loaded, images, labels, benign[:60], judges, attacks, strengths, tmp_path,
            progress=NullProgress(),
        )

    with pytest.warns(DetectorWarning, match="selective leaves out bim: .*counted costs"):
        found = run()
    kinds_found = [(one.detector, one.attack, one.strength) for one in found]
    both = [(name, "pgd-margin", eps) for eps in (0.05, 0.4) for name in judges]
    own = [(name, "selective", eps) for name in ("zscore", MARGIN) for eps in (0.05, 0.4)]
    assert kinds_found == both + own
    for one in found:
        assert one.bypassed.shape == (COUNT,) and (one.misclassified | ~one.bypassed).all()
        assert (one.l2 <= one.strength * 8 + 1e-4).all()
    rate = {key: one.bypassed.mean() for key, one in zip(kinds_found, found)}
    # An attacker who knows the detector, and goes far enough, always bypasses.
    assert rate["zscore", "selective", 0.4] == rate[MARGIN, "selective", 0.4] == 1
    assert rate["zscore", "selective", 0.05] < 0.5
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.warns(DetectorWarning):
        again = run()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert [one.bypassed.tolist() for one in again] == [one.bypassed.tolist() for one in found]


def test_the_worst_case_counts_for_each_image(
    judges: dict[str, Judge], benign: np.ndarray
) -> None:
    first, second = (np.array(values, bool) for values in ([1, 1, 0, 0], [0, 1, 1, 0]))
    wrong = np.ones(4, bool)
    found = [
        Bypass(MARGIN, "pgd", 0.1, first, wrong, np.array([1.0, 2.0, 3.0, 4.0])),
        Bypass(MARGIN, "cw", 5.0, second, wrong, np.array([0.5, 0.5, 0.7, 0.1])),
        Bypass("bim", "pgd", 0.1, np.zeros(4, bool), wrong, np.ones(4)),
    ]
    rows = adaptive_report.worst_cases(found, judges, benign[:40])
    assert [row["detector"] for row in rows] == ["bim", MARGIN]
    assert rows[0]["robust_detection"] == 1 and rows[0]["half_l2"] is None
    assert rows[1]["bypass_rate"] == 0.75 and rows[1]["robust_detection"] == 0.25
    assert rows[1]["half_l2"] == 0.7  # of 0.5, 0.7, 1 and never: two images are half
    assert 0 <= rows[1]["false_positive_rate"] <= 0.2


def test_intervals_are_wilsons() -> None:
    # Wilson 1927 by hand: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    z, n, p = 1.959964, 50, 0.2
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = np.array([middle - half, middle + half]) / (1 + z**2 / n)
    np.testing.assert_allclose(adaptive_report.interval(10, 50), expected, rtol=1e-5)
    assert adaptive_report.interval(0, 50)[0] == 0 and adaptive_report.interval(0, 50)[1] > 0.05


def test_right_images(loaded: Classifier, benign: np.ndarray) -> None:
    labels = loaded.predict(benign[:10])
    wrong = labels.copy()
    wrong[:4] = (wrong[:4] + 1) % 10
    images, truth = adaptive.right_images(loaded, benign[:10], wrong, 3)
    np.testing.assert_array_equal(images, benign[4:7])
    np.testing.assert_array_equal(truth, labels[4:7])
    with pytest.raises(InvalidInputError, match="correctly classified images, got none"):
        adaptive.right_images(loaded, benign[:4], wrong[:4], 3)


def test_every_attack_has_a_threat(loaded: Classifier, judges: dict[str, Judge]) -> None:
    assert list(kinds(list(KINDS))) == list(KINDS)
    with pytest.raises(InvalidInputError, match="an attack out of cw, .* got 'magic'"):
        kinds(["magic"])
    for settings, message in (
        ({"eps": (0.0,)}, "eps > 0"), ({"kappas": (-1.0,)}, "a kappa >= 0"),
        ({"norm": "l1"}, "norm out of"), ({"eps": (2.0,)}, "eps <= 1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            Strengths(**settings)


@pytest.mark.long
def test_the_script_writes_all_and_resumes(run_script: RunScript, folder: Path) -> None:
    command = (
        "adaptive", "--model=model.keras", "--images=benign.npz", "--detectors=zscore",
        "--attacks=pgd,orthogonal", "--eps=0.1,0.3", "--steps=10", "--limit=12", "--fpr=0.1",
        "--workdir=work", "--out=adaptive.json",
    )
    done = run_script(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "pgd 0.1: 12/12" in done.stderr and "zscore judges orthogonal 0.3" in done.stderr
    assert "Bypass rate" in done.stdout and "robust detection" in done.stdout
    assert MARGIN in done.stdout and (folder / "adaptive.png").stat().st_size > 5000
    stored = json.loads((folder / "adaptive.json").read_text())
    assert len(stored["attacks"]) == 8 and len(stored["worst_case"]) == 2
    row = stored["attacks"][0]
    assert row["images"] == 12 and row["interval"][0] <= row["bypass_rate"] <= row["interval"][1]
    again = run_script(*command, cwd=folder)
    assert again.returncode == 0 and "pgd 0.1" not in again.stderr, again.stderr
    assert json.loads((folder / "adaptive.json").read_text())["attacks"] == stored["attacks"]


@pytest.mark.parametrize("flags, message", [
    (["--attacks=magic"], "expected an attack out of cw"),
    (["--eps=0"], "eps > 0, got 0.0"),
    (["--eps=far"], "--eps=X,X,... of numbers, got 'far'"),
    (["--detectors=other"], "got other of another; fit one for this model"),
    (["--detectors=missing"], "missing"),
])
def test_bad_input_is_one_line(
    flags: list[str], message: str, run_script: RunScript, folder: Path, benign: np.ndarray
) -> None:
    if not (folder / "other").exists():
        keras.utils.set_random_seed(5)
        other = Classifier(keras.Sequential([
            keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10),
        ]))
        A2D(other, "margin", "zscore").fit(benign[:50], fpr=0.1).save(folder / "other")
    done = run_script("adaptive", "--model=model.keras", "--images=benign.npz", *flags,
                      "--out=bad.json", cwd=folder)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (folder / "bad.json").exists()
    assert len(done.stderr.strip().splitlines()) == 1
