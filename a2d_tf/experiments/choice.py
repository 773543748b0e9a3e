"""Which attack to defend with, each measured once (section 5.1)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from a2d_tf import selection
from a2d_tf.attacks import Attack
from a2d_tf.classifier import Classifier
from a2d_tf.experiments.store import Arrays, Store, digest, identity, machine
from a2d_tf.pixels import Images
from a2d_tf.progress import Progress
from a2d_tf.selection import Candidate, Measured
from a2d_tf.threats import Threat


def run(
    classifier: Classifier,
    benign: Images,
    adversarial: Images | None,
    recipes: Sequence[Threat],
    attacks: Mapping[str, Attack],
    workdir: str | Path,
    *,
    progress: Progress,
) -> list[Candidate]:
    """`selection.select_attacks`; an attack that is in the folder already is not run again.

    Args:
      classifier: one that was loaded from a file, whose hash names it in the folder.
      benign: f32[N,H,W,C], N >= 1.
      adversarial: f32[M,H,W,C], M >= 1; None crafts them from the benign ones.
      recipes: how to craft them.
      attacks: the cost attacks, by name.
      workdir: where finished attacks are kept.
      progress: follows the images.

    Raises:
      InvalidInputError: as `selection.select_attacks`, or a classifier from no file.
    """
    selection.check_choice(attacks)
    store = Store(Path(workdir))
    made_from = identity(classifier) | {"benign": digest(benign)}

    def craft() -> Arrays:
        with progress.stage("craft", len(benign) * len(recipes)) as advance:
            return {"images": selection.adversarial_versions(
                classifier, benign, recipes, on_finished=advance
            )}

    def measured(name: str, attack: Attack, adversarial: Images) -> Measured:
        def make() -> Arrays:
            with progress.stage(f"{name} costs", len(benign) + len(adversarial)) as advance:
                found = selection.measure(
                    classifier, benign, adversarial, attack, on_finished=advance
                )
            return found._asdict()

        origin = made_from | {
            "adversarial": digest(adversarial), "attack": repr(attack), "machine": machine(),
        }
        return Measured(**store.arrays(f"choice/{name}", origin, make))

    if adversarial is None:
        origin = made_from | {"recipes": [repr(recipe) for recipe in recipes]}
        adversarial = store.arrays("choice/craft", origin, craft)["images"]
    return selection.ranked(
        attacks, {name: measured(name, attack, adversarial) for name, attack in attacks.items()}
    )
