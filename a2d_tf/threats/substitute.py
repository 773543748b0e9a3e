"""A black-box attack: a substitute of the classifier is trained on its labels, and attacked."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Bounds, Images, Labels
from a2d_tf.threats.base import Threat
from a2d_tf.threats.fgsm import FGSM

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
CHANNELS, HIDDEN_UNITS = (32, 64), 200  # as in Papernot's first architecture


@dataclass(frozen=True, kw_only=True)
class SubstituteFGSM(Threat):
    """Practical Black-Box Attacks (Papernot 2016, arXiv 1602.02697), with FGSM on the substitute.

    The attacker knows images and sees the labels that the classifier gives them, and nothing else.
    A small convolutional network, the substitute, learns these labels. Each round then adds to its
    training images as many again by `augment`, and trains further. At last FGSM crafts images from
    the substitute's gradients, and they are given to the classifier.

    The attacker's own images are the first of those to craft from. An adversarial image therefore
    depends on the other images of the call.

    Attributes:
      eps: L-infinity distance of FGSM, as a fraction of the pixel range.
      known_images: the number of the attacker's own images.
      rounds: how often the training images are doubled.
      step: lambda, by how much an image is changed to make another, as a fraction of the range.
      epochs: passes over the training images in each round.
      seed: seed of the substitute's weights and of the order of its images.
    """

    eps: float = field(metadata={"maximum": 1})
    known_images: int = 150
    rounds: int = field(default=6, metadata={"minimum": 0})
    step: float = field(default=0.1, metadata={"maximum": 1})
    epochs: int = 10
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": 2**31 - 1})

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        if not len(images):
            return images
        classifier.bounds.require_one_range("the threat BB")  # of FGSM, before the training
        classes = int(max(labels.max(), classifier.predict(images).max())) + 1
        model = self.train_substitute(classifier, images[:self.known_images], max(classes, 2))
        substitute = Classifier(model, classifier.bounds, preflight=False)
        return FGSM(eps=self.eps).perturb(substitute, images, labels, on_finished)

    def train_substitute(
        self, classifier: Classifier, images: Images, classes: int
    ) -> keras.Model:
        """A network that gives logits [N,K], trained on the classifier's labels alone.

        Args:
          classifier: the classifier, which is asked for labels.
          images: f32[N,H,W,C], the attacker's own, within the bounds.
          classes: K, at least 2.
        """
        rng = np.random.default_rng(self.seed)
        model = _network(images.shape[1:], classes, classifier.bounds, self.seed)
        model.compile(
            keras.optimizers.Adam(LEARNING_RATE),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        known, labels = images, classifier.predict(images)
        for step in range(self.rounds + 1):
            if step:
                made = augment(
                    model, known, labels, self.step * classifier.bounds.range, classifier.bounds
                )
                known = np.concatenate([known, made])
                labels = np.concatenate([labels, classifier.predict(made)])
            for _ in range(self.epochs):
                order = rng.permutation(len(known))
                model.fit(
                    known[order], labels[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0
                )
        return model


def augment(
    substitute: Callable[[tf.Tensor], tf.Tensor],
    images: Images,
    labels: Labels,
    step: float,
    bounds: Bounds,
) -> Images:
    """Jacobian-based augmentation: a new image f32[N,H,W,C] from each.

    It is x + step * sign(dF_l / dx), clipped to the bounds: the direction in which the substitute's
    output for the label l changes most.

    Args:
      substitute: F, from f32[N,H,W,C] to [N,K].
      images: x, f32[N,H,W,C].
      labels: l, i64[N], the classifier's.
      step: in the units of the pixels.
      bounds: the range of the pixels.
    """
    made = np.empty_like(images)
    for start in range(0, len(images), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        batch = tf.constant(images[part])
        with tf.GradientTape() as tape:
            tape.watch(batch)
            outputs = tf.gather(substitute(batch), labels[part], batch_dims=1)
        direction = tf.sign(tape.gradient(outputs, batch))
        made[part] = tf.clip_by_value(batch + step * direction, *bounds)
    return made


def _network(
    shape: tuple[int, ...], classes: int, bounds: Bounds, seed: int
) -> keras.Model:
    """Two convolutions with pooling, and two hidden layers."""
    def initializer(place: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=seed + place)

    inputs = keras.Input(shape)
    outputs = layers.Rescaling(1 / bounds.range, -bounds.lower / bounds.range)(inputs)
    for place, channels in enumerate(CHANNELS):
        outputs = layers.Conv2D(
            channels, 3, padding="same", activation="relu", kernel_initializer=initializer(place)
        )(outputs)
        outputs = layers.MaxPooling2D(2, padding="same")(outputs)
    outputs = layers.Flatten()(outputs)
    for place in (2, 3):
        outputs = layers.Dense(
            HIDDEN_UNITS, activation="relu", kernel_initializer=initializer(place)
        )(outputs)
    logits = layers.Dense(classes, kernel_initializer=initializer(4))(outputs)
    return keras.Model(inputs, logits)
