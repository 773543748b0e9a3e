"""Adversarial training with projected gradient descent (Madry 2018)."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras

from a2d_tf.checks import integer
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.threats import PGD
from a2d_tf.zoo.datasets import Dataset
from a2d_tf.zoo.training import batches, compiled, seeded, shuffled

# The radius grows over this share of the training: at once at its full length, small networks
# learn nothing but the most frequent class.
GROWTH = 0.5
ROBUST_STEPS = 40


class Accuracy(NamedTuple):
    """Shares of test images that are classified correctly.

    Attributes:
      clean: of the images themselves.
      robust: of those that PGD changed, within the radius of the training.
      images: how many images were tested.
    """

    clean: float
    robust: float
    images: int


def train_adversarially(
    name: str | None,
    dataset: Dataset,
    epochs: int,
    threat: PGD,
    *,
    seed: int = 0,
    init: keras.Model | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains a classifier on what PGD makes of every batch, with the settings of `training.train`.

    The radius grows linearly to that of the threat over the first half of the training.

    Args:
      name: the name of the model; see `MODELS`. None with `init`.
      dataset: its training images, in [0, 1], and labels are used.
      epochs: passes over them.
      threat: PGD with the radius, the norm and the steps of the training.
      seed: seed of the initial weights, the order of the images, the dropout and the starts of PGD.
      init: a trained Keras model that gives logits or probabilities of the dataset's classes. A
        copy of it is trained further; the model itself stays as it is.
      on_batch: called with 1 after each batch, of which there are `training.batches`.

    Raises:
      InvalidInputError: an unknown name, no epoch, nothing to train on, a name beside `init`, a
        model that cannot be trained further on these images, or no PGD.
    """
    if not isinstance(threat, PGD):
        raise InvalidInputError(f"expected a PGD to train against, got {threat!r}; give one")
    with seeded(seed):
        model = compiled(name, dataset, epochs, init)
        # The weights of the model change, and the classifier sees the change.
        classifier = Classifier(model, preflight=False)
        images, labels = dataset.x_train, dataset.y_train
        full_at = max(GROWTH * batches(dataset, epochs), 1.0)
        for index, rows in enumerate(shuffled(len(images), epochs, seed)):
            epoch = index // batches(dataset, 1)
            share = min((1 + index) / full_at, 1.0)
            attacked = scaled(threat, share, seed + epoch).perturb(
                classifier, images[rows], labels[rows], lambda count: None
            )
            model.train_on_batch(attacked, labels[rows])
            if on_batch:
                on_batch(1)
    return model


def scaled(threat: PGD, share: float, seed: int) -> PGD:
    """The threat with a share of its radius and of its step, and other random starts."""
    step = None if threat.step is None else share * threat.step
    return dataclasses.replace(threat, eps=share * threat.eps, step=step, seed=seed % 2**32)


def accuracy(model: keras.Model, dataset: Dataset, threat: PGD, limit: int) -> Accuracy:
    """The accuracy of a model on test images, and on what PGD makes of them in 40 steps.

    Args:
      model: the classifier.
      dataset: its first `limit` test images are used.
      threat: PGD with the radius and the norm.
      limit: the largest number of images.

    Raises:
      InvalidInputError: there are no test images.
    """
    images, labels = (some[:integer(limit, "a limit")] for some in (dataset.x_test, dataset.y_test))
    if not len(images):
        raise InvalidInputError("expected test images, got none; give a dataset with some")
    classifier = Classifier(model)
    strong = dataclasses.replace(threat, steps=ROBUST_STEPS, step=None)
    right = classifier.predict(images) == labels
    crafted = strong.craft(classifier, images, labels)
    # An image that is wrong without any change is wrong in the ball too.
    return Accuracy(
        float(right.mean()), float((right & ~crafted.success).mean()), len(images)
    )
