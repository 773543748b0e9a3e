"""Local search's update rule: a few pixels per round, found by logits without gradients."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks import stateless_random
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import Examples, State, are_finite, choose, per_image
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import without
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds

CANDIDATES = 128  # the largest number of pixels tried in a round, as in Foolbox 1.8
RESOLUTION = 1e-3  # of scores; smaller differences are rounding noise, and would break ties


@dataclass(frozen=True, kw_only=True)
class LocalSearch(Attack):
    """Local Search Attack (Narodytska 2017; LSA_d in the paper, section 5.1).

    A round tries pixels one by one, each at an extreme value. It changes those that make the label
    least likely, and the next round tries the pixels around them. Every row makes one query per
    iteration of the loop: the changed image of the last round, which is the test for success, and
    then each image that is tried. A round, which is an iteration of the attack, therefore takes up
    to 129 queries and no gradient. Pixel values are measured from the middle of the range, in
    units of the range; all channels of a pixel change at once. The defaults are those of Foolbox
    1.8.

    Attributes:
      factor: by how much a chosen pixel grows; beyond one bound it comes back in at the other (r).
      extreme: the size at which a pixel is tried, with the pixel's sign; it may be out of range
        (p).
      reach: size of the neighbourhood, in pixels to each side (d).
      chosen: pixels changed in a round (t).
      first: the share of all pixels that is tried in the first round.
      max_iterations: the largest number of rounds (R).
    """

    name: ClassVar[str] = "lsa"
    needs_gradients: ClassVar[bool] = False
    # Beyond a factor of 2, pixels would leave the range.
    factor: float = field(default=1.5, metadata={"maximum": 2})
    extreme: float = 10.0
    reach: int = 5
    chosen: int = 5
    first: float = field(default=0.1, metadata={"maximum": 1})
    max_iterations: int = 150

    def start(self, examples: Examples) -> State:
        images, zero = examples.images, tf.zeros_like(examples.labels)
        if images.shape.rank != 4:
            raise InvalidInputError(
                "expected images [N, H, W, C] for LocalSearch, which changes the neighbours of a "
                f"pixel, got {list(images.shape)}; choose another attack"
            )
        keys = stateless_random.keys(images, examples.seeds)
        tried = _shuffled(keys, zero, tf.ones_like(images[..., :1], tf.bool))
        pixels = tf.cast(tf.shape(images)[1] * tf.shape(images)[2], tf.float32)
        some = tf.maximum(tf.cast(self.first * pixels, tf.int32), 1)
        return {
            "images": images,
            "label": examples.labels,
            "key": keys,
            "round": zero,
            "query": zero,  # 0 queries the image itself, 1 and more the pixels that are tried
            "odds": tf.zeros_like(zero, tf.float32),
            **tried,
            "count": tf.minimum(tried["count"], some),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        tests = state["query"] == 0
        images = state["images"]
        logits = classifier(tf.where(
            per_image(tests, images), images, self._tried(state, classifier.bounds)
        ))
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
        label = tf.where(state["label"] < 0, prediction, state["label"])
        # They rise with the label's probability, and differ where probabilities round to one.
        odds = tf.gather(logits, label, batch_dims=1) - tf.reduce_logsumexp(
            without(logits, label), axis=1
        )
        state = state | {"valid": state["valid"] & are_finite(logits)}
        tested = self._tested(state, label, prediction, odds)
        state = choose(tests, tested, _with_score(state, odds))
        over = state["query"] > state["count"]
        following: State = tf.cond(
            tf.reduce_any(over),
            lambda: choose(over, self._next_round(state, classifier.bounds), state),
            lambda: dict(state),
        )
        return following

    def _tried(self, state: State, bounds: Bounds) -> tf.Tensor:
        """The image, with the pixel that is tried at an extreme value."""
        images = state["images"]
        place = tf.gather(state["places"], tf.maximum(state["query"] - 1, 0), batch_dims=1)
        extreme = self.extreme * tf.sign(_from_middle(images, bounds))
        return tf.where(_near(place[:, None], images), _to_pixels(extreme, bounds), images)

    def _tested(
        self, state: State, label: tf.Tensor, prediction: tf.Tensor, odds: tf.Tensor
    ) -> State:
        success = (prediction != label) & (state["round"] > 0)
        return state | {
            "label": label,
            "odds": odds,
            "query": tf.ones_like(state["query"]),
            "cost": tf.where(success, state["round"] - 1, state["max_cost"]),
            "success": success,
            "finished": success | (state["round"] >= state["max_cost"]),
        }

    def _next_round(self, state: State, bounds: Bounds) -> State:
        """The image after a round, and the pixels to try in the next."""
        images = state["images"]
        best = tf.argsort(state["scores"], axis=1, stable=True)[:, :self.chosen]
        places = tf.gather(state["places"], best, batch_dims=1)
        tried = best < state["count"][:, None]
        places = tf.where(tried, places, places[:, :1])  # if there are not enough
        grown = self.factor * _from_middle(images, bounds)
        # What was beyond one bound moves by a whole range, and so comes in at the other.
        grown -= tf.where(tf.abs(grown) > 1 / 2, tf.sign(grown), 0.0)
        changed = tf.where(_near(places, images), _to_pixels(grown, bounds), images)
        following = state["round"] + 1
        return state | {
            "images": tf.clip_by_value(changed, *bounds),
            "round": following,
            "query": tf.zeros_like(following),
            **_shuffled(state["key"], following, _near(places, images, self.reach)),
        }


def _with_score(state: State, odds: tf.Tensor) -> State:
    """The state with the score of one more pixel: what it adds to the label's odds."""
    gain = tf.round((odds - state["odds"]) / RESOLUTION)
    now = tf.range(CANDIDATES) == state["query"][:, None] - 1
    return state | {
        "scores": tf.where(now, gain[:, None], state["scores"]), "query": state["query"] + 1,
    }


def _shuffled(keys: tf.Tensor, draw: tf.Tensor, allowed: tf.Tensor) -> State:
    """The pixels i32[n,128] to try, out of those allowed bool[n,H,W,1], in random order.

    Entries beyond their count stand for no pixel.
    """
    shape = tf.shape(allowed)
    flat = tf.reshape(allowed, (shape[0], shape[1] * shape[2]))
    priority = tf.where(flat, stateless_random.uniform(keys, draw, tf.shape(flat)[1]), 2.0)
    places = tf.pad(tf.argsort(priority, axis=1, stable=True), [[0, 0], [0, CANDIDATES]])
    return {
        "places": tf.ensure_shape(places[:, :CANDIDATES], (None, CANDIDATES)),
        "count": tf.minimum(tf.reduce_sum(tf.cast(flat, tf.int32), axis=1), CANDIDATES),
        "scores": tf.fill((shape[0], CANDIDATES), np.float32(np.inf)),
    }


def _near(places: tf.Tensor, images: tf.Tensor, reach: int = 0) -> tf.Tensor:
    """Which pixels bool[n,H,W,1] are in a square around any of the pixels i32[n,k]."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    rows = tf.abs(tf.range(height) - (places // width)[..., None]) <= reach
    columns = tf.abs(tf.range(width) - (places % width)[..., None]) <= reach
    return tf.reduce_any(rows[..., None] & columns[..., None, :], axis=1)[..., None]


def _from_middle(images: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    return (images - (bounds.lower + bounds.upper) / 2) / bounds.range


def _to_pixels(values: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    return (bounds.lower + bounds.upper) / 2 + values * bounds.range
