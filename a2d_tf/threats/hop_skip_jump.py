"""HopSkipJump: the nearest adversarial image by decisions alone, a detector's among them."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.runner import MAX_SEED, OnFinished
from a2d_tf.attacks.start_images import StartImages
from a2d_tf.checks import lookup
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds, Images, Labels
from a2d_tf.threats.base import Threat
from a2d_tf.threats.decision_norms import NORMS, Floats, Norm, euclidean, rows

NOISE_IMAGES = 100  # to start from, besides those that are given
AT_ONCE = 1024  # queries of one batch
NUMBERS_AT_ONCE = 2**24  # random ones, which bounds the memory
BISECTIONS = 14
HALVINGS = 16  # of a step that leaves the adversarial region
FIRST_WIDTH = 0.1  # of the first estimate, as a fraction of the pixel range
Flags = Callable[[Images], ArrayLike]


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(Threat):
    """HopSkipJumpAttack (Chen, Jordan and Wainwright 2020, arXiv 1904.02144), untargeted.

    The attack asks for decisions alone: whether an image is misclassified and, if there is a
    detector, not flagged by it. It therefore works against any detector, also one that has no
    gradient. It starts at an image of another class that passes, and walks along the boundary of
    the images that pass, towards the original image. Each step estimates the direction in which
    images pass from `first_queries` * sqrt(step) random directions.

    An image for which no start passes stays as it is.

    Attributes:
      norm: the distance that is made small: "l2" or "linf".
      iterations: steps along the boundary.
      first_queries: random directions of the first step.
      max_queries: random directions of a step at most.
      start_images: f32[S,H,W,C] within the classifier's bounds. The attack starts at the nearest
        of them, and of 100 noise images, that passes.
      is_flagged: maps images f32[n,H,W,C] to bool[n], which of them a detector flags, such as
        `A2D.is_adversarial`; None without a detector.
      seed: seed of the random directions, which depend on the image too, but not on its place.

    Raises:
      InvalidInputError: a setting is of the wrong type or out of range.
    """

    needs_logits: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    batch_size: ClassVar[int] = 32  # progress is told after each batch
    norm: str = "l2"
    iterations: int = 20
    first_queries: int = 100
    max_queries: int = 1000
    start_images: StartImages | None = None
    is_flagged: Flags | None = None
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": MAX_SEED})

    def __post_init__(self) -> None:
        super().__post_init__()
        lookup(NORMS, self.norm, "HopSkipJump's norm")
        given = self.start_images
        if given is not None and not isinstance(given, StartImages):
            object.__setattr__(self, "start_images", StartImages(given))
        if self.is_flagged is not None and not callable(self.is_flagged):
            raise InvalidInputError(
                "expected is_flagged as a function of images, got "
                f"{type(self.is_flagged).__name__}; give the detector's is_adversarial"
            )

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        if not len(images):
            return images
        oracle = _Oracle(classifier, self.is_flagged)
        pool = self._pool(classifier, images.shape[1:])
        parts = []
        for start in range(0, len(images), self.batch_size):
            part = slice(start, start + self.batch_size)
            parts.append(self._perturb_batch(oracle, pool, images[part], labels[part]))
            on_finished(len(images[part]))
        return np.concatenate(parts)

    def _pool(self, classifier: Classifier, shape: tuple[int, ...]) -> Images:
        """The images f32[S,H,W,C] to start from, as fractions of the pixel range."""
        noise = np.random.default_rng(self.seed).random((NOISE_IMAGES, *shape), np.float32)
        if self.start_images is None:
            return noise
        given = self.start_images.array
        if given.shape[1:] != shape:
            raise InvalidInputError(
                f"expected start images of shape {list(shape)}, as the images, got "
                f"{list(given.shape[1:])}; give others"
            )
        return np.concatenate([_to_fractions(given, classifier.bounds), noise])

    def _perturb_batch(
        self, oracle: "_Oracle", pool: Images, images: Images, labels: Labels
    ) -> Images:
        norm = NORMS[self.norm]
        original = _to_fractions(images, oracle.classifier.bounds)
        numbers = [np.random.default_rng([self.seed, *_key(image)]) for image in images]
        place = _nearest_start(oracle, pool, original, labels)
        found = place >= 0
        if not found.any():
            return images
        at, truth = np.flatnonzero(found), labels[found]
        original = original[found]
        current = _to_boundary(oracle, original, pool[place[found]], truth, norm)
        best, nearest = current, norm.length(current - original)
        for step in range(1, self.iterations + 1):
            away = norm.length(current - original)
            width = FIRST_WIDTH if step == 1 else norm.width(away, original[:1].size)
            queries = min(math.ceil(self.first_queries * math.sqrt(step)), self.max_queries)
            outwards = np.stack([
                self._direction(oracle, one, label, reach, queries, numbers[row])
                for one, label, reach, row in zip(
                    current, truth, np.broadcast_to(width, away.shape), at
                )
            ])
            jumped = _jump(oracle, current, outwards, away / math.sqrt(step), truth)
            current = _to_boundary(oracle, original, jumped, truth, norm)
            away = norm.length(current - original)
            best = np.where(rows(away < nearest, best), current, best)
            nearest = np.minimum(nearest, away)
        result = images.copy()
        result[found] = oracle.to_pixels(best)
        return result

    def _direction(
        self, oracle: "_Oracle", image: Images, label: int, width: float, queries: int,
        numbers: np.random.Generator,
    ) -> Images:
        """The estimated direction f32[H,W,C] in which images pass, at an image on the boundary."""
        norm = NORMS[self.norm]
        sums = np.zeros((2, *image.shape))  # of directions with their signs, and of all
        passed = 0
        size = max(min(AT_ONCE, NUMBERS_AT_ONCE // image.size), 1)
        for start in range(0, queries, size):
            tried = norm.draw(numbers, (min(size, queries - start), *image.shape))
            tried /= rows(euclidean(tried), tried)
            moved = np.clip(image + np.float32(width) * tried, 0, 1)
            tried = (moved - image) / np.float32(width)
            passes = oracle.passes(moved, np.full(len(moved), label))
            sums += np.tensordot(np.where(passes, 1.0, -1.0), tried, 1), tried.sum(axis=0)
            passed += int(passes.sum())
        # Section 3: without the mean of the signs, the estimate varies less.
        mean = 2 * passed / queries - 1 if 0 < passed < queries else 0.0
        return norm.follow(sums[0] - mean * sums[1]).astype(np.float32)


class _Oracle:
    """Which images, as fractions of the pixel range, an attacker may hand in."""

    def __init__(self, classifier: Classifier, is_flagged: Flags | None):
        self.classifier = classifier
        self._is_flagged = is_flagged

    def to_pixels(self, fractions: Images) -> Images:
        bounds = self.classifier.bounds
        pixels = np.float32(bounds.lower) + fractions * np.float32(bounds.range)
        clipped: Images = np.clip(pixels, *bounds).astype(np.float32)
        return clipped

    def labels(self, fractions: Images) -> Labels:
        """The classifier's labels i64[n]; -1 for those that are flagged or cannot be judged."""
        found = np.full(len(fractions), -1, np.int64)
        for start in range(0, len(fractions), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            pixels = self.to_pixels(fractions[part])
            found[part] = self.classifier.predict(pixels)
            if self._is_flagged:
                found[part][np.asarray(self._is_flagged(pixels), bool)] = -1
        return found

    def passes(self, fractions: Images, labels: Labels) -> NDArray[np.bool_]:
        """Which images bool[n] are neither of the true labels i64[n] nor flagged."""
        passed = np.zeros(len(fractions), bool)
        for start in range(0, len(fractions), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            pixels = self.to_pixels(fractions[part])
            found = self.classifier.predict(pixels)
            wrong = (found != labels[part]) & (found >= 0)
            # Only the misclassified ones are shown to the detector, which may be slow.
            if self._is_flagged and wrong.any():
                wrong[wrong] = ~np.asarray(self._is_flagged(pixels[wrong]), bool)
            passed[part] = wrong
        return passed


def _nearest_start(
    oracle: _Oracle, pool: Images, original: Images, labels: Labels
) -> NDArray[np.int64]:
    """The place i64[n] in the pool of the nearest image that passes; -1 if none does."""
    known = oracle.labels(pool)
    passing = np.flatnonzero(known >= 0)
    places = np.full(len(original), -1)
    for row, (image, label) in enumerate(zip(original, labels)):
        others = passing[known[passing] != label]
        if len(others):
            places[row] = others[euclidean(pool[others] - image).argmin()]
    return places


def _to_boundary(
    oracle: _Oracle, original: Images, passing: Images, labels: Labels, norm: Norm
) -> Images:
    """Images that pass, next to the boundary, by bisection towards the original images."""
    low, high = np.zeros(len(original)), np.ones(len(original))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        passes = oracle.passes(norm.blend(original, passing, middle), labels)
        low, high = np.where(passes, low, middle), np.where(passes, middle, high)
    return norm.blend(original, passing, high)


def _jump(
    oracle: _Oracle, images: Images, outwards: Images, length: Floats, labels: Labels
) -> Images:
    """Images after a step, which is halved until they pass; where none passes, as they were."""
    found, left = images.copy(), np.arange(len(images))
    for halving in range(HALVINGS):
        if not len(left):
            break
        step = rows(length[left] / 2**halving, images).astype(np.float32)
        moved: Images = np.clip(images[left] + step * outwards[left], 0, 1)
        passes = oracle.passes(moved, labels[left])
        found[left[passes]] = moved[passes]
        left = left[~passes]
    return found


def _to_fractions(images: Images, bounds: Bounds) -> Images:
    scaled = (images - np.float32(bounds.lower)) / np.float32(bounds.range)
    fractions: Images = np.clip(scaled, 0, 1).astype(np.float32)
    return fractions


def _key(image: Images) -> list[int]:
    """Numbers that belong to an image, wherever it stands."""
    return [int(n) for n in np.frombuffer(hashlib.sha256(image.tobytes()).digest(), np.uint32)]
