"""How far a detector can be trusted: bypass rates, worst cases, and the script."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from matplotlib import image

from a2d_tf import A2D, Bounds, Classifier, DetectorWarning, InvalidInputError
from a2d_tf.adaptive import Together
from a2d_tf.evaluation import adaptive, adaptive_judges, adaptive_price, adaptive_report
from a2d_tf.evaluation.adaptive import Bypass
from a2d_tf.evaluation.adaptive_attacks import KINDS, Strengths, kinds
from a2d_tf.evaluation.adaptive_judges import MARGIN, NOTHING, Judge
from a2d_tf.reports import gallery
from a2d_tf.reports.progress import NullProgress
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import PGD
from a2d_tf.threats.base import CraftedImages

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
    detectors = {name: [(A2D.load(folder / name), folder / name)] for name in ("zscore", "bim")}
    return adaptive_judges.load_judges(loaded, benign[:60], detectors, 0.1)


def test_bypass_is_misclassified_and_not_flagged(
    loaded: Classifier, judges: dict[str, Judge], benign: np.ndarray, tmp_path: Path
) -> None:
    images, labels = adaptive.right_images(loaded, benign, None, COUNT)
    strengths = Strengths(kappas=(0.0,), eps=(0.05, 0.4), steps=15)
    attacks = ["pgd-margin", "selective"]

    def run() -> list[Bypass]:
        return adaptive.run_adaptive(
            loaded, images, labels, benign[:60], judges, attacks, strengths, Stages(tmp_path),
            progress=NullProgress(),
        )

    found = run()
    kinds_found = [(one.detector, one.attack, one.strength) for one in found]
    both = [(name, "pgd-margin", eps) for eps in (0.05, 0.4) for name in judges]
    own = [(name, "selective", eps) for name in judges for eps in (0.05, 0.4)]
    assert sorted(kinds_found) == sorted(both + own)
    # Whatever fools the classifier beside a detector fools it without one.
    alone = {(one.attack, one.strength): one for one in found if one.detector == NOTHING}
    for one in found:
        assert (alone[one.attack, one.strength].bypassed >= one.misclassified).all()
    for one in found:
        assert one.bypassed.shape == (COUNT,) and (one.misclassified | ~one.bypassed).all()
        assert (one.l2 <= one.strength * 8 + 1e-4).all()
        wrong = loaded.predict(one.images) != labels
        flagged = judges[one.detector].defence.predict(one.images).is_adversarial
        np.testing.assert_array_equal(one.bypassed, one.misclassified & ~flagged)
        assert (one.misclassified <= wrong).all()
    rate = {key: one.bypassed.mean() for key, one in zip(kinds_found, found)}
    # An attacker who knows the detector, and goes far enough, always bypasses.
    assert rate["zscore", "selective", 0.4] == rate[MARGIN, "selective", 0.4] == 1
    assert rate["zscore", "selective", 0.05] < 0.5
    before = sorted(path.name for path in tmp_path.iterdir())
    again = run()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert [one.bypassed.tolist() for one in again] == [one.bypassed.tolist() for one in found]


def test_an_image_beyond_the_radius_does_not_count(
    loaded: Classifier, judges: dict[str, Judge], benign: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, _ = adaptive.right_images(loaded, benign, None, 4)
    wrong = (loaded.predict(images) + 1) % 10  # so that every image counts as misclassified
    moved = np.where(images > 0.5, images - 0.1, images + 0.1).astype(np.float32)
    moved[:2] = np.where(images[:2] > 0.5, images[:2] - 0.11, images[:2] + 0.11)
    monkeypatch.setattr(
        PGD, "craft", lambda self, classifier, images, labels, advance:
        CraftedImages(moved, np.full(4, True))
    )
    found = adaptive.run_adaptive(
        loaded, images, wrong, benign[:60], {NOTHING: judges[NOTHING]}, ["pgd"],
        Strengths(kappas=(), eps=(0.1,), steps=1), Stages(tmp_path), progress=NullProgress(),
    )
    assert found[0].misclassified.tolist() == found[0].bypassed.tolist() == [
        False, False, True, True
    ]


def bypass(
    detector: str, attack: str, strength: float, norm: str, bypassed: list[int],
    l2: list[float], linf: list[float],
) -> Bypass:
    flags = np.array(bypassed, bool)
    return Bypass(
        detector, attack, strength, norm, flags, np.ones(len(flags), bool), np.array(l2),
        np.array(linf), np.full((len(flags), 8, 8, 1), 0.5, np.float32),
    )


FOUND = [
    bypass(MARGIN, "pgd", 0.1, "linf", [1, 1, 0, 0], [1.0, 2.0, 3.0, 4.0], [0.1] * 4),
    bypass(MARGIN, "cw", 5.0, "", [0, 1, 1, 0], [0.5, 0.5, 0.7, 0.1], [0.3] * 4),
    bypass("bim", "pgd", 0.1, "linf", [0, 0, 0, 0], [1.0] * 4, [0.1] * 4),
]


def test_the_worst_case_counts_for_each_image(
    judges: dict[str, Judge], benign: np.ndarray
) -> None:
    rows = adaptive_report.worst_cases(FOUND, judges, benign[:40])
    assert [row["detector"] for row in rows] == ["bim", MARGIN]
    assert rows[0]["bypass_rate"] == 0 and rows[1]["bypass_rate"] == 0.75
    assert [row["attacks"] for row in rows] == [["pgd"], ["pgd", "cw"]]
    assert 0 <= rows[1]["false_positive_rate"] <= 0.2


def test_mean_distances_are_those_of_misclassified_images() -> None:
    some = FOUND[0]._replace(misclassified=np.array([True, False, False, True]))
    none = FOUND[0]._replace(misclassified=np.zeros(4, bool))
    rows = adaptive_report.rates([some, none])
    assert rows[0]["mean_l2"] == 2.5 and rows[1]["mean_l2"] is None
    assert [row[3] for row in adaptive_report.tables(rows, [])[0].rows] == ["2.50", ""]


def test_a_price_has_an_interval() -> None:
    # 40 images; each bypasses from its own radius on, so that half do at 0.2.
    reach = np.linspace(0.1, 0.3, 40)
    found = [
        Bypass("one", "pgd", eps, "linf", reach <= eps, reach <= eps, np.full(40, 9.0),
               np.full(40, eps), np.zeros((40, 2, 2, 1), np.float32))
        for eps in np.linspace(0.05, 0.35, 61)
    ]
    row, = adaptive_price.prices(found)
    low, high = row["linf"]["interval"]
    # The median of 40 uniform numbers has the standard deviation 0.2 / (2 sqrt(42)) = 0.0154.
    assert row["linf"]["distance"] == pytest.approx(0.2, abs=0.006)
    assert low == pytest.approx(0.2 - 1.96 * 0.0154, abs=0.01)
    assert high == pytest.approx(0.2 + 1.96 * 0.0154, abs=0.01)
    assert adaptive_price.half_interval(found[:20], "linf") == (None, None)
    few = {"distance": 0.2, "bound": "=", "interval": (0.1, None)}
    assert adaptive_price.limits(few) == "0.1 to beyond"
    assert adaptive_price.limits(few | {"bound": ">"}) == ""


def test_the_price_is_interpolated_between_radii_and_else_a_bound() -> None:
    def pgd(strength: float, bypassed: list[int], norm: str = "linf") -> Bypass:
        return bypass(NOTHING, "pgd", strength, norm, bypassed, [9.0] * 5, [strength] * 5)

    half = adaptive_price.half_distance
    some = [pgd(0.1, [1, 0, 0, 0, 0]), pgd(0.3, [1, 1, 1, 1, 0])]
    # From 20 % at 0.1 to 80 % at 0.3, half is reached in the middle.
    assert half(some, "linf") == (pytest.approx(0.2), "=")
    assert half([pgd(0.1, [1, 1, 1, 0, 0])], "linf") == (0.1, "<")
    assert half([pgd(0.1, [1, 0, 0, 0, 0])], "linf") == (0.1, ">")
    # No attack ran in L2: the median of what bypasses is a bound from above.
    assert half(some, "l2") == (9.0, "<")
    assert half([pgd(0.1, [1, 0, 0, 0, 0])], "l2") == (None, ">")
    # What an attack in another norm found counts too, where it is nearer.
    near = bypass(NOTHING, "cw", 0.0, "", [1] * 5, [1.0] * 5, [0.15] * 5)
    assert half([*some, near], "linf") == (pytest.approx(0.15), "=")

    strong = [one._replace(detector="strong") for one in (
        pgd(0.1, [0] * 5), pgd(0.3, [1, 0, 0, 0, 0])
    )]
    rows = {row["detector"]: row for row in adaptive_price.prices([*some, *strong])}
    assert rows[NOTHING]["linf"]["times_no_defence"] == pytest.approx(1)
    strongest = dict(rows["strong"]["linf"])
    assert strongest.pop("interval")[1] is None
    assert strongest == {
        "distance": 0.3, "bound": ">", "times_no_defence": pytest.approx(1.5), "times_bound": ">"
    }
    assert rows["strong"]["l2"]["times_no_defence"] is None
    cells = dict((row[0], row[2:]) for row in adaptive_price.table(list(rows.values())).rows)
    assert cells["strong"] == [
        "more than 0.3", "", "more than 1.5", "none found", "", ""
    ]
    assert [cells[NOTHING][place] for place in (0, 2, 3)] == ["0.2", "1.0", "at most 9"]
    prices = list(rows.values())
    assert adaptive_price.answer(adaptive_report.rates(some), prices) == (
        "Half of 5 images bypass each defence, by the best attack on each, at these distances: in "
        "L-infinity 0.2 (no defence), more than 0.3 (strong)."
    )
    assert adaptive_price.answer([], []) == "No attack could be run."


def test_what_is_left_out_is_said(
    loaded: Classifier, benign: np.ndarray, judges: dict[str, Judge], tmp_path: Path
) -> None:
    with pytest.warns(DetectorWarning, match="no labels, so that the classifier's own stand for"):
        adaptive.right_images(loaded, benign[:9], None, 4)
    with pytest.raises(InvalidInputError, match="different strengths in linf, got .0.1, 0.1."):
        Strengths(eps=(0.1, 0.1))
    zscore, other = judges["zscore"].defence, judges["bim"].defence
    assert isinstance(zscore, A2D) and isinstance(other, A2D)
    for name, a2d in (("one", zscore), ("two", other)):
        a2d.save(tmp_path / name)
    parts = {"one+two": [(zscore, tmp_path / "one"), (other, tmp_path / "two")]}
    with pytest.warns(DetectorWarning, match="noise leaves out one.two: only single detectors"):
        found = adaptive_judges.load_judges(loaded, benign[:100], parts, 0.1, noise=0.1)
    assert [name for name in found if "noise" in name] == [f"{MARGIN}, noise 0.1"]


def test_without_a_detector_every_image_that_fools_the_classifier_counts() -> None:
    """An attack on scores has a result for each detector; without one, the nearest image counts."""
    first, second = (
        bypass(NOTHING, "selective", 0.3, "linf", flags, [9.0] * 4, distances)
        for flags, distances in (
            ([1, 1, 0, 0], [0.3, 0.2, 0.3, 0.1]), ([1, 0, 1, 0], [0.1, 0.1, 0.3, 0.3])
        )
    )
    other = second._replace(attack="orthogonal")
    merged, alone = adaptive._merged([first, other, second])
    assert alone is other
    assert merged.bypassed.tolist() == [True, True, True, False]
    np.testing.assert_allclose(merged.linf[:3], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("half, other, expected", [
    ((3.0, "="), (1.46, "="), "2.1"), ((3.0, ">"), (1.46, "="), "more than 2.0"),
    ((3.0, "="), (1.46, "<"), "more than 2.0"), ((3.0, ">"), (1.46, "<"), "more than 2.0"),
    ((3.0, "<"), (1.46, "="), "at most 2.1"), ((3.0, "="), (1.46, ">"), "at most 2.1"),
    ((3.0, "<"), (1.46, "<"), ""), ((3.0, ">"), (1.46, ">"), ""), ((None, ">"), (1.46, "="), ""),
    ((3.0, "="), (None, ">"), ""),
])
def test_a_ratio_of_bounds_is_a_bound_or_nothing(
    half: tuple[float | None, str], other: tuple[float | None, str], expected: str
) -> None:
    found = adaptive_price.ratio(adaptive_price.Half(*half), adaptive_price.Half(*other))
    assert adaptive_price.times(found) == expected


def test_the_gallery_shows_bypassing_images(benign: np.ndarray, tmp_path: Path) -> None:
    picture = tmp_path / "gallery.png"
    pairs = adaptive_report.nearest_pairs(FOUND, benign[:4], Bounds())
    gallery.pairs(pairs, picture)
    assert image.imread(picture).shape[0] > 600  # two defences, one of them without a bypass
    with pytest.raises(ValueError, match="at least one row"):
        gallery.pairs({}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_detectors_together_flag_what_one_of_them_flags(
    loaded: Classifier, folder: Path, benign: np.ndarray
) -> None:
    assert adaptive_judges.folders_of("one+other") == ["one", "other"]
    assert adaptive_judges.folders_of(str(folder / "zscore")) == [str(folder / "zscore")]
    parts = [(A2D.load(folder / name), folder / name) for name in ("zscore", "bim")]
    judge = adaptive_judges.load_judges(loaded, benign[:60], {"both": parts}, 0.1)["both"]
    assert isinstance(judge.defence, Together)
    alone = [a2d.predict(benign[:60]).is_adversarial for a2d, _ in parts]
    np.testing.assert_array_equal(
        judge.defence.predict(benign[:60]).is_adversarial, alone[0] | alone[1]
    )
    with pytest.warns(DetectorWarning, match="calibrated for a false-positive rate of 0.1, and"):
        adaptive_judges.load_judges(loaded, benign[:60], {"both": parts}, 0.2)
    with pytest.raises(InvalidInputError, match="at least 2 detectors"):
        Together({"zscore": parts[0][0]})


@pytest.mark.long
def test_attacks_on_detectors_together_and_by_verdicts_alone(
    loaded: Classifier, folder: Path, benign: np.ndarray, tmp_path: Path
) -> None:
    knn = A2D(loaded, "margin", "knn").fit(benign[:100], benign[100:200].round())
    knn.save(tmp_path / "knn")
    entropy = A2D(loaded, "entropy", "zscore").fit(benign[:200], fpr=0.1)
    entropy.save(tmp_path / "entropy")
    own = (A2D.load(folder / "zscore"), folder / "zscore")
    judges = adaptive_judges.load_judges(loaded, benign[:60], {
        "knn": [(knn, tmp_path / "knn")], "both": [own, (entropy, tmp_path / "entropy")],
    }, 0.1)
    images, labels = adaptive.right_images(loaded, benign, None, 10)
    strengths = Strengths(
        kappas=(), eps=(0.1, 0.5), l2=(4.0,), steps=30, iterations=8, queries=50
    )
    with pytest.warns(DetectorWarning, match="selective leaves out knn"):
        found = adaptive.run_adaptive(
            loaded, images, labels, benign[:200], judges, ["selective", "hopskipjump"], strengths,
            Stages(tmp_path / "stages"), progress=NullProgress(),
        )
    rate = {
        (one.detector, one.attack, one.norm, one.strength): one.bypassed.mean() for one in found
    }
    assert rate["both", "selective", "linf", 0.5] >= 0.9
    for name in ("knn", "both", MARGIN, NOTHING):
        near, far = (rate[name, "hopskipjump", "linf", eps] for eps in (0.1, 0.5))
        assert near <= far and far >= 0.8, (name, near, far)
        assert rate[name, "hopskipjump", "l2", 4.0] >= 0.9, name
    # One attack serves all radii of a norm.
    stored = list((tmp_path / "stages").glob("adaptive-hopskipjump*"))
    assert len(stored) == 2 * len(judges)


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
    assert list(kinds(list(KINDS), Strengths())) == list(KINDS)
    with pytest.raises(InvalidInputError, match="an attack out of cw, .* got 'magic'"):
        kinds(["magic"], Strengths())
    for settings, message in (
        ({"eps": (0.0,)}, "eps > 0"), ({"kappas": (-1.0,)}, "a kappa >= 0"),
        ({"eps": (2.0,)}, "eps <= 1"), ({"l2": (-1.0,)}, "eps > 0"),
        ({"eps": (), "kappas": ()}, "at least one strength"), ({"queries": 0}, "queries of at"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            Strengths(**settings)


@pytest.mark.long
def test_the_script_writes_all_and_resumes(run_script: RunScript, folder: Path) -> None:
    command = (
        "adaptive", "--model=model.keras", "--images=benign.npz", "--detectors=zscore",
        "--attacks=pgd,orthogonal", "--eps=0.1,0.3", "--steps=10", "--limit=12", "--fpr=0.1",
        "--l2=1", "--workdir=work", "--out=adaptive.json",
    )
    done = run_script(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "pgd 0.1 linf: 12/12" in done.stderr and "zscore judges orthogonal 0.3" in done.stderr
    assert "Bypass rate" in done.stdout and "positives" in done.stdout  # headers are folded
    assert MARGIN in done.stdout and "The attacker's price" in done.stdout
    for name in ("adaptive.png", "adaptive_gallery.png"):
        assert (folder / name).stat().st_size > 5000
    report = (folder / "adaptive.html").read_text()
    for shown in ("Half of 12 images bypass", "in L-infinity", "Bypass rate of pgd, linf"):
        assert shown in report
    assert "Report: adaptive.html" in done.stdout
    stored = json.loads((folder / "adaptive.json").read_text())
    # PGD against zscore, margin and no defence; orthogonal PGD against the first two.
    assert len(stored["attacks"]) == 3 * 2 * 3 and len(stored["worst_case"]) == 3
    assert [row["detector"] for row in stored["price"]] == ["zscore", MARGIN, NOTHING]
    row = stored["attacks"][0]
    assert row["images"] == 12 and row["interval"][0] <= row["bypass_rate"] <= row["interval"][1]
    again = run_script(*command, cwd=folder)
    assert again.returncode == 0 and "pgd 0.1 linf" not in again.stderr, again.stderr
    assert json.loads((folder / "adaptive.json").read_text())["attacks"] == stored["attacks"]


@pytest.mark.parametrize("flags, message", [
    (["--attacks=magic"], "expected an attack out of cw"),
    (["--eps=0"], "eps > 0, got 0.0"),
    (["--eps=far"], "--eps=X,X,... of numbers, got 'far'"),
    (["--detectors=other"], "got other of another; fit one for this model"),
    (["--detectors=missing"], "missing"),
    (["--detectors=zscore+missing"], "missing"),
    (["--eps=", "--kappas="], "at least one strength"),
    (["--eps=", "--attacks=pgd"], "a strength for each attack, got none for pgd; give eps or l2"),
    (["--detectors=zscore+"], "joined by +, got 'zscore+'; name one on each side"),
    (["--detectors=zscore+zscore"], "got 'zscore+zscore'; name each once"),
    (["--l2=0"], "eps > 0, got 0.0"),
    (["--kappas=-1"], "a kappa >= 0"),
    (["--images=none.npz"], "none.npz"),
    (["--fpr=2"], "--fpr"),
    (["--noise=-1"], "--noise"),
    (["--detectors=zscore", "--others=other"], "detectors of a second model out of zscore"),
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
