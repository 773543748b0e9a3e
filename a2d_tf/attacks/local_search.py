"""Greedy local search: a few pixels per round, found by asking for probabilities alone."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks import randomness
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import Examples, State, choose, per_image, without
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Bounds

CANDIDATES = 128  # pixels tried per round at most, as in Foolbox 1.8
RESOLUTION = 1e-3  # of scores; less is rounding noise, and would break ties by chance


@dataclass(frozen=True, kw_only=True)
class LocalSearch(Attack):
    """Local Search Attack (Narodytska 2017; LSA_d in the paper, section 5.1).

    A round tries pixels one by one, each at an extreme value, and keeps those that make the label
    least likely; these change for good, and the pixels around them are tried in the next round.
    Every row asks about one image per trip of the loop: the changed image of the last round, which
    is the test for success, then those that are tried. So an iteration, which is a round, takes up
    to 129 queries, and no gradient. Pixels count from the middle of the range, in ranges; all
    channels of a pixel change at once.

    Attributes:
      factor: by which a chosen pixel grows; beyond a bound it comes back in at the other (r).
      extreme: the size that a pixel is tried at, with the pixel's sign; it may leave the range (p).
      reach: of the neighbourhood, in pixels to each side (d).
      chosen: pixels changed in a round (t).
      first: the share of all pixels that is tried in the first round.
      max_iterations: rounds at most (R).
    """

    name: ClassVar[str] = "lsa"
    needs_gradients: ClassVar[bool] = False
    factor: float = 1.5
    extreme: float = 10.0
    reach: int = 5
    chosen: int = 5
    first: float = 0.1
    max_iterations: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor > 2:
            raise InvalidInputError(
                f"expected LocalSearch's factor <= 2, beyond which pixels leave the range, got "
                f"{self.factor}"
            )

    def start(self, examples: Examples) -> State:
        images, zero = examples.images, tf.zeros_like(examples.labels)
        keys = randomness.keys(images, examples.seeds)
        tried = _shuffled(keys, zero, tf.ones_like(images[..., :1], tf.bool))
        pixels = tf.cast(tf.shape(images)[1] * tf.shape(images)[2], tf.float32)
        some = tf.maximum(tf.cast(self.first * pixels, tf.int32), 1)
        return {
            "images": images,
            "label": examples.labels,
            "key": keys,
            "round": zero,
            "asking": zero,  # about the image itself, then about one place after the other
            "odds": tf.zeros_like(zero, tf.float32),
            **tried,
            "count": tf.minimum(tried["count"], some),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        tests = state["asking"] == 0
        logits = classifier(tf.where(
            per_image(tests), state["images"], self._tried(state, classifier.bounds)
        ))
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
        label = tf.where(state["label"] < 0, prediction, state["label"])
        # They rise with the label's probability, and tell apart those that round to one.
        odds = tf.gather(logits, label, batch_dims=1) - tf.reduce_logsumexp(
            without(logits, label), axis=1
        )
        tested = self._tested(state, label, prediction, odds)
        state = choose(tests, tested, _scored(state, odds))
        over = state["asking"] > state["count"]
        following: State = tf.cond(
            tf.reduce_any(over),
            lambda: choose(over, self._changed(state, classifier.bounds), state),
            lambda: dict(state),
        )
        return following

    def _tried(self, state: State, bounds: Bounds) -> tf.Tensor:
        """The image with the pixel that is asked about at an extreme."""
        images = state["images"]
        place = tf.gather(state["places"], tf.maximum(state["asking"] - 1, 0), batch_dims=1)
        extreme = self.extreme * tf.sign(_from_middle(images, bounds))
        return tf.where(_near(place[:, None], images), _to_pixels(extreme, bounds), images)

    def _tested(
        self, state: State, label: tf.Tensor, prediction: tf.Tensor, odds: tf.Tensor
    ) -> State:
        success = (prediction != label) & (state["round"] > 0)
        return state | {
            "label": label,
            "odds": odds,
            "asking": tf.ones_like(state["asking"]),
            "cost": tf.where(success, state["round"] - 1, state["max_cost"]),
            "success": success,
            "finished": success | (state["round"] >= state["max_cost"]),
        }

    def _changed(self, state: State, bounds: Bounds) -> State:
        """The image after a round, and the places to try in the next."""
        images = state["images"]
        best = tf.argsort(state["scores"], axis=1, stable=True)[:, :self.chosen]
        places = tf.gather(state["places"], best, batch_dims=1)
        tried = best < state["count"][:, None]
        places = tf.where(tried, places, places[:, :1])  # where there are not enough
        grown = self.factor * _from_middle(images, bounds)
        # One range back in: what was beyond a bound is as far beyond the other.
        grown -= tf.where(tf.abs(grown) > 1 / 2, tf.sign(grown), 0.0)
        changed = tf.where(_near(places, images), _to_pixels(grown, bounds), images)
        following = state["round"] + 1
        return state | {
            "images": tf.clip_by_value(changed, *bounds),
            "round": following,
            "asking": tf.zeros_like(following),
            **_shuffled(state["key"], following, _near(places, images, self.reach)),
        }


def _scored(state: State, odds: tf.Tensor) -> State:
    """One place more has its score: what it adds to the label's odds."""
    gain = tf.round((odds - state["odds"]) / RESOLUTION)
    now = tf.range(CANDIDATES) == state["asking"][:, None] - 1
    return state | {
        "scores": tf.where(now, gain[:, None], state["scores"]), "asking": state["asking"] + 1,
    }


def _shuffled(keys: tf.Tensor, draw: tf.Tensor, allowed: tf.Tensor) -> State:
    """The places i32[n,128] to try of those allowed bool[n,H,W,1], in random order.

    The rest is no place, and left out of their count.
    """
    shape = tf.shape(allowed)
    flat = tf.reshape(allowed, (shape[0], shape[1] * shape[2]))
    priority = tf.where(flat, randomness.uniform(keys, draw, tf.shape(flat)[1]), 2.0)
    places = tf.pad(tf.argsort(priority, axis=1, stable=True), [[0, 0], [0, CANDIDATES]])
    return {
        "places": tf.ensure_shape(places[:, :CANDIDATES], (None, CANDIDATES)),
        "count": tf.minimum(tf.reduce_sum(tf.cast(flat, tf.int32), axis=1), CANDIDATES),
        "scores": tf.fill((shape[0], CANDIDATES), np.float32(np.inf)),
    }


def _near(places: tf.Tensor, images: tf.Tensor, reach: int = 0) -> tf.Tensor:
    """Which pixels bool[n,H,W,1] are in the square around any of the places i32[n,k]."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    rows = tf.abs(tf.range(height) - (places // width)[..., None]) <= reach
    columns = tf.abs(tf.range(width) - (places % width)[..., None]) <= reach
    return tf.reduce_any(rows[..., None] & columns[..., None, :], axis=1)[..., None]


def _from_middle(images: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    return (images - (bounds.lower + bounds.upper) / 2) / bounds.range


def _to_pixels(values: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    return (bounds.lower + bounds.upper) / 2 + values * bounds.range
