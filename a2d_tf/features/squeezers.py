"""The filters of feature squeezing, and how much they change a classifier's answer.

Source: Xu et al. 2018, arXiv 1704.01155, sections 3.1, 3.2 and 5.1. The third filter there,
non-local means, is left out: it is OpenCV's, in the arithmetic of bytes, which no TensorFlow graph
has.
"""

from collections.abc import Callable

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Bounds

GREY_BITS, COLOUR_BITS = 1, 5  # published for MNIST, and for CIFAR-10 and ImageNet
WINDOW = 2  # published for all three
SIGMOID_WIDTH = 0.1  # of the pixel range; its gradient stands for that of two levels


def squeezed(
    images: tf.Tensor, bounds: Bounds, *, bits: int | None = None, window: int = WINDOW
) -> list[tf.Tensor]:
    """Images of fewer levels, and after a median filter; the latter only of images [n,H,W,C].

    Args:
      images: f32[n,...].
      bounds: of the pixels.
      bits: of the colour depth; with None, 1 for images of one channel and 5 for others.
      window: the side of the median filter's window, in pixels.
    """
    is_grey = images.shape.rank == 4 and images.shape[-1] == 1
    versions = [with_bits(images, bits or (GREY_BITS if is_grey else COLOUR_BITS), bounds)]
    return versions + ([median_filter(images, window)] if images.shape.rank == 4 else [])


def distances(classifier: Classifier, logits: tf.Tensor, versions: list[tf.Tensor]) -> tf.Tensor:
    """The L1 distances f64[n,len(versions)] of class probabilities, in [0, 2].

    Args:
      classifier: the classifier.
      logits: f32[n,K], those of the images themselves.
      versions: the squeezed images, each f32[n,...].
    """
    original = _probabilities(logits)
    return tf.stack([
        tf.reduce_sum(tf.abs(_probabilities(classifier(version)) - original), axis=1)
        for version in versions
    ], axis=1)


def with_bits(images: tf.Tensor, bits: int, bounds: Bounds) -> tf.Tensor:
    """Images [n,...] rounded to 2^bits levels, the bounds among them.

    Rounding has the gradient zero, which would hide the distance from an attack. The gradient here
    is another one (Athalye et al. 2018, arXiv 1802.00420): that of the images as they are, but for
    two levels. A small change takes a pixel to the other one of them only near the middle, so that
    the gradient is that of a steep sigmoid.
    """
    steps = 2.0**bits - 1

    def to_steps(pixels: tf.Tensor) -> tf.Tensor:
        return (pixels - bounds.lower) / bounds.range * steps

    def rounded(pixels: tf.Tensor) -> tf.Tensor:
        return bounds.lower + tf.round(to_steps(pixels)) / steps * bounds.range

    def steep(pixels: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def slope(upstream: tf.Tensor) -> tf.Tensor:
            high = tf.sigmoid((to_steps(pixels) - 0.5) / SIGMOID_WIDTH)
            return upstream * high * (1 - high) / SIGMOID_WIDTH

        return rounded(pixels), slope

    return (tf.custom_gradient(steep) if bits == 1 else tf.grad_pass_through(rounded))(images)


def median_filter(images: tf.Tensor, window: int) -> tf.Tensor:
    """The median of the window x window pixels around each, f32[n,H,W,C], a channel by itself.

    At the borders the image is mirrored. Of an even number of pixels, the upper one of the two in
    the middle is taken, and the window reaches farther to the top and left, as in SciPy's filter,
    which the authors used.
    """
    before, after = window // 2, (window - 1) // 2
    padded = tf.pad(
        images, [[0, 0], [before, after], [before, after], [0, 0]], mode="SYMMETRIC"
    )
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    rest = [
        padded[:, top:top + height, left:left + width]
        for top in range(window) for left in range(window)
    ]
    # The largest value moves to the end, then the next; far faster than tf.sort along a new axis.
    for _ in range(len(rest) - len(rest) // 2):
        largest, *others = rest
        rest = []
        for other in others:
            rest.append(tf.minimum(largest, other))
            largest = tf.maximum(largest, other)
    return tf.ensure_shape(largest, images.shape)


def _probabilities(logits: tf.Tensor) -> tf.Tensor:
    # In double precision the distances of images of which a classifier is certain differ too.
    return tf.nn.softmax(tf.cast(logits, tf.float64))
