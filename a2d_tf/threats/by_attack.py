"""A threat that is one of the attacks."""

from dataclasses import dataclass

from a2d_tf.attacks import Attack
from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat


@dataclass(frozen=True, kw_only=True)
class AttackThreat(Threat):
    """Images at which an attack stopped, untargeted.

    BIM with large steps is BIM-A (Feinman 2017): it keeps the first misclassified image.

    Attributes:
      attack: the attack.
    """

    attack: Attack

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Attack):
            raise InvalidInputError(f"expected an attack, got {self.attack!r}; give one of them")

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        return self.attack.run(classifier, images, labels, on_finished=on_finished).adversarial
