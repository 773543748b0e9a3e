"""FGSM as a cost: how far an image must move along the sign of its own gradient."""

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks import boundary_search
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.gradient_attack import finish_step
from a2d_tf.attacks.loop import Examples, State, per_image
from a2d_tf.classifiers import Classifier


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """Fast Gradient Sign Method (Goodfellow 2015; FGSM_d in the paper, section 5.1).

    All steps follow the sign of the gradient at the original image, so that one backward pass is
    enough. The cost is the number of lengths that did not succeed. The defaults are those of
    Foolbox 1.8.

    Attributes:
      step: by how much the perturbation grows from one test to the next, as a fraction of the
        pixel range.
      max_iterations: the largest number of lengths.
    """

    name: ClassVar[str] = "fgsm"
    step: float = field(default=0.001, metadata={"maximum": 1})
    max_iterations: int = 1000

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images,
            "original": examples.images,
            "label": examples.labels,
            "direction": tf.zeros_like(examples.images),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        is_first = state["queries"] == 1
        outputs = boundary_search.query(classifier, state["images"], state["label"], is_first)
        direction = tf.where(
            per_image(is_first, state["original"]), tf.sign(outputs.gradient), state["direction"]
        )
        bounds = classifier.bounds
        length = self.step * bounds.scale * tf.cast(state["queries"], tf.float32)
        along = direction * bounds.relative_range
        longer = state["original"] + per_image(length, state["original"]) * along
        state = state | {
            "label": outputs.label,
            "direction": direction,
            "gradients": tf.ones_like(state["gradients"]),
            "valid": state["valid"] & boundary_search.is_sound(outputs, is_first),
        }
        moved = {"images": tf.clip_by_value(longer, *bounds)}
        is_success = outputs.prediction != outputs.label
        return finish_step(state, moved, state["queries"] - 2, is_success)
