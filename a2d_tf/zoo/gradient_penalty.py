"""Training with a penalty on the gradient of the loss (Ross and Doshi-Velez 2018)."""

from collections.abc import Callable

import keras
import tensorflow as tf

from a2d_tf.checks import number
from a2d_tf.zoo.datasets import Dataset
from a2d_tf.zoo.training import compiled, seeded, shuffled


def train_with_penalty(
    name: str | None,
    dataset: Dataset,
    epochs: int,
    weight: float,
    *,
    seed: int = 0,
    init: keras.Model | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains a classifier whose loss changes little when the image changes a little.

    The loss of an image is its cross-entropy plus `weight` times the squared length in L2 of the
    gradient of the cross-entropy by the image. Under batch normalization, where the images of a
    batch depend on each other, it is the gradient of the sum over the batch. The other settings are
    those of `training.train`.

    Args:
      name: the name of the model; see `MODELS`. None with `init`.
      dataset: its training images, in [0, 1], and labels are used.
      epochs: passes over them.
      weight: of the penalty.
      seed: seed of the initial weights, the order of the images and the dropout.
      init: a trained Keras model that gives logits or probabilities of the dataset's classes. A
        copy of it is trained further; the model itself stays as it is.
      on_batch: called with 1 after each batch, of which there are `training.batches`.

    Raises:
      InvalidInputError: an unknown name, no epoch, nothing to train on, a name beside `init`, a
        model that cannot be trained further on these images, or a weight that is not above 0.
    """
    weight = number(weight, "a weight of the penalty")
    with seeded(seed):
        model = compiled(name, dataset, epochs, init)
        step = _step(model, weight)
        for rows in shuffled(len(dataset.x_train), epochs, seed):
            step(
                tf.constant(dataset.x_train[rows], tf.float32),
                tf.constant(dataset.y_train[rows], tf.int64),
            )
            if on_batch:
                on_batch(1)
    return model


def _step(model: keras.Model, weight: float) -> Callable[[tf.Tensor, tf.Tensor], None]:
    """A step of the training, compiled for batches of any length."""
    image, label = tf.TensorSpec([None, *model.input_shape[1:]]), tf.TensorSpec([None], tf.int64)

    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as by_weights:
            with tf.GradientTape() as by_images:
                by_images.watch(images)
                losses = keras.losses.sparse_categorical_crossentropy(
                    labels, model(images, training=True), from_logits=model.loss.from_logits
                )
            slopes = by_images.gradient(losses, images)
            lengths = tf.reduce_sum(slopes**2, axis=tuple(range(1, len(images.shape))))
            # Layers may add losses of their own, such as a penalty on their weights.
            loss = tf.reduce_mean(losses + weight * lengths) + sum(model.losses)
        gradients = by_weights.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)

    model.optimizer.build(model.trainable_variables)  # a graph must not make variables
    in_graph: Callable[[tf.Tensor, tf.Tensor], None] = tf.function(
        step, input_signature=[image, label]
    )
    return in_graph
