"""Label change rate under model mutation, with a sequential test (Wang et al. 2019)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from a2d_tf.images.batching import Batch, ImageSource
from a2d_tf.images.spec import Images, Labels
from . import mutation
from .sequential_test import ADVERSARIAL, OPEN, SequentialTest

KEPT_ACCURACY = 0.9  # of the model's; a worse mutant is drawn again
ACCURACY_IMAGES = 1000  # on at most so many images
DRAWS_PER_MUTANT = 20  # fewer kept ones mean that the mutation rate is too high
BATCH_SIZE = 128
Mutant = Callable[[Images], Labels]


class SequentialVerdicts(NamedTuple):
    """What the sequential test found of N images.

    Attributes:
      score: f64[N], the share of the asked mutants that changed the label.
      is_adversarial: bool[N]; an image that no mutant decided is benign.
      asked: i64[N], the number of mutants that were asked.
    """

    score: NDArray[np.float64]
    is_adversarial: NDArray[np.bool_]
    asked: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LCR(Feature):
    """Adversarial Sample Detection through Model Mutation Testing (Wang et al. 2019, ICSE).

    The column is the label change rate: the share of mutants of the model that give the image
    another label than the model does. Mutants are made from the weights of a built Keras model,
    one after the other, and are kept as the seeds that they are drawn by. Their weights are given
    to the graph as its arguments: the model itself is never written. It cannot be exported.

    `fit` draws the mutants. A mutant whose accuracy falls below 0.9 times the model's (rounded to
    two decimals) is drawn again. The accuracies are those on at most 1,000 images of the fit's
    labelled ones, drawn at random; the paper takes held-out images.

    Attributes:
      operator: "nai" (neuron activation inverse), "gf" (Gaussian fuzzing), "ns" (neuron switch) or
        "ws" (weight shuffle); see `mutation`.
      rate: the share of the neurons, or for "gf" of the weights, that a mutant changes; published:
        0.05 for MNIST, 0.005 for CIFAR-10.
      mutants: the number of mutants.
      seed: seed of the mutants and of the images for their accuracy.
    """

    name: ClassVar[str] = "lcr"
    description: ClassVar[str] = "label change rate of mutants of the model (Wang 2019)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_fit: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    operator: str = "nai"
    rate: float = field(default=0.05, metadata={"maximum": 1})
    mutants: int = 500
    seed: int = field(default=0, metadata={"minimum": 0})

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.lookup(mutation.OPERATORS, self.operator, "LCR's operator")

    @property
    def passes(self) -> tuple[int, int]:  # type: ignore[override]
        return 1 + self.mutants, 0

    def check(self, classifier: Classifier) -> None:
        model = classifier.model
        if not isinstance(model, keras.Model) or not model.built:
            raise InvalidInputError(
                f"expected a classifier on a built Keras model, got {type(model).__name__}; LCR "
                "changes its weights, so leave it out or load the model as a .keras file"
            )
        self._draw(mutation.Mutable(model).layers(), 0)

    def fit(self, classifier: Classifier, data: FitData) -> "LCR":
        self.check(classifier)
        rng = np.random.default_rng(self.seed)
        rows = rng.permutation(len(data.labels))[:ACCURACY_IMAGES]
        images, labels = data.images[rows], data.labels[rows]
        least = round(KEPT_ACCURACY * float((classifier.predict(images) == labels).mean()), 2)
        kept: list[int] = []
        draws = range(DRAWS_PER_MUTANT * self.mutants)
        for index, mutant in zip(draws, self._mutants(classifier, images.shape[1:], draws)):
            if (mutant(images) == labels).mean() >= least:
                kept.append(index)
            if len(kept) == self.mutants:
                return replace(self, learned={"mutants": np.array(kept, np.int64)})
        raise InvalidInputError(
            f"expected {self.mutants} mutants of accuracy {least:.2f} or more, got {len(kept)} "
            f"among {len(draws)}; give LCR a lower rate than {self.rate:g}"
        )

    def measure_batch(self, classifier: Classifier, batch: Batch) -> NDArray[np.float64]:
        changed = np.zeros(len(batch.images))
        for mutant in self._fitted_mutants(classifier, batch.images.shape[1:]):
            changed += mutant(batch.images) != batch.labels
        return changed / self.mutants

    def sequential_test(
        self, rates: ArrayLike, *, extend: float = 1.0, relax: float = 0.1
    ) -> SequentialTest:
        """The test for `judge`, from label change rates of benign images.

        Args and raises are those of `SequentialTest.from_benign`.
        """
        return SequentialTest.from_benign(rates, extend=extend, relax=relax)

    def judge(
        self,
        classifier: Classifier,
        images: ImageSource,
        test: SequentialTest,
        *,
        batch_size: int = BATCH_SIZE,
        on_finished: Callable[[int], None] | None = None,
    ) -> SequentialVerdicts:
        """Asks mutants about images until the test has decided on each of them.

        A mutant is asked about all images that are still open.

        Args:
          classifier: the classifier whose inputs are judged.
          images: f32[N,H,W,C] within its bounds, or a dataset of them; N may be 0.
          test: see `SequentialTest.from_benign`.
          batch_size: images at once; bounds the memory of the network's activations.
          on_finished: called with the number of images that were decided since the last call.

        Raises:
          InvalidInputError: images of the wrong shape, not finite or out of bounds.
          NotFittedError: the feature must be fitted first.
        """
        self.require_fit()
        batches = list(classifier.batches(images, batch_size, needs_gradients=False))
        if not batches:
            return SequentialVerdicts(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))
        pixels = np.concatenate([batch.images for batch in batches])
        labels = np.concatenate([batch.labels for batch in batches])
        asked, changed = np.zeros((2, len(labels)), np.int64)
        verdicts = np.full(len(labels), OPEN)
        for mutant in self._fitted_mutants(classifier, pixels.shape[1:], batch_size):
            rows = np.flatnonzero(verdicts == OPEN)
            if not len(rows):
                break
            changed[rows] += mutant(pixels[rows]) != labels[rows]
            asked[rows] += 1
            verdicts[rows] = test.verdict(asked[rows], changed[rows])
            if on_finished and (decided := int((verdicts[rows] != OPEN).sum())):
                on_finished(decided)
        if on_finished and (left := int((verdicts == OPEN).sum())):
            on_finished(left)
        return SequentialVerdicts(changed / asked, verdicts == ADVERSARIAL, asked)

    def _draw(
        self, layers: list[mutation.Neurons], index: int
    ) -> list[mutation.Neurons]:
        """The weights of a mutant, by its place among all that can be drawn."""
        rng = np.random.default_rng([self.seed, index])
        return mutation.OPERATORS[self.operator](layers, self.rate, rng)

    def _fitted_mutants(
        self, classifier: Classifier, shape: tuple[int, ...], batch_size: int = BATCH_SIZE
    ) -> Iterator[Mutant]:
        assert self.learned is not None
        return self._mutants(classifier, shape, map(int, self.learned["mutants"]), batch_size)

    def _mutants(
        self,
        classifier: Classifier,
        shape: tuple[int, ...],
        indices: Any,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Mutant]:
        """Mutants as functions from images f32[N,H,W,C] to labels i64[N]."""
        mutable = mutation.Mutable(classifier.model)
        layers, variables = mutable.layers(), mutable.variables

        def decide(images: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
                return classifier.decide(images)

        graph = classifier.graph((self, shape), decide, lambda: [
            tf.TensorSpec((None, *shape), tf.float32),
            *(tf.TensorSpec(one.shape, tf.float32) for one in variables),
        ])
        for index in indices:
            weights = [tf.constant(one) for one in mutable.tensors(self._draw(layers, index))]
            yield lambda images: np.concatenate([np.zeros(0, np.int64), *(
                graph(images[start:start + batch_size], *weights).numpy()
                for start in range(0, len(images), batch_size)
            )])
