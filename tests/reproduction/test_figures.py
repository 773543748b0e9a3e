"""The figures of sections 3 and 5.1, from end to end on small data and from known numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from matplotlib import image

from a2d_tf import Classifier, InvalidInputError, attacks
from a2d_tf.attacks import Attack
from a2d_tf.evaluation import attack_selection, clever_cache
from a2d_tf.evaluation.published import published
from a2d_tf.reports import measurement_figures
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.progress import NullProgress
from a2d_tf.reproduction import (
    EXPERIMENTS,
    ReproductionConfig,
    ReproductionResult,
    figures_2_4_10,
    figures_3_5,
    measurements,
    reproduce,
    table1,
)
from a2d_tf.reproduction.measurements import Timed
from a2d_tf.robustness import Sampling
from a2d_tf.threats import AttackThreat, Threat

LIMIT = 4
Run = Callable[[str], ReproductionResult]


@pytest.fixture(scope="module")
def run(digits_as_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs an experiment on few images; all share a folder, and so their stages."""
    folder = tmp_path_factory.mktemp("figures")
    config = ReproductionConfig(
        datasets=["mnist"], limit=LIMIT, seeds=[], workdir=folder, data_dir=digits_as_mnist,
        model_dir=digits_as_mnist, baselines=[], progress=NullProgress(),
    )

    def experiment(name: str) -> ReproductionResult:
        result = reproduce(name, EXPERIMENTS[name], config)
        assert image.imread(folder / f"{name}.png").shape[0] > 200
        assert result.tables[0].title in (folder / f"{name}.md").read_text()
        return result

    return experiment


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Sampling(batches=6, samples=4)
    monkeypatch.setattr(measurements, "FEW_POINTS", few)
    monkeypatch.setattr(measurements, "CHEAP", few)


@pytest.mark.long
def test_table1_compares_means_of_scores(run: Run) -> None:
    found = run("table1").results["mnist"]
    assert list(found) == ["untargeted", "top2", "top5", "least_likely"]
    for row in found.values():
        means = {kind: one["mean"] for kind, one in row["scores"].items()}
        assert list(means) == ["benign", "fgsm", "bim-a", "jsma", "cw"]
        assert row["ratio"]["cw"] == pytest.approx(means["benign"] / means["cw"])
    assert (
        found["untargeted"]["scores"]["benign"]["mean"]
        <= found["top2"]["scores"]["benign"]["mean"]
    )


def test_a_row_of_table1_by_hand() -> None:
    scores = {"benign": np.array([2.0, 4.0])}
    scores |= {threat: np.array([0.5, 0.5]) for threat in ("fgsm", "bim-a", "jsma")}
    row = table1._row(scores | {"cw": np.array([0.1, 0.3])})
    assert row["ratio"] == pytest.approx({"fgsm": 6, "bim-a": 6, "jsma": 6, "cw": 15})
    assert row["average_ratio"] == pytest.approx(3 / 0.425)
    half = scipy.stats.t.ppf(0.95, 1) * np.sqrt(2) / np.sqrt(2)
    assert row["scores"]["benign"]["half_interval90"] == pytest.approx(half)


@pytest.mark.long
def test_time_of_jsma_against_iterations_and_clever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = measurements.timed

    def steady(*args: Any) -> Timed:
        _, queries = known(*args)
        return Timed(0.5 + 0.01 * queries, queries)

    monkeypatch.setattr(figures_2_4_10, "timed", steady)
    figure10, figure2 = run("figure10").results["mnist"], run("figure2").results["mnist"]
    assert figure10["images"] == figure2["images"] > 2 * LIMIT
    assert figure10["pearson"] == pytest.approx(1)
    assert figure2["spearman"] > 0.5
    assert figure2["images_up_to_0.3"] <= figure2["images"]


def test_rank_correlation_needs_something_to_rank() -> None:
    first, second = np.array([1.0, 2, 3]), np.array([10.0, 30, 20])
    assert figures_2_4_10._spearman(first, second) == pytest.approx(0.5)
    assert figures_2_4_10._spearman(np.ones(3), np.arange(3.0)) is None
    assert figures_2_4_10._spearman(np.ones(1), np.ones(1)) is None


@pytest.mark.long
def test_figure3_compares_halves(run: Run) -> None:
    results = run("figure3").results
    found = results["mnist"]
    matrix, means = np.array(found["matrix"]), np.array(found["mean_iterations"])
    assert results["order"][:3] == ["benign 1", "benign 2", "fgsm 1"]
    np.testing.assert_allclose(matrix, np.abs(means[:, None] - means) / np.ptp(means))
    assert all(0 <= share <= 1 for share in found["at_cap"])


def test_the_published_figure3_in_three_numbers() -> None:
    assert figures_3_5._summary(np.array(published("figure3"))) == {
        "same_type_most": 0.031, "benign_to_adversarial_least": 0.886, "adversarial_most": 0.083,
    }


@pytest.mark.long
def test_figure4_times_benign_and_adversarial_images(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_2_4_10, "EIGHT_ATTACKS", ("fgsm", "bim", "jsma"))
    found = run("figure4").results["mnist"]
    assert list(found) == ["fgsm", "bim", "jsma"]
    for one in found.values():
        assert one["images"]["benign"] == LIMIT and 0 < one["images"]["adversarial"] <= LIMIT
        assert all(seconds > 0 for seconds in one["median_seconds"].values())
    assert "max_iterations=10" in found["bim"]["attack"]


@pytest.mark.long
def test_figure5_counts_iterations(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_3_5, "ATTACKS", ("jsma", "bim"))
    found = run("figure5").results["mnist"]
    for row in found.values():
        assert row["benign"]["median"] >= row["cw"]["median"]
        assert row["benign"]["auroc"] is None and 0 <= row["fgsm"]["auroc"] <= 1


@pytest.mark.long
def test_table4_grows_with_confidence(run: Run) -> None:
    found = run("table4").results["mnist"]
    assert found["images"] == LIMIT and len(found["at_cap"]) == 5
    for quantity in ("iterations", "l2"):
        assert len(found[quantity]) == 5
        assert found[quantity] == sorted(found[quantity])
    assert found["clever"][-1] > found["clever"][0]  # six maxima are few


@pytest.mark.long
def test_no_experiment_is_redone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_2_4_10, "EIGHT_ATTACKS", ("fgsm", "bim", "jsma"))
    monkeypatch.setattr(figures_3_5, "ATTACKS", ("jsma", "bim"))
    names = ("table1", "table4", "figure2", "figure3", "figure4", "figure5", "figure10")
    first = {name: run(name).results for name in names}

    def forbidden(*args: object, **flags: object) -> None:
        raise AssertionError("made again")

    for owner, method in ((Attack, "stream"), (Attack, "run"), (Threat, "craft"),
                          (clever_cache, "clever_table")):
        monkeypatch.setattr(owner, method, forbidden)
    assert {name: run(name).results for name in names} == first


def test_the_best_attack_for_its_time(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    strong = attacks.BIM(eps=0.3, step=0.003, max_iterations=90)
    recipe = AttackThreat(attack=strong)
    adversarial = attack_selection.adversarial_versions(classifier, benign[:40], [recipe])
    assert 0 < len(adversarial) <= 40
    found = attack_selection.select_attacks(classifier, benign[40:80], adversarial, {
        "bim": strong, "weak": attacks.BIM(eps=1e-6, step=1e-6, max_iterations=3),
    })
    by_name = {one.attack: one for one in found}
    assert by_name["bim"].auroc > 0.9 and by_name["bim"].pareto_optimal
    assert by_name["bim"].benign > by_name["bim"].adversarial
    assert by_name["weak"].at_cap == 1 and by_name["weak"].auroc == 0.5
    assert [one.per_second for one in found] == sorted((o.per_second for o in found), reverse=True)
    attack_selection.draw(found, tmp_path / "choice.png")
    assert image.imread(tmp_path / "choice.png").shape[0] > 300
    assert [row[0] for row in attack_selection.table(found).rows] == [one.attack for one in found]
    with pytest.raises(InvalidInputError, match="got 0 and"):
        attack_selection.select_attacks(classifier, benign[:0], adversarial, {"bim": strong})


def test_which_attacks_are_dominated() -> None:
    def score(name: str, auroc: float, seconds: float) -> attack_selection.AttackScore:
        return attack_selection.AttackScore(name, auroc, (0, 1), seconds, 9, 1, 0, (5, 5))

    quick, good, bad, twin = (
        score("quick", 0.8, 1), score("good", 0.9, 2), score("bad", 0.85, 3),
        score("twin", 0.8, 1),
    )
    every = [quick, good, bad, twin]
    assert [one.attack for one in every if attack_selection._dominated(one, every)] == ["bad"]


def test_figures_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        measurement_figures.scatter({}, Axis("x"), Axis("y"), tmp_path / "empty.png")
    assert not list(tmp_path.iterdir())
