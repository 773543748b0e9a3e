"""What every registered feature must satisfy, those of the baselines among them."""

import copy
import json
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import a2d_tf.features
import a2d_baselines
from a2d_tf import A2D, Classifier, InvalidInputError, NotFittedError, attacks, detectors
from a2d_tf.features import REGISTRY, AttackCost, Feature, FitData, Margin
from a2d_tf.images import Batch

# Features with settings that suit a small classifier; the others are made without arguments.
SETTINGS = {
    "attack_cost": {"attack": attacks.BIM(eps=0.3, step=0.004, max_iterations=60)},
    "kd": {"dropout_passes": 5, "bandwidth": 1.0},
    "lcr": {"mutants": 40, "rate": 0.12},
    "lid5": {"minibatch": 10},
}
NAMES = {name for name, one in REGISTRY.items() if one.__module__.split(".")[0] in (
    "a2d_tf", "a2d_baselines"
)}
# Of each kind of feature one is measured without `-m long` too.
QUICK = {"attack_cost", "directions", "kd", "margin", "response"}


@pytest.fixture(params=[
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in sorted(NAMES)
])
def unfitted(request: pytest.FixtureRequest) -> Feature:
    return REGISTRY[request.param](**SETTINGS.get(request.param, {}))


@pytest.fixture(scope="module")
def fitted() -> dict[str, Feature]:
    """What was fitted before, by name: a feature never changes."""
    return {}


@pytest.fixture
def feature(
    unfitted: Feature, fitted: dict[str, Feature], classifier: Classifier,
    digits: tuple[np.ndarray, np.ndarray],
) -> Feature:
    if unfitted.name not in fitted:
        images, labels = digits[0][:400], digits[1][:400]
        fitted[unfitted.name] = unfitted.fit(classifier, FitData(images[:100], images, labels))
    return fitted[unfitted.name]


@pytest.fixture(scope="module")
def adversarial(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    """Adversarial images of the first 300 benign ones."""
    images: np.ndarray = attacks.BIM(eps=0.4, step=0.02, max_iterations=50)(
        classifier, benign[:300]
    )
    return images


def test_neither_batch_nor_order_nor_padding_changes_a_value(
    feature: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:40]
    whole = feature.measure(classifier, images)
    assert whole.dtype == np.float64 and whole.ndim == 2 and len(whole) == 40
    assert np.isfinite(whole).all() and len(np.unique(whole, axis=0)) > 5
    order = np.random.default_rng(0).permutation(40)
    padded = np.concatenate([np.zeros_like(images[:3]), images, np.ones_like(images[:9])])
    for values, expected in (
        (feature.measure(classifier, images, batch_size=7), whole),
        (feature.measure(classifier, images[order]), whole[order]),
        (feature.measure(classifier, padded)[3:43], whole),
        (feature.measure(classifier, tf.data.Dataset.from_tensor_slices(images)), whole),
        (np.concatenate([feature.measure(classifier, one[None]) for one in images[:9]]), whole[:9]),
    ):
        np.testing.assert_allclose(values, expected, rtol=2e-3, atol=1e-5)


def test_what_it_says_of_its_columns(
    feature: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    width = feature.measure(classifier, benign[:2]).shape[1]
    names = feature.column_names("mine", width)
    assert len(names) == len(set(names)) == width
    assert all(name.startswith("mine") for name in names)
    assert feature.name in REGISTRY and feature.description
    assert feature.adversarial_is in ("low", "high", "either", "class")
    queries, gradients = feature.passes_of(width)
    assert queries >= 0 and gradients >= 0
    detector, settings = feature.default_detector
    assert detectors.REGISTRY[detector](**settings)


def test_no_images_have_no_values(feature: Feature, classifier: Classifier) -> None:
    assert len(feature.measure(classifier, np.zeros((0, 8, 8, 1)))) == 0


def test_unfit_images_are_refused(feature: Feature, classifier: Classifier) -> None:
    with pytest.raises(InvalidInputError, match="expected pixels"):
        feature.measure(classifier, np.full((2, 8, 8, 1), 2.0))


def test_it_must_be_fitted_if_it_says_so(
    unfitted: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    if not unfitted.needs_fit:
        assert len(unfitted.measure(classifier, benign[:2])) == 2
        return
    with pytest.raises(NotFittedError, match=f"a fitted {type(unfitted).__name__}, got one that"):
        unfitted.measure(classifier, benign[:2])


def test_repr_and_config_rebuild_it(feature: Feature, unfitted: Feature) -> None:
    known = vars(a2d_tf.features) | vars(attacks) | vars(a2d_baselines)
    assert eval(repr(feature), known) == unfitted == feature
    config = json.loads(json.dumps(feature.config()))
    assert type(feature).from_config(config, feature.learned) == feature
    with pytest.raises(InvalidInputError, match="expected settings of"):
        type(feature).from_config({**config, "colour": "red"}, None)


def test_copies_measure_the_same(
    feature: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    expected = feature.measure(classifier, benign[:5])
    for other in (copy.deepcopy(feature), pickle.loads(pickle.dumps(feature))):
        np.testing.assert_array_equal(other.measure(classifier, benign[:5]), expected)


def test_a_feature_that_learned_other_things_measures_otherwise(
    feature: Feature, unfitted: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    if not feature.needs_fit:
        return
    before = feature.measure(classifier, benign[:20])
    labels = classifier.predict(benign)
    other = unfitted.fit(classifier, FitData(benign[100:200], benign[100:], labels[100:]))
    assert (other.measure(classifier, benign[:20]) != before).any()
    np.testing.assert_array_equal(feature.measure(classifier, benign[:20]), before)


def test_saved_and_exported_it_measures_the_same(
    unfitted: Feature, model: keras.Model, benign: np.ndarray, adversarial: np.ndarray,
    tmp_path: Path,
) -> None:
    if unfitted.adversarial_is == "class":  # is only judged beside another feature
        a2d = A2D(Classifier(model), {"mine": unfitted, "margin": Margin()}).fit(benign[:300])
    else:
        a2d = A2D(Classifier(model), {"mine": unfitted}, detectors.Logistic(transform_costs=False))
        a2d.fit(benign[:300], adversarial)
    expected = a2d.predict(benign[300:320])
    a2d.save(tmp_path / "saved")
    found = A2D.load(tmp_path / "saved").predict(benign[300:320])
    np.testing.assert_array_equal(found.columns, expected.columns)
    assert found.column_names == expected.column_names
    if not a2d.features["mine"].in_graph:
        with pytest.raises(InvalidInputError, match="mine"):
            a2d.export(tmp_path / "served")
        return
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    for count in (0, 1, 20):
        outputs = served(images=tf.constant(benign[300:300 + count]))
        values = outputs["costs" if isinstance(unfitted, AttackCost) else "columns"]
        np.testing.assert_allclose(values, expected.columns[:count], rtol=2e-3, atol=1e-5)


def test_progress_hears_of_every_image(
    feature: Feature, classifier: Classifier, benign: np.ndarray
) -> None:
    heard: list[int] = []
    feature.measure(classifier, benign[:50], batch_size=8, on_finished=heard.append)
    assert sum(heard) == 50


@pytest.mark.long
def test_one_graph_serves_every_number_of_images(
    feature: Feature, model: keras.Model, benign: np.ndarray
) -> None:
    fresh = Classifier(model)
    for count in (1, 5, 2):
        batch = Batch(benign[:count], fresh.predict(benign[:count]), is_last=True)
        feature.measure_batch(fresh, batch)
    key_part = feature.attack if isinstance(feature, AttackCost) else feature
    graphs = [graph for key, graph in fresh.graphs.items()
              if isinstance(key, tuple) and key_part in key]
    assert len(graphs) == 1 and graphs[0].experimental_get_tracing_count() == 1
