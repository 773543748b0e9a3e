"""What the baselines share, and what every one of them must do."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, NotFittedError, attacks, detectors
from a2d_tf.detection.fitting import add_noise
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import REGISTRY, FitData, by_name
from a2d_baselines import KD, LID, network

layers = keras.layers


def small_model(*, dropout=0.5):
    return keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(16, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.SpatialDropout2D(dropout / 5),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(dropout),
        layers.Dense(10, activation="softmax"),
    ])


@pytest.fixture(scope="module")
def digits():
    """A trained classifier, its training split, and benign and adversarial held-out images."""
    keras.utils.set_random_seed(0)
    data = load_digits()
    images = (data.images[..., None] / 16).astype(np.float32)
    labels = data.target.astype(np.int64)
    model = small_model()
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(images[:1000], labels[:1000], batch_size=50, epochs=12, verbose=0)
    classifier = Classifier(model)
    right = np.flatnonzero(classifier.predict(images) == labels)
    right = right[right >= 1000]
    benign = images[right]
    attack = attacks.BIM(eps=0.3, step=0.03, max_iterations=20)
    result = attack.run(classifier, benign, labels=labels[right])
    benign, adversarial = benign[result.success], result.adversarial[result.success]
    return classifier, images[:1000], labels[:1000], benign, adversarial


@pytest.mark.parametrize("name", [
    "kd", "squeezing",
    *(pytest.param(name, marks=pytest.mark.long) for name in ("lid", "mahalanobis", "dissector")),
])
def test_what_stands_outside_the_model_may_stand_inside(name, digits):
    model = small_model()
    inside = keras.Sequential([layers.Input((8, 8, 1)), layers.Rescaling(4.0, -2.0), model])
    images, labels = digits[1][:300], digits[2][:300]
    columns = []
    for classifier in (Classifier(inside), Classifier(model, preprocess=lambda x: 4.0 * x - 2.0)):
        feature = by_name(name)
        if feature.needs_fit:
            feature = feature.fit(classifier, FitData(images, images, labels))
        columns.append(feature.measure(classifier, images[:20]))
    np.testing.assert_allclose(columns[0], columns[1], rtol=1e-3, atol=1e-4)


NAMES = ("kd", "lid", "lid5")


def make(name, digits, **settings):
    """The feature with the detector that judges it by itself, not fitted."""
    feature = dataclasses.replace(by_name(name), **settings)
    detector, options = feature.default_detector
    return A2D(digits[0], feature, detectors.REGISTRY[detector](**options))


def fit(name, digits, benign, adversarial, **settings):
    return make(name, digits, **settings).fit(
        benign, adversarial, noisy_negatives=True, training_data=digits[1:3]
    )


@pytest.fixture(scope="module", params=["kd", "lid"])
def fitted(request, digits):
    benign, adversarial = digits[3:]
    return fit(request.param, digits, benign[:300], adversarial[:300])


def test_every_file_of_the_package_is_known_by_name():
    assert set(NAMES) <= REGISTRY.keys()
    modules = {one.__module__ for one in REGISTRY.values()}
    assert {"a2d_baselines.kd", "a2d_baselines.lid"} <= modules


def test_adversarial_images_are_told_from_held_out_benign_ones(fitted, digits):
    benign, adversarial = (images[300:] for images in digits[3:])
    assert len(benign) > 200
    assert auroc(fitted.score(benign), fitted.score(adversarial)) > 0.85


def test_score_does_not_depend_on_the_batch(fitted, digits):
    images = np.concatenate([digits[3][300:340], digits[4][300:340]])
    scores = fitted.score(images)
    order = np.random.default_rng(0).permutation(len(images))
    np.testing.assert_allclose(fitted.score(images[order]), scores[order], rtol=1e-3, atol=1e-3)
    alone = np.concatenate([fitted.score(images[i:i + 1]) for i in range(0, 80, 16)])
    np.testing.assert_allclose(alone, scores[::16], rtol=1e-3, atol=1e-3)
    assert scores.dtype == np.float32 and scores.shape == (80,)


def test_same_seed_same_scores_and_the_model_is_left_alone(fitted, digits):
    classifier, _, _, benign, adversarial = digits
    weights = [np.array(weight) for weight in classifier.model.get_weights()]
    name, = fitted.features
    again = fit(name, digits, benign[:300], adversarial[:300])
    np.testing.assert_allclose(again.score(benign[300:]), fitted.score(benign[300:]), rtol=1e-5)
    for before, after in zip(weights, classifier.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert all(len(layer._inbound_nodes) == 1 for layer in classifier.model.layers)


@pytest.mark.long
def test_saved_and_exported_they_score_the_same(fitted, digits, tmp_path):
    images = np.concatenate([digits[3][300:340], digits[4][300:340]])
    expected = fitted.predict(images)
    fitted.save(tmp_path / "saved")
    again = A2D.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.score(images), expected.score)
    fitted.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    for count in (0, 1, 80):
        found = served(images=tf.constant(images[:count]))
        np.testing.assert_allclose(
            found["score"], expected.score[:count], rtol=1e-3, atol=1e-3
        )
        assert found["columns"].shape == (count, expected.columns.shape[1])
    assert "costs" not in found


@pytest.mark.long
def test_they_can_be_judged_with_attack_costs(digits):
    classifier, images, labels, benign, adversarial = digits
    attack = attacks.BIM(eps=0.3, step=0.01, max_iterations=60)
    a2d = A2D(classifier, {"bim": attack, "kd": KD(dropout_passes=5), "lid": LID()}, "logistic")
    a2d.fit(benign[:200], adversarial[:200], training_data=(images, labels))
    found = [a2d.predict(some[200:280]) for some in (benign, adversarial)]
    assert auroc(found[0].score, found[1].score) > 0.9
    assert found[0].column_names[:4] == ("bim", "kd_log_density", "kd_dropout_variance", "lid_0")
    with pytest.raises(InvalidInputError, match="weighs its columns for kd, got zscore"):
        A2D(classifier, {"bim": attack, "kd": KD()}, "zscore")
    alone = A2D(classifier, LID(minibatch=50), "conformal").fit(benign[:200])
    assert auroc(*(alone.score(some[200:]) for some in (benign, adversarial))) > 0.6


def test_calibration_holds_its_rate_and_fitting_forgets_it(digits):
    benign, adversarial = digits[3:]
    a2d = fit("kd", digits, benign[:200], adversarial[:200], dropout_passes=5)
    assert a2d.detector.threshold == 0
    np.testing.assert_array_equal(a2d.is_adversarial(benign[:9]), a2d.score(benign[:9]) > 0)
    assert a2d.calibrate(benign[200:400], fpr=0.1) is a2d
    assert a2d.is_adversarial(benign[200:400]).mean() <= 0.1
    assert a2d.is_adversarial(benign[400:]).mean() < 0.25


def test_no_images_give_no_scores(fitted, digits):
    none = digits[3][:0]
    assert fitted.score(none).shape == (0,) and fitted.is_adversarial(none).dtype == np.bool_


@pytest.mark.parametrize("name", NAMES)
def test_unfitted_and_unsuitable_use_raises(name, digits):
    benign, adversarial = digits[3:]
    a2d = make(name, digits)
    for verb in (a2d.score, a2d.predict, lambda images: a2d.calibrate(images, 0.1)):
        with pytest.raises(NotFittedError, match="call fit first"):
            verb(benign)
    with pytest.raises(NotFittedError, match="call fit first"):
        by_name(name).measure(digits[0], benign)
    with pytest.raises(InvalidInputError, match="got 12 for 15; give their source"):
        a2d.fit(benign[:15], adversarial[:12], noisy_negatives=True)
    with pytest.raises(InvalidInputError, match="at least"):
        a2d.fit(benign[:0], adversarial[:0])
    with pytest.raises(InvalidInputError, match="expected pixels"):
        a2d.fit(benign[:15], adversarial[:15] + 1)


@pytest.mark.parametrize("name", ["kd", "lid"])
def test_few_and_duplicate_images_give_finite_scores(name, digits):
    benign, adversarial = digits[3:]
    same = np.repeat(benign[:1], 10, axis=0)
    for normal, attacked in ((benign[:10], adversarial[:10]), (same, same)):
        assert np.isfinite(fit(name, digits, normal, attacked, seed=3).score(benign[:20])).all()


def test_unknown_features_are_refused():
    with pytest.raises(InvalidInputError, match="a feature out of .*kd.*, got 'magic'"):
        by_name("magic")


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_without_layers_is_refused(name):
    classifier = Classifier(lambda images: tf.reduce_mean(images, (1, 2)), input_shape=(8, 8, 2))
    with pytest.raises(InvalidInputError, match="functional or Sequential"):
        A2D(classifier, name, "logistic")


def test_noise_is_as_strong_as_the_attack_and_within_bounds():
    rng = np.random.default_rng(0)
    benign = rng.uniform(0.4, 0.6, (6, 5, 5, 3)).astype(np.float32)
    strength = np.linspace(0, 0.2, 6, dtype=np.float32)[:, None, None, None]
    adversarial = benign + strength * np.sign(benign - 0.5)
    loose = add_noise(benign, adversarial, Bounds(-9, 9), 1)
    wanted = np.linalg.norm((adversarial - benign).reshape(6, -1), axis=1)
    np.testing.assert_allclose(
        np.linalg.norm((loose - benign).reshape(6, -1), axis=1), wanted, rtol=1e-4
    )
    np.testing.assert_array_equal(loose[0], benign[0])
    tight = add_noise(benign, adversarial, Bounds(0.3, 0.7), 1)
    np.testing.assert_array_equal(tight, np.clip(loose, np.float32(0.3), np.float32(0.7)))


def test_activations_are_those_of_the_non_linear_layers_and_the_output():
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.LeakyReLU()])
    inputs = keras.Input((2, 2, 1))
    features = inner(layers.Flatten()(layers.Rescaling(2.0)(inputs)))
    features = layers.add([features, layers.Activation("tanh")(features)])
    model = keras.Model(inputs, layers.Dense(3)(features))
    images = tf.constant(np.random.default_rng(0).normal(size=(7, 2, 2, 1)), tf.float32)
    leaky, tanh, logits = network.activations(Classifier(model), images)
    np.testing.assert_allclose(tanh, np.tanh(leaky), rtol=1e-5)
    np.testing.assert_allclose(logits, model(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        network.last_hidden(Classifier(model), images), leaky + tanh, rtol=1e-5, atol=1e-6
    )


@pytest.mark.long
def test_lid_and_kd_on_mnist_reach_the_published_figures(shared):
    classifier = Classifier.load(shared("models/lenet_mnist.keras"))
    with np.load(shared("data/mnist.npz")) as data:
        train = data["x_train"][:2000, ..., None].astype(np.float32) / 255
        labels = data["y_train"][:2000]
        test = data["x_test"][:600, ..., None].astype(np.float32) / 255
        truth = data["y_test"][:600].astype(np.int64)
    right = np.flatnonzero(classifier.predict(test) == truth)
    benign = test[right]
    attack = attacks.BIM(eps=0.3, step=0.01, max_iterations=50)
    adversarial = attack.run(classifier, benign, labels=truth[right]).adversarial
    for feature, published in ((KD(bandwidth=1.2), 0.9786), (LID(), 0.9695)):
        a2d = A2D(classifier, feature, detectors.Logistic(transform_costs=False)).fit(
            benign[:300], adversarial[:300], noisy_negatives=True, training_data=(train, labels)
        )
        area = auroc(a2d.score(benign[300:]), a2d.score(adversarial[300:]))
        assert area > published - 0.03  # a few hundred images tell no finer
