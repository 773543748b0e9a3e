"""DBA's update rule: a walk along the decision boundary that needs labels alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks import stateless_random
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import Examples, State, choose, per_image, pixel_axes
from a2d_tf.attacks.start_images import StartImages
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds

# Brendel 2018, and the settings of its published code.
NOISE_IMAGES = 1000
BLENDS = 1000
CANDIDATES = 25
SPHERICAL_EVERY = 10
FIRST_STEP = 0.01
ADAPTATION = 1.5
TOO_EASY, TOO_HARD = 0.5, 0.2
SPHERICAL_WINDOW, SOURCE_WINDOW = 100, 30

# What the next query of a row is for.
LABEL, NOISE, BLEND, WALK = range(4)


@dataclass(frozen=True, kw_only=True)
class DBA(Attack):
    """Decision-based Boundary Attack (Brendel 2018; DBA_d in the paper, section 5.1).

    The attack starts at a noise image of another class, blends it back towards the input, and
    walks along the boundary until it is near the input. Every row makes one query per iteration of
    the loop, whatever its stage, so that no query is made in vain. The cost is one-based, as
    published. The defaults are the settings of the authors for MNIST.

    Attributes:
      mse_threshold: the mean squared error to the input below which the attack succeeds, as a
        fraction of the squared pixel range.
      max_iterations: the largest number of iterations of the walk.
      start_images: f32[S,H,W,C] within the classifier's bounds, S <= 1,000, from which the attack
        starts where their class is another; it tries them in turn, and noise after them. A
        classifier that gives every noise image the same class needs them.
    """

    name: ClassVar[str] = "dba"
    needs_logits: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    mse_threshold: float = field(default=0.02, metadata={"maximum": 1})
    max_iterations: int = 5000
    start_images: StartImages | None = None
    failure_advice: ClassVar[str] = (
        "give it images of several classes to start from (start_images=), a larger mse_threshold "
        "or more iterations"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.start_images
        if given is not None and not isinstance(given, StartImages):
            given = StartImages(given)
            object.__setattr__(self, "start_images", given)
        if given is not None and len(given.array) > NOISE_IMAGES:
            raise InvalidInputError(
                f"expected at most {NOISE_IMAGES} start images, got {len(given.array)}; leave some "
                "out"
            )

    def start(self, examples: Examples) -> State:
        zero = tf.zeros_like(examples.labels)
        number = tf.zeros_like(zero, tf.float32)
        return {
            "images": examples.images,
            "original": examples.images,
            "label": examples.labels,
            "key": stateless_random.keys(examples.images, examples.seeds),
            "stage": tf.where(examples.labels < 0, LABEL, NOISE),
            "tries": zero,
            "iteration": zero,
            "on_sphere": tf.zeros_like(zero, tf.bool),
            "spherical_step": number + FIRST_STEP,
            "source_step": number + FIRST_STEP,
            "spherical_window": _empty_window(zero, SPHERICAL_WINDOW),
            "source_window": _empty_window(zero, SOURCE_WINDOW),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        queried = self._next_query(state, classifier.bounds)
        prediction = classifier.decide(queried)
        now = state | {"valid": state["valid"] & (prediction >= 0)}
        crossed = prediction != now["label"]
        return _by_stage(now["stage"], {
            LABEL: lambda: self._after_label(now, prediction),
            NOISE: lambda: self._after_noise(now, queried, crossed),
            BLEND: lambda: self._after_blend(now, queried, crossed),
            WALK: lambda: self._after_walk(now, queried, crossed, classifier.bounds),
        }, now)

    def _next_query(self, state: State, bounds: Bounds) -> tf.Tensor:
        """The image f32[n,H,W,C] that each row queries."""
        original, images, tries = state["original"], state["images"], state["tries"]
        stage = state["stage"]
        # No two queries of a row draw the same numbers.
        draw = tries + tf.where(stage == WALK, NOISE_IMAGES + CANDIDATES * state["iteration"], 0)

        def drawn() -> tf.Tensor:
            size = tf.reduce_prod(tf.shape(original)[1:])
            numbers = stateless_random.uniform(state["key"], draw, size)
            return tf.reshape(numbers, tf.shape(original))

        def noise() -> State:
            found = bounds.lower + bounds.range * drawn()
            if self.start_images is not None:
                found = self._start(found, tries, bounds)
            return {"images": found}

        def blend() -> State:
            share = per_image(tf.cast(tries + 1, tf.float32) / BLENDS, original)
            return {"images": (1 - share) * original + share * images}

        def candidate() -> State:
            directions = stateless_random.to_normal(drawn())
            return {"images": _candidate(state, directions, bounds)}

        every = {NOISE: noise, BLEND: blend, WALK: candidate}
        return _by_stage(stage, every, {"images": original})["images"]

    def _start(self, noise: tf.Tensor, tries: tf.Tensor, bounds: Bounds) -> tf.Tensor:
        """The start image f32[n,H,W,C] of each row's try, and noise after the last of them."""
        assert self.start_images is not None
        images = self.start_images.array
        if not noise.shape[1:].is_compatible_with(images.shape[1:]):
            raise InvalidInputError(
                f"expected start images of shape {noise.shape[1:].as_list()}, as the classifier "
                f"takes, got {list(images.shape[1:])}; resize them"
            )
        with tf.init_scope():
            known = tf.constant(images)
        at_hand = tf.gather(known, tf.minimum(tries, len(images) - 1))
        return tf.where(
            per_image(tries < len(images), noise), tf.clip_by_value(at_hand, *bounds), noise
        )

    def _after_label(self, state: State, prediction: tf.Tensor) -> State:
        return state | {"label": prediction, "stage": tf.fill(tf.shape(prediction), NOISE)}

    def _after_noise(self, state: State, queried: tf.Tensor, crossed: tf.Tensor) -> State:
        return _after_try(state, queried, crossed, (NOISE, BLEND), NOISE_IMAGES) | {
            "cost": state["max_cost"],
        }

    def _after_blend(self, state: State, queried: tf.Tensor, crossed: tf.Tensor) -> State:
        # The last blend is the noise itself. It has another label, unless the classifier is random.
        return _after_try(state, queried, crossed, (BLEND, WALK), BLENDS) | {
            "iteration": tf.ones_like(state["iteration"]),
        }

    def _after_walk(
        self, state: State, queried: tf.Tensor, crossed: tf.Tensor, bounds: Bounds
    ) -> State:
        """A crossed candidate on the sphere is followed by the candidate nearer to the source."""
        iteration, on_sphere = state["iteration"], state["on_sphere"]
        counts = iteration % SPHERICAL_EVERY == 0
        state = state | {
            "spherical_window": _record(state["spherical_window"], crossed, on_sphere),
            "source_window": _record(state["source_window"], crossed, counts & ~on_sphere),
        }
        arrived = crossed & ~on_sphere
        reached, before = (
            _squared_distance(images, state) for images in (queried, state["images"])
        )
        moves = arrived & (reached < before)
        images = tf.where(per_image(moves, queried), queried, state["images"])
        tries = tf.where(crossed, state["tries"], state["tries"] + 1)
        ended = arrived | (tries == CANDIDATES)

        error = tf.where(moves, reached, before) / bounds.scale**2
        success = ended & (error < self.mse_threshold)
        following = iteration + tf.cast(ended, tf.int32)
        same = state | {"images": images, "tries": tries, "on_sphere": counts & ~crossed}
        fresh = _adapted(state) | {
            "images": images,
            "tries": tf.zeros_like(tries),
            "iteration": following,
            "on_sphere": following % SPHERICAL_EVERY == 0,
            "cost": tf.where(success, iteration, state["max_cost"]),
            "success": success,
            "finished": success | (following > state["max_cost"]),
        }
        return choose(ended, fresh, same)


def _by_stage(
    stage: tf.Tensor, following: Mapping[int, Callable[[], State]], state: State
) -> State:
    """What follows for each row, by its stage i32[n]; the state for the rows of other stages.

    Most often, all rows are in one stage. What follows in the others is not computed then.
    """
    for one, make in following.items():
        state = tf.cond(
            tf.reduce_any(stage == one),
            lambda: choose(stage == one, make(), state),
            lambda: dict(state),
        )
    return state


def _candidate(state: State, directions: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """The next candidate: a step along the sphere around the input, then one towards it."""
    original = state["original"]
    away = state["images"] - original
    radius = _norm(away)
    along = tf.reduce_sum(directions * away, axis=pixel_axes(away), keepdims=True)
    tangent = directions - away * tf.math.divide_no_nan(along, radius**2)
    spherical_step = per_image(state["spherical_step"], original)
    tangent *= tf.math.divide_no_nan(spherical_step * radius, _norm(tangent))
    on_sphere = original + (away + tangent) / tf.sqrt(1 + spherical_step**2)
    on_sphere = tf.clip_by_value(on_sphere, *bounds)
    distance = _norm(original - on_sphere)
    # Clipping has left the sphere; the step towards the source makes up for the difference.
    length = per_image(state["source_step"], original) * radius + distance - radius
    share = tf.math.divide_no_nan(tf.maximum(length, 0.0), distance)
    towards = tf.clip_by_value(on_sphere + share * (original - on_sphere), *bounds)
    return tf.where(per_image(state["on_sphere"], original), on_sphere, towards)


def _adapted(state: State) -> State:
    """Longer steps where most candidates cross the boundary, shorter steps where few do."""
    spherical, spherical_window = _step_factor(state["spherical_window"])
    source, source_window = _step_factor(state["source_window"])
    return state | {
        "spherical_step": state["spherical_step"] * spherical,
        "source_step": state["source_step"] * spherical * source,
        "spherical_window": spherical_window,
        "source_window": source_window,
    }


def _step_factor(window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """By how much f32[n] the steps change after a full window, and the window that follows."""
    full = tf.reduce_all(window >= 0, axis=1)
    rate = tf.reduce_mean(window, axis=1)
    factor = tf.where(full & (rate > TOO_EASY), ADAPTATION, 1.0)
    factor = tf.where(full & (rate < TOO_HARD), 1 / ADAPTATION, factor)
    return factor, tf.where((factor != 1)[:, None], -tf.ones_like(window), window)


def _empty_window(rows: tf.Tensor, size: int) -> tf.Tensor:
    """The last candidates, latest first: 1 crossed, 0 did not cross, -1 was not queried yet."""
    return tf.fill((tf.shape(rows)[0], size), -1.0)


def _record(window: tf.Tensor, crossed: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    newest = tf.cast(crossed, tf.float32)[:, None]
    return tf.where(counts[:, None], tf.concat([newest, window[:, :-1]], axis=1), window)


def _squared_distance(images: tf.Tensor, state: State) -> tf.Tensor:
    return tf.reduce_mean(tf.square(images - state["original"]), axis=pixel_axes(images))


def _norm(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=pixel_axes(values), keepdims=True))


def _after_try(
    state: State, queried: tf.Tensor, crossed: tf.Tensor, stages: tuple[int, int], most: int
) -> State:
    """Keeps an image that crossed the boundary and enters the next stage; gives up after `most`."""
    tries = state["tries"] + 1
    return state | {
        "images": tf.where(per_image(crossed, queried), queried, state["images"]),
        "stage": tf.where(crossed, stages[1], stages[0]),
        "tries": tf.where(crossed, 0, tries),
        "finished": ~crossed & (tries == most),
    }
