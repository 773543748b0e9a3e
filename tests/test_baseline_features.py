"""What the baselines share, and what every one of them must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from a2d_tf import attacks
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError, NotFittedError
from a2d_tf.metrics import auroc
from a2d_tf.pixels import Bounds
from baselines import KD, LID, chosen, network
from baselines.base import noisy

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


def make(name, digits, **settings):
    classifier, images, labels, _, _ = digits
    if name == "kd":
        return KD(classifier, images, labels, **settings)
    return LID(classifier, **settings)


@pytest.fixture(scope="module", params=["kd", "lid"])
def fitted(request, digits):
    benign, adversarial = digits[3:]
    return make(request.param, digits).fit(benign[:300], adversarial[:300])


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
    again = make(fitted.name, digits).fit(benign[:300], adversarial[:300])
    np.testing.assert_allclose(again.score(benign[300:]), fitted.score(benign[300:]), rtol=1e-5)
    for before, after in zip(weights, classifier.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert all(len(layer._inbound_nodes) == 1 for layer in classifier.model.layers)


def test_calibration_holds_its_rate_and_fitting_forgets_it(digits):
    benign, adversarial = digits[3:]
    detector = make("kd", digits, passes=5).fit(benign[:200], adversarial[:200])
    assert detector.threshold == 0
    np.testing.assert_array_equal(detector.predict(benign[:9]), detector.score(benign[:9]) > 0)
    assert detector.calibrate(benign[200:400], fpr=0.1) is detector
    assert detector.predict(benign[200:400]).mean() <= 0.1
    assert detector.predict(benign[400:]).mean() < 0.25
    assert detector.fit(benign[:200], adversarial[:200]).threshold == 0


def test_no_images_give_no_scores(fitted, digits):
    none = digits[3][:0]
    assert fitted.score(none).shape == (0,) and fitted.predict(none).dtype == np.bool_


@pytest.mark.parametrize("name", ["kd", "lid"])
def test_unfitted_and_unsuitable_use_raises(name, digits):
    benign, adversarial = digits[3:]
    detector = make(name, digits)
    for verb in (detector.score, detector.predict, lambda images: detector.calibrate(images, 0.1)):
        with pytest.raises(NotFittedError, match="call fit first"):
            verb(benign)
    with pytest.raises(InvalidInputError, match="got 4 for 5"):
        detector.fit(benign[:5], adversarial[:4])
    with pytest.raises(InvalidInputError, match="at least"):
        detector.fit(benign[:0], adversarial[:0])
    with pytest.raises(InvalidInputError, match="expected pixels"):
        detector.fit(benign[:5], adversarial[:5] + 1)


@pytest.mark.parametrize("name", ["kd", "lid"])
@pytest.mark.parametrize("pairs", [4, 5])
def test_few_and_duplicate_images_give_finite_scores(name, pairs, digits):
    benign, adversarial = digits[3:]
    same = np.repeat(benign[:1], pairs, axis=0)
    for normal, attacked in ((benign[:pairs], adversarial[:pairs]), (same, same)):
        scores = make(name, digits, seed=3).fit(normal, attacked).score(benign[:20])
        assert np.isfinite(scores).all()


def test_unknown_baselines_are_refused():
    assert list(chosen(["lid", "kd"])) == ["lid", "kd"]
    with pytest.raises(InvalidInputError, match="a baseline out of kd, lid, lid5, got 'magic'"):
        chosen(["kd", "magic"])


@pytest.mark.parametrize("name", ["kd", "lid"])
def test_a_classifier_without_layers_is_refused(name):
    classifier = Classifier(lambda images: tf.reduce_mean(images, (1, 2)), input_shape=(8, 8, 2))
    images = np.zeros((2, 8, 8, 2), np.float32)
    with pytest.raises(InvalidInputError, match="functional or Sequential"):
        KD(classifier, images, [0, 1]) if name == "kd" else LID(classifier)


def test_noise_is_as_strong_as_the_attack_and_within_bounds():
    rng = np.random.default_rng(0)
    benign = rng.uniform(0.4, 0.6, (6, 5, 5, 3)).astype(np.float32)
    strength = np.linspace(0, 0.2, 6, dtype=np.float32)[:, None, None, None]
    adversarial = benign + strength * np.sign(benign - 0.5)
    loose = noisy(benign, adversarial, Bounds(-9, 9), 1)
    wanted = np.linalg.norm((adversarial - benign).reshape(6, -1), axis=1)
    np.testing.assert_allclose(
        np.linalg.norm((loose - benign).reshape(6, -1), axis=1), wanted, rtol=1e-4
    )
    np.testing.assert_array_equal(loose[0], benign[0])
    tight = noisy(benign, adversarial, Bounds(0.3, 0.7), 1)
    np.testing.assert_array_equal(tight, np.clip(loose, np.float32(0.3), np.float32(0.7)))


def test_activations_are_those_of_the_non_linear_layers_and_the_output():
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.LeakyReLU()])
    inputs = keras.Input((2, 2, 1))
    features = inner(layers.Flatten()(layers.Rescaling(2.0)(inputs)))
    features = layers.add([features, layers.Activation("tanh")(features)])
    model = keras.Model(inputs, layers.Dense(3)(features))
    images = tf.constant(np.random.default_rng(0).normal(size=(7, 2, 2, 1)), tf.float32)
    leaky, tanh, logits = network.activations(model, images)
    np.testing.assert_allclose(tanh, np.tanh(leaky), rtol=1e-5)
    np.testing.assert_allclose(logits, model(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        network.last_hidden(model, images), leaky + tanh, rtol=1e-5, atol=1e-6
    )


def test_lid_and_kd_on_mnist_reach_the_published_figures(shared):
    classifier = Classifier.load(shared("models/lenet_mnist.keras"))
    with np.load(shared("data/mnist.npz")) as data:
        train = data["x_train"][:3000, ..., None].astype(np.float32) / 255
        labels = data["y_train"][:3000]
        test = data["x_test"][:800, ..., None].astype(np.float32) / 255
        truth = data["y_test"][:800].astype(np.int64)
    right = np.flatnonzero(classifier.predict(test) == truth)
    benign = test[right]
    attack = attacks.BIM(eps=0.3, step=0.01, max_iterations=50)
    adversarial = attack.run(classifier, benign, labels=truth[right]).adversarial
    for detector, published in (
        (KD(classifier, train, labels, bandwidth=1.2), 0.9786), (LID(classifier), 0.9695)
    ):
        detector.fit(benign[:400], adversarial[:400])
        area = auroc(detector.score(benign[400:]), detector.score(adversarial[400:]))
        assert area > published - 0.03  # a few hundred images tell no finer
