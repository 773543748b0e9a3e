"""Step sizes for a classifier that no preset was made for, from benign images alone."""

from dataclasses import replace

import numpy as np

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.boundary import DBA
from a2d_tf.attacks.gradient import BIM
from a2d_tf.attacks.presets import preset
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images

# The published settings let benign MNIST images take about half of the iterations, and half of
# them more or fewer.
RESOLUTION = 250
ROOM = 2
ROUNDS = 12
CLOSE = 0.02  # a median that is off by so little is left as it is
ENOUGH = 200  # images


def calibrate(
    name: str,
    classifier: Classifier,
    benign: Images,
    *,
    cost: int = RESOLUTION,
) -> Attack:
    """An attack whose steps suit a classifier: half of the benign images take more of them.

    The more steps benign images take, the finer are costs told apart, and the longer they take
    to count. Twice as many are allowed, and the ball is large enough for all of them.

    Args:
      name: "bim", "bim2", "bim-search" or "bim2-search", as in `preset`; others, whose settings
        suit every classifier, are left as published.
      classifier: the classifier whose inputs are to be judged.
      benign: f32[N,H,W,C] with N >= 1; of more than 200 the first are taken.
      cost: the median cost of benign images that is wanted, at least 10.

    Returns:
      The attack. The median cost of `benign` is within a few percent of the one wanted, unless
      the classifier is so coarse that none is.

    Raises:
      InvalidInputError: "dba", no images, or a cost below 10; or most images keep
        their label however far they are pushed.
      UnsuitableClassifierError: the classifier fails its preflight.
    """
    template = preset(name, "mnist")
    if isinstance(template, DBA):
        raise InvalidInputError(
            f"expected bim, bim2, a search of theirs or an attack that suits every classifier, got "
            f"{name}, which has no such step but a distance to reach; choose it yourself"
        )
    if not isinstance(template, BIM):
        return template
    if not (isinstance(cost, int) and cost >= 10):
        raise InvalidInputError(f"expected a whole median cost of at least 10, got {cost}")
    if not len(benign):
        raise InvalidInputError("expected at least one benign image, got none")
    benign = classifier.check(benign)[:ENOUGH]
    longest = 1 / (ROOM * cost)  # steps that lead from one end of the range to the other
    attack = _with_step(replace(template, search=True), longest, cost)
    for _ in range(ROUNDS):
        median = _median_cost(attack, classifier, benign)
        if attack.step == longest and median == attack.max_iterations:
            raise InvalidInputError(
                f"expected benign images that {name} can push over a boundary, got a label that "
                "most keep at any distance; check the bounds and the classifier"
            )
        if abs(median / cost - 1) <= CLOSE:
            break
        attack = _with_step(attack, attack.step * (median + 0.5) / cost, cost)
    if template.search:
        return attack
    # Counted step by step costs are a little lower than searched for.
    counted = replace(attack, search=False)
    median = _median_cost(counted, classifier, benign)
    return _with_step(counted, counted.step * (median + 0.5) / cost, cost)


def _with_step(attack: BIM, step: float, cost: int) -> BIM:
    iterations = ROOM * cost
    return replace(attack, eps=step * iterations, step=step, max_iterations=iterations)


def _median_cost(attack: BIM, classifier: Classifier, benign: Images) -> float:
    graphs = dict(classifier.graphs)
    median = float(np.median(attack.run(classifier, benign).cost))
    classifier.graphs = graphs  # this step will not be asked about again
    return median
