"""The figures of a benchmark follow from what was measured."""

from typing import Any

import numpy as np
import pytest

from a2d_tf import A2D, Classifier
from a2d_tf.attacks import BIM, JSMA
from a2d_tf.benchmark import AttackTiming, tables, time_attack, timing
from a2d_tf.detectors import ZScore

BIM_60 = BIM(eps=0.3, step=0.004, max_iterations=60)


def test_ratios_by_hand() -> None:
    one = AttackTiming(
        images=10, batch_size=8, iterations=400, queries=300, gradients=200, seconds=4.0,
        limit_seconds=2.5, counting_seconds=8.0, peak_megabytes=None,
    )
    assert one.ratio == 1.6
    summary = one.summary()
    assert summary["ratio"] == 1.6 and summary["ratio_to_counting"] == 0.5
    assert summary["seconds_per_image"] == 0.4 and summary["iterations_per_second"] == 100


@pytest.fixture
def steady_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forward pass takes a second for an example, one with a gradient takes three."""
    def repeat(self: Any, times: int) -> None:
        forward = self._pass.python_function.__name__ == "decide"
        self._seconds += times * [len(self._batch) * (1.0 if forward else 3.0)]

    monkeypatch.setattr(timing._Passes, "repeat", repeat)


@pytest.mark.parametrize("attack", [BIM_60, JSMA(max_iterations=30)], ids=["bim", "jsma"])
def test_the_limit_is_the_time_of_the_passes_that_were_made(
    attack: BIM, classifier: Classifier, benign: np.ndarray, steady_passes: None
) -> None:
    measured = time_attack(classifier, attack, benign[:20], 16)
    result = attack.run(classifier, benign[:20], classifier.predict(benign[:20]))
    queries, gradients = int(result.queries.sum()), int(result.gradients.sum())
    assert (measured.queries, measured.gradients) == (queries, gradients)
    assert measured.limit_seconds == pytest.approx(queries - gradients + 3 * gradients)
    assert measured.iterations == int(result.cost.sum() + result.success.sum())
    assert measured.counting_seconds == pytest.approx(3 * measured.iterations)
    assert measured.images == 20 and measured.ratio == measured.seconds / measured.limit_seconds


@pytest.mark.long
def test_verdicts_that_differ_are_counted(classifier: Classifier, benign: np.ndarray) -> None:
    strict = A2D(classifier, BIM_60, ZScore()).fit(benign[:60])
    loose = A2D(classifier, BIM_60, ZScore(h=3.0)).fit(benign[:60])  # flags nearly all
    images = benign[60:80]
    expected = np.mean(strict.is_adversarial(images) == loose.is_adversarial(images))
    assert expected < 0.5
    times = timing.time_verdicts(strict, loose, images)
    assert times.same == pytest.approx(expected)
    assert len(times.bounded) == len(times.full) == 20
    assert timing.time_verdicts(strict, strict, images).same == 1


def test_the_price_of_a_verdict_beside_that_of_a_prediction(
    classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier).fit(benign[:60])
    times = timing.time_price(a2d, benign[60:90], 4)
    assert len(times.predictions) == len(times.verdicts) == timing.BATCHES
    assert timing.PriceTimes([1.0, 1, 4], [2.0, 3, 4]).summary() == {
        "prediction_median_ms": 1000, "verdict_median_ms": 3000, "ratio_of_medians": 3,
        "ratio_of_means": 1.5,
    }


def test_costs_of_an_exported_detector_are_compared(
    classifier: Classifier, benign: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timing.time_export(classifier, BIM_60, benign[:20]).same == 1
    run = BIM.run

    def wrong(self: BIM, *arguments: Any, **options: Any) -> Any:
        result = run(self, *arguments, **options)
        return result._replace(cost=result.cost + np.arange(len(result.cost)) % 2)

    monkeypatch.setattr(BIM, "run", wrong)
    assert timing.time_export(classifier, BIM_60, benign[:20]).same == 0.5


def test_memory_that_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object, **options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(timing.Path, "write_text", forbidden)
    assert timing._PeakMemory().peak() is None


def test_tables_of_what_was_measured() -> None:
    report: dict[str, list[dict[str, Any]]] = {
        "measurements": [], "exported": [], "verdicts": [], "devices": [],
        "peers": [{"peer": "art, eager", "attack": "bim", "images": 9,
                   "seconds_per_image": 0.25, "slower_than_ours": 4.0}],
    }
    table, = tables(report)
    assert table.rows == [["art, eager", "bim", "9", "0.25", "4"]]
