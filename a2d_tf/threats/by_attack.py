"""A threat that is one of the attacks."""

from dataclasses import dataclass, field

from a2d_tf.attacks import Attack
from a2d_tf.attacks.runner import MAX_SEED, OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat
from a2d_tf.threats.targets import random_targets


@dataclass(frozen=True, kw_only=True)
class AttackThreat(Threat):
    """Images at which an attack stopped.

    BIM with large steps is BIM-A (Feinman 2017): it keeps the first misclassified image.

    Attributes:
      attack: the attack.
      targeted: whether it must reach a random class, and not any class but the true one.
      seed: seed of the target classes; equal images have equal targets.
    """

    attack: Attack
    targeted: bool = False
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": MAX_SEED})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.attack, Attack):
            raise InvalidInputError(f"expected an attack, got {self.attack!r}; give one of them")
        if self.targeted and not self.attack.takes_targets:
            raise InvalidInputError(
                f"expected an attack that takes targets, got {self.attack.name}; leave targeted out"
            )

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        targets = None
        if self.targeted and len(images):
            classes = classifier.logits(images[:1]).shape[1]
            targets = random_targets(images, labels, classes, self.seed)
        return self.attack.run(
            classifier, images, labels, targets=targets, on_finished=on_finished
        ).adversarial
