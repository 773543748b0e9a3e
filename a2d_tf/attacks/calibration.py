"""Settings of attacks for a classifier that has no preset, chosen on benign images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tensorflow as tf

from a2d_tf import checks
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.basic_iterative_method import BIM
from a2d_tf.attacks.boundary_attack import DBA
from a2d_tf.attacks.loop import Examples, State
from a2d_tf.attacks.presets import preset
from a2d_tf.attacks.runner import AttackStream
from a2d_tf.classifiers import Classifier, as_classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images

# With the published settings, benign MNIST images take about half of the iterations in the median.
MEDIAN_COST = 250
MIN_MEDIAN_COST = 10
MAX_TO_MEDIAN_RATIO = 2
MAX_ROUNDS = 12
MEDIAN_TOLERANCE = 0.02
MAX_IMAGES = 200
MAX_DBA_IMAGES = 25  # DBA makes a thousand queries for an image
UNREACHABLE = 1e-30  # a distance that no walk along a boundary reaches


def calibrate(
    name: str,
    classifier: Classifier,
    benign: ImageSource,
    *,
    cost: int = MEDIAN_COST,
    on_finished: Callable[[int], None] | None = None,
) -> Attack:
    """Chooses the settings of an attack so that benign images have a wanted median cost.

    The higher this cost, the finer is the resolution of costs, and the longer does counting take.
    The attack may take twice as many iterations. For BIM and BIM2, the step is chosen, and the
    radius of the ball is large enough for all steps. Costs are searched meanwhile, in at most
    `MAX_ROUNDS` rounds. For DBA, the distance to reach is chosen, in one round.

    Args:
      name: "bim", "bim2", "bim-search", "bim2-search" or "dba", as for `preset`. Attacks whose
        settings suit every classifier keep the published settings.
      classifier: the classifier whose inputs will be judged.
      benign: f32[N,H,W,C] with N >= 1, or a dataset of such images; at most the first 200 are
        used, or for DBA the first 25.
      cost: the wanted median cost of benign images, at least 10.
      on_finished: called with 1 after each round.

    Returns:
      The attack. The median cost of `benign` (by search for BIM and BIM2) is within a few percent
      of `cost`, unless the classifier's outputs are too coarse for that, or the boundary is farther
      than half of the pixel range; the counted one is a little lower.

    Raises:
      InvalidInputError: no images, a cost below 10, most images keep their label at any distance,
        or for DBA, most images have the label of noise.
      UnsuitableClassifierError: the classifier fails its preflight check.
    """
    template, classifier = preset(name), as_classifier(classifier)
    if not isinstance(template, BIM | DBA):
        return template
    cost = checks.integer(cost, "a median cost", minimum=MIN_MEDIAN_COST)
    images = to_array(benign, classifier.input_spec)[:MAX_IMAGES]
    if not len(images):
        raise InvalidInputError("expected at least one benign image, got none; give some hundreds")
    classifier.preflight(
        images, logits=template.needs_logits, gradients=template.needs_gradients
    )
    finished = on_finished or (lambda rounds: None)
    if isinstance(template, DBA):
        chosen = _with_distance(template, classifier, images[:MAX_DBA_IMAGES], cost)
        finished(1)
        return chosen
    return _with_step(name, template, classifier, images, cost, finished)


def _with_distance(template: DBA, classifier: Classifier, images: Images, cost: int) -> DBA:
    """DBA with the distance that half of the images reach in `cost` iterations."""
    walk = replace(template, mse_threshold=UNREACHABLE, max_iterations=cost)
    reached = walk.run(classifier, images).adversarial
    errors = np.square((reached - images) / classifier.bounds.scale).mean(
        axis=tuple(range(1, images.ndim))
    )
    walked = errors[errors > 0]  # others never left the input, or could not be judged
    if 2 * len(walked) <= len(images):
        raise InvalidInputError(
            "expected a classifier that gives noise another label than most benign images, got "
            f"{len(images)} images of which most have the label of noise; give DBA images of "
            "several classes to start from (start_images=) and choose its mse_threshold yourself"
        )
    return replace(
        template, mse_threshold=float(np.median(walked)), max_iterations=MAX_TO_MEDIAN_RATIO * cost
    )


def _with_step(
    name: str,
    template: BIM,
    classifier: Classifier,
    images: Images,
    cost: int,
    on_finished: Callable[[int], object],
) -> BIM:
    """BIM or BIM2 with the step by which half of the images have at least a cost."""
    longest = 1 / (MAX_TO_MEDIAN_RATIO * cost)  # so many steps cross the whole pixel range
    step, trial = longest, _Trial(replace(template, search=True), cost)
    for _ in range(MAX_ROUNDS):
        median = trial.median_cost(classifier, images, step)
        on_finished(1)
        if step == longest and median == trial.max_iterations:
            raise InvalidInputError(
                f"expected benign images that {name} can push over a boundary, got a label that "
                "most keep at any distance; check the bounds and the classifier"
            )
        if abs(median / cost - 1) <= MEDIAN_TOLERANCE or (step == longest and median > cost):
            break  # the median is as wanted, or no step that is allowed lowers it
        step = min(step * (median + 0.5) / cost, longest)
    classifier.discard_graphs(trial)
    iterations = MAX_TO_MEDIAN_RATIO * cost
    return replace(template, eps=step * iterations, step=step, max_iterations=iterations)


class _Trial:
    """An attack whose step is a variable, so that one graph serves every step that is tried."""

    cost_dtype = np.int32

    def __init__(self, template: BIM, cost: int):
        self.max_iterations = MAX_TO_MEDIAN_RATIO * cost
        self._step = tf.Variable(0.0, trainable=False)
        # The ball of the whole range: so many steps never leave the ball of the final attack.
        self._attack = replace(template, eps=1.0, max_iterations=self.max_iterations)
        object.__setattr__(self._attack, "step", self._step)

    def start(self, examples: Examples) -> State:
        return self._attack.start(examples)

    def advance(self, classifier: Classifier, state: State) -> State:
        return self._attack.advance(classifier, state)

    def median_cost(self, classifier: Classifier, images: Images, step: float) -> float:
        """The median cost of checked images with a step."""
        self._step.assign(step)
        stream = AttackStream(self, classifier)
        stream.update(images, is_last=True)
        return float(np.median(stream.result().cost))
