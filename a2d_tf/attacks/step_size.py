"""Step sizes for a classifier that no preset was made for, from benign images alone."""

import dataclasses

import numpy as np

from a2d_tf.attacks.gradient import BIM, BIM2
from a2d_tf.classifier import Classifier, Images
from a2d_tf.errors import InvalidInputError, pick

STEPPED = {"bim": BIM, "bim2": BIM2}
# The published settings let benign MNIST images take about half of the iterations, and half of
# them more or fewer.
RESOLUTION = 250
ROOM = 2
ROUNDS = 12
CLOSE = 0.02  # a median that is off by so little is left as it is


def calibrate(
    name: str,
    classifier: Classifier,
    benign: Images,
    *,
    cost: int = RESOLUTION,
    search: bool = False,
) -> BIM:
    """An attack whose steps suit a classifier: half of the benign images take more of them.

    The more steps benign images take, the finer are costs told apart, and the longer they take
    to count. Twice as many are allowed, and the ball is large enough for all of them.

    Args:
      name: "bim" or "bim2"; other attacks have no step to choose.
      classifier: the classifier whose inputs are to be judged.
      benign: f32[N,H,W,C] with N >= 1; some hundred are enough.
      cost: the median cost of benign images that is wanted, at least 10.
      search: whether the attack finds its cost in long strides (`attacks.search`).

    Returns:
      The attack. The median cost of `benign` is within a few percent of the one wanted, unless
      the classifier is so coarse that none is.

    Raises:
      InvalidInputError: an attack without steps, no images, or a cost below 10; or most images
        keep their label however far they are pushed.
      UnsuitableClassifierError: the classifier fails its preflight.
    """
    kind = pick(STEPPED, name, "an attack with steps")
    if cost < 10:
        raise InvalidInputError(f"expected a median cost of at least 10, got {cost}")
    if not len(benign):
        raise InvalidInputError("expected at least one benign image, got none")
    # The longest way there is; from here on steps only become shorter.
    step = 1 / (ROOM * cost)
    attack = _attack(kind, step, cost, search=True)
    for _ in range(ROUNDS):
        median = _median(attack, classifier, benign)
        if attack.step == step and median == attack.max_iterations:
            raise InvalidInputError(
                f"expected benign images that {name} can push over a boundary, got a label that "
                "most keep at any distance; check the bounds and the classifier"
            )
        if abs(median / cost - 1) <= CLOSE:
            break
        attack = _attack(kind, attack.step * (median + 0.5) / cost, cost, search=True)
    if search:
        return attack
    # Counted step by step costs are a little lower than searched for.
    median = _median(dataclasses.replace(attack, search=False), classifier, benign)
    return _attack(kind, attack.step * (median + 0.5) / cost, cost, search=False)


def _attack(kind: type[BIM], step: float, cost: int, *, search: bool) -> BIM:
    iterations = ROOM * cost
    return kind(eps=step * iterations, step=step, max_iterations=iterations, search=search)


def _median(attack: BIM, classifier: Classifier, benign: Images) -> float:
    return float(np.median(attack.run(classifier, benign).cost))
