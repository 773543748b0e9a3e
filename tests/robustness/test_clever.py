"""CLEVER: exact where the distance is known, near ART's numbers, the same in any batch."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError, UnsuitableClassifierError
from a2d_tf.attacks import stateless_random
from a2d_tf.evaluation import clever_cache
from a2d_tf.evaluation.metrics import mean_interval
from a2d_tf.reports.progress import NullProgress
from a2d_tf.robustness import TARGETS, Clever, Sampling, clever_score, clever_table
from a2d_tf.robustness.reverse_weibull import MAX_ENDPOINT_GAP, endpoint
from a2d_tf.robustness.sampling import _drawn, gradient_maxima, in_ball

SHAPE = (3, 3, 1)
WEIGHTS = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
BIAS = np.array([1.0, 0.8, 0.5, 0.1, -0.3, -1.0], np.float32) - 0.5 * WEIGHTS.sum(axis=0)
FEW = Sampling(batches=20, samples=16)
DUAL = {1: np.inf, 2: 2, np.inf: 1}


def linear(images: tf.Tensor) -> tf.Tensor:
    """At 0.5 everywhere the logits are 1.0, 0.8, 0.5, 0.1, -0.3 and -1.0."""
    return tf.reshape(images, (-1, 9)) @ WEIGHTS + BIAS


def distances(norm: float) -> np.ndarray:
    """From the middle to each boundary of class 0, by hand."""
    steepest = np.linalg.norm(WEIGHTS[:, :1] - WEIGHTS[:, 1:], ord=DUAL[norm], axis=0)
    return np.array([0.2, 0.5, 0.9, 1.3, 2.0]) / steepest


MIDDLE = np.full((1, *SHAPE), 0.5, np.float32)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_a_linear_model_is_measured_exactly(norm: float) -> None:
    sampling = Sampling(norm=norm, radius=5.0, batches=10, samples=8)
    exact = distances(norm)
    for target, distance in enumerate(exact, 1):
        found = clever_score(Classifier(linear), MIDDLE, target, sampling)
        np.testing.assert_allclose(found.score, [distance], rtol=1e-2)
        np.testing.assert_array_equal(found.target, [target])
    table = clever_table(Classifier(linear), MIDDLE, tuple(TARGETS), sampling)
    np.testing.assert_allclose(table.score, [exact[[exact.argmin(), 0, 3, 4]]], rtol=1e-2)
    np.testing.assert_array_equal(table.target, [[1 + exact.argmin(), 1, 4, 5]])


def test_scores_are_in_units_of_the_pixel_range() -> None:
    wide = Classifier(lambda images: linear(images / 255), (0, 255), input_shape=SHAPE)
    found = clever_score(wide, 255 * MIDDLE, "top5", FEW)
    np.testing.assert_allclose(found.score, distances(2)[3:4], rtol=1e-2)


def test_no_score_is_larger_than_the_radius() -> None:
    near = Sampling(radius=0.01, batches=10, samples=8)
    assert clever_score(Classifier(linear), MIDDLE, sampling=near).score == [0.01]
    flat = Classifier(lambda images: 0 * linear(images) + BIAS, preflight=False)
    assert clever_score(flat, MIDDLE, sampling=FEW).score == [FEW.radius]


def bowl(images: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(images), axis=(1, 2, 3))
    return tf.stack([20 - squares, tf.zeros_like(squares)], axis=1)


def test_the_steepest_slope_in_a_ball_is_found() -> None:
    # The margin 20 - |x|^2 falls by 2 |x| per step: by 2 (2 + 1) at the ball's far end.
    sampling = Sampling(radius=0.05, batches=50, samples=256)
    images = np.full((1, 2, 2, 1), 1.0)
    found = clever_score(Classifier(bowl, Bounds(-10, 10)), images, sampling=sampling)
    # The pixels span 20, and so does the slope per pixel range.
    np.testing.assert_allclose(found.lipschitz, [20 * 6], rtol=0.02)
    assert found.p_value[0] > 0.01


def test_targets_are_what_they_say(classifier: Classifier, benign: np.ndarray) -> None:
    images = benign[:4]
    order = np.argsort(-classifier.logits(images), axis=1)
    table = clever_table(classifier, images, tuple(TARGETS), FEW)
    np.testing.assert_array_equal(table.target[:, 1:], order[:, [1, 4, 9]])
    each = [clever_score(classifier, images, order[:, rank], FEW) for rank in range(1, 10)]
    scores = np.stack([one.score for one in each], axis=1)
    np.testing.assert_allclose(table.score[:, 0], scores.min(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(
        table.target[:, 0], order[np.arange(4), 1 + scores.argmin(axis=1)]
    )
    np.testing.assert_allclose(table.score[:, 1:], scores[:, [0, 3, 8]], rtol=1e-4)
    alone = clever_score(classifier, images, "least_likely", FEW)
    for field, column in zip(alone, table):
        np.testing.assert_allclose(field, column[:, 3], rtol=1e-3)
    mixed = clever_table(classifier, images, ["top2", order[:, 2], "top5"], FEW)
    np.testing.assert_array_equal(mixed.target, order[:, [1, 2, 4]])
    np.testing.assert_allclose(mixed.score, scores[:, [0, 1, 3]], rtol=1e-4)


def test_an_image_has_its_score_in_any_batch(classifier: Classifier, benign: np.ndarray) -> None:
    heard: list[int] = []
    together = clever_score(classifier, benign[:5], sampling=FEW, on_finished=heard.append)
    assert heard == [1] * 5
    reversed_ = clever_score(classifier, benign[:5][::-1], sampling=FEW, batch_size=24)
    np.testing.assert_allclose(reversed_.score[::-1], together.score, rtol=1e-4)
    alone = clever_score(classifier, benign[2:3], sampling=FEW)
    np.testing.assert_allclose(alone.score, together.score[2:3], rtol=1e-4)
    again = clever_score(classifier, benign[:5], sampling=FEW)
    np.testing.assert_array_equal(again.score, together.score)
    other = clever_score(classifier, benign[:5], sampling=Sampling(batches=20, samples=16, seed=1))
    assert (other.score != together.score).all()
    np.testing.assert_allclose(other.score, together.score, rtol=0.5)
    assert clever_score(classifier, benign[:0], sampling=FEW).score.shape == (0,)
    assert clever_table(classifier, benign[:0]).score.shape == (0, 4)


def test_a_graph_serves_all_sizes(model: keras.Model, benign: np.ndarray) -> None:
    fresh = Classifier(model)
    for images in (benign[:1], benign[:2]):
        clever_score(fresh, images, "top2", FEW, batch_size=100)
        clever_table(fresh, images, tuple(TARGETS), FEW)
    graphs = [graph for key, graph in fresh.graphs.items() if gradient_maxima in key]
    assert [graph.experimental_get_tracing_count() for graph in graphs] == [1, 1]


def test_many_classes_are_looked_at_in_groups() -> None:
    weights = np.random.default_rng(3).normal(size=(9, 25)).astype(np.float32)
    many = Classifier(lambda images: tf.reshape(images, (-1, 9)) @ weights)
    label, = many.predict(MIDDLE)
    lead = 0.5 * weights.sum(axis=0)
    lengths = np.linalg.norm(weights[:, label, None] - weights, axis=0)
    others = np.delete((lead[label] - lead) / np.maximum(lengths, 1e-9), label)
    found = clever_score(many, MIDDLE, sampling=FEW)
    np.testing.assert_allclose(found.score, [others.min()], rtol=1e-2)


def test_a_saved_model_is_scored_too(
    model: keras.Model, classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    model.export(tmp_path / "exported", verbose=False)
    loaded = Classifier.load(tmp_path / "exported")
    np.testing.assert_allclose(
        clever_table(loaded, benign[:2], sampling=FEW).score,
        clever_table(classifier, benign[:2], sampling=FEW).score, rtol=1e-3,
    )


@pytest.mark.parametrize("norm, variance", [(1, 2 / (6 * 7)), (2, 1 / 7), (np.inf, 1 / 3)])
def test_points_are_even_over_the_ball(norm: float, variance: float) -> None:
    key = np.array([5], np.uint32)
    points = in_ball(stateless_random.uniform(key, tf.range(20000), 6), norm).numpy()
    lengths = np.linalg.norm(points, ord=norm, axis=1)
    assert points.shape == (20000, 5) and lengths.max() <= 1
    assert scipy.stats.kstest(lengths**5, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(points.T), variance * np.eye(5), atol=0.01)


def test_the_end_of_a_reverse_weibull_is_found() -> None:
    true = scipy.stats.weibull_max(3, 10, 2)
    values = true.rvs(500, random_state=0)
    found = endpoint(values)
    assert abs(found.location - 10) < 0.4 and found.p_value > 0.1
    assert found.location > values.max()
    # Scaling maxima scales their end.
    np.testing.assert_allclose(endpoint(1e-3 * values).location, 1e-3 * found.location)


def test_no_other_end_is_likelier() -> None:
    values = scipy.stats.weibull_max(3, 10, 2).rvs(200, random_state=1)
    ours = endpoint(values).location

    def likelihood(location: float) -> float:
        fit = scipy.stats.weibull_min.fit(location - values, floc=0)
        return float(scipy.stats.weibull_min.logpdf(location - values, *fit).sum())

    others = values.max() + np.ptp(values) * np.geomspace(0.01, 1.9, 40)
    assert likelihood(ours) >= max(map(likelihood, others)) - 1e-3


def test_ends_of_what_has_none() -> None:
    assert endpoint(np.full(50, 3.5)) == (3.5, 1.0)
    assert endpoint([2.0]) == (2.0, 1.0)
    heavy = np.random.default_rng(0).pareto(2, 50)
    furthest = heavy.max() + MAX_ENDPOINT_GAP * np.ptp(heavy)
    assert heavy.max() < endpoint(heavy).location <= furthest * (1 + 1e-9)
    twice = endpoint([1.0] * 30 + [2.0] * 30)
    assert 2 <= twice.location < 3 and 0 <= twice.p_value < 1e-6


@pytest.mark.parametrize("pool", [None, 10])
def test_a_fit_that_is_right_is_not_rejected(pool: int | None) -> None:
    sampling = Sampling(radius=0.05, batches=100 if pool is None else 500, samples=256, pool=pool)
    images = np.full((1, 2, 2, 1), 1.0)
    found = clever_score(Classifier(bowl, Bounds(-10, 10)), images, sampling=sampling)
    assert 0.01 < found.p_value[0] <= 1


def test_a_pool_gives_each_batch_its_largest() -> None:
    sampling = Sampling(batches=2000, samples=20, pool=3)
    pool = np.random.default_rng(1).normal(size=(1, 60)).astype(np.float32)
    drawn = _drawn(pool, sampling)[0]
    by_hand = np.random.default_rng(2).choice(pool[0], (2000, 20)).max(axis=1)
    assert set(drawn) <= set(pool[0])
    np.testing.assert_allclose(
        np.quantile(drawn, [0.05, 0.25, 0.6]), np.quantile(by_hand, [0.05, 0.25, 0.6]), atol=0.15
    )
    assert abs((drawn == pool.max()).mean() - (by_hand == pool.max()).mean()) < 0.05


@pytest.mark.long
def test_near_the_scores_of_art(shared: Callable[[str], Path]) -> None:
    reference = json.loads(shared("reference/clever_art_lenet_mnist.json").read_text())
    costs = np.load(shared("reference/costs_lenet_mnist.npz"))
    digits = np.load(shared("data/mnist.npz"))["x_test"][costs["test_index"][:3]]
    benign = (digits / 255).astype(np.float32)[..., None]
    lenet = Classifier.load(shared("models/lenet_mnist.keras"))
    same = Sampling(batches=50, samples=256, pool=10)
    ratios = []
    for kind, images in (("benign", benign), ("bim_a", costs["bim_a_images"][:3])):
        found = clever_score(lenet, images, "top2", same)
        np.testing.assert_array_equal(found.target, reference[kind]["target"][:3])
        ratios.extend(found.score / reference[kind]["clever"][:3])
    assert 0.9 < np.median(ratios) < 1.1, ratios


def test_errors_for_people(classifier: Classifier, benign: np.ndarray) -> None:
    own = int(classifier.predict(benign[:1])[0])
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: clever_score(classifier, benign[:2], "top3", FEW), "untargeted, top2, top5"),
        (lambda: clever_table(classifier, benign[:2], []), "least_likely, got none"),
        (lambda: clever_score(classifier, benign[:2], [1], FEW), "got int64 of shape"),
        (lambda: clever_score(classifier, benign[:2], 1.0, FEW), "got float64"),
        (lambda: clever_score(classifier, benign[:2], 10, FEW), "from 0 to 9, got 10"),
        (lambda: clever_score(classifier, benign[:1], own, FEW), f"got {own} for image 0"),
        (lambda: clever_score(classifier, benign[:2] + 1, sampling=FEW), "expected pixels"),
        (lambda: clever_score(classifier, benign[:2], batch_size=0), "batch size of at least 1"),
        (lambda: Sampling(norm=3), "norm out of 1, 2 and inf, got 3"),
        (lambda: Sampling(radius=0), "radius > 0, got 0"),
        (lambda: Sampling(samples=0), "samples of at least 1, got 0"),
        (lambda: Sampling(pool=0), "pool of at least 1, got 0"),
        (lambda: Sampling(seed=-1), "seed of at least 0"),
    ]
    for call, message in cases:
        with pytest.raises(InvalidInputError, match=message):
            call()
    two = Classifier(lambda images: linear(images)[:, :2])
    with pytest.raises(InvalidInputError, match="at least 5 classes for top5, got one of 2"):
        clever_score(two, MIDDLE, "top5", FEW)
    edge = Classifier(lambda images: tf.sqrt(linear(images) - BIAS), preflight=False)
    with pytest.raises(UnsuitableClassifierError, match="finite gradients around"):
        clever_score(edge, MIDDLE, 1, FEW)


def test_mean_interval() -> None:
    # t of 4 degrees of freedom at 95 % is 2.1318; the deviation is sqrt(2.5).
    mean, half_width = mean_interval([1, 2, 3, 4, 5])
    assert mean == 3 and half_width == pytest.approx(2.1318 * np.sqrt(2.5 / 5), rel=1e-4)
    assert mean_interval([7.0]) == (7, np.inf)
    for values, level in (([], 0.9), ([[1, 2]], 0.9), ([1, np.nan], 0.9), ([1, 2], 90)):
        with pytest.raises(ValueError, match="expected"):
            mean_interval(values, level)


class Killed(NullProgress):
    """Stops a run after its second image."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        left = [1, 1]

        def advance(done: int) -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop()

        yield advance


def test_a_run_that_was_killed_goes_on(
    model: keras.Model, benign: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "model.keras")
    loaded = Classifier.load(tmp_path / "model.keras")

    def run(progress: NullProgress) -> object:
        return clever_cache.cached_clever(
            loaded, benign[:4], ["top2"], FEW, tmp_path / "work", batch_size=128,
            progress=progress,
        ).score[:, 0]

    with pytest.raises(KeyboardInterrupt):
        run(Killed())
    made: list[int] = []

    def counted(classifier: Classifier, images: np.ndarray, *others: Any, **flags: Any) -> Clever:
        made.append(len(images))
        return clever_table(classifier, images, *others, **flags)

    monkeypatch.setattr(clever_cache, "clever_table", counted)
    np.testing.assert_allclose(
        run(NullProgress()), clever_score(loaded, benign[:4], "top2", FEW).score, rtol=1e-4
    )
    assert made == [1]
    labels = loaded.predict(benign[:4])
    last = int(labels[3])
    first = int(np.flatnonzero(labels == last)[0])
    with pytest.raises(InvalidInputError, match=f"got {last} for image {first}, which has"):
        clever_cache.cached_clever(
            loaded, benign[:4], [last], FEW, tmp_path / "own", batch_size=8,
            progress=NullProgress(),
        )
    assert not (tmp_path / "own").exists()
    with pytest.raises(InvalidInputError, match="Classifier.load"):
        clever_cache.cached_clever(
            Classifier(model), benign[:1], ["top2"], FEW, tmp_path, batch_size=8,
            progress=NullProgress(),
        )


@pytest.mark.long
def test_the_script_resumes(
    run_script: Callable[..., subprocess.CompletedProcess[str]], model: keras.Model,
    classifier: Classifier, benign: np.ndarray, tmp_path: Path,
) -> None:
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "benign.npz", images=benign[:3])
    absent = str(np.setdiff1d(np.arange(10), classifier.predict(benign[:3]))[0])
    flags = ["--model=model.keras", "--images=benign.npz", f"--target=untargeted,{absent}",
             "--cheap", "--batches=20", "--samples=16", "--workdir=work", "--out=clever.npz"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return run_script("clever", *flags, *more, cwd=tmp_path)

    first = run("--limit=2")
    assert first.returncode == 0, first.stderr
    assert "CLEVER: 1/2" in first.stderr and "90 % interval of 2 images" in first.stdout
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}
    second = run()
    assert second.returncode == 0, second.stderr
    assert len(list((tmp_path / "work").iterdir())) == 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    own = replace(FEW, pool=None)
    expected = clever_table(classifier, benign[:3], ["untargeted", int(absent)], own)
    with np.load(tmp_path / "clever.npz") as stored:
        for name, values in expected._asdict().items():
            np.testing.assert_allclose(stored[name], values, rtol=1e-3)
        np.testing.assert_array_equal(stored["label"], classifier.predict(benign[:3]))
        assert list(stored["targets"]) == ["untargeted", absent]
        provenance = json.loads(str(stored["provenance"]))
        mean, half_width = mean_interval(stored["score"][:, 0])
    assert "samples=16" in provenance["settings"]["clever"]
    assert f"untargeted: {mean:.4f} ± {half_width:.4f} (90 %" in second.stdout
    wrong = run("--target=top3")
    assert wrong.returncode == 1 and "expected a target out of" in wrong.stderr
    assert "Traceback" not in wrong.stderr
