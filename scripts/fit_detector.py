"""Fits a detector to a model and saves both in a folder.

  python scripts/fit_detector.py --model=lenet.keras --images=benign.npz --attacks=bim,jsma \\
      --preset=mnist --detector=zscore --fpr=0.05 --out=detector

With --fpr, half of the benign images calibrate the threshold and take no part in the fit;
without, the published threshold holds. Images that craft.py saw fail are left out. A model that is
neither MNIST's nor CIFAR-10's wants --preset=own.
"""

import cli
from absl import flags

from a2d_tf import A2D, attacks, detectors, image_files, saving

FLAGS = flags.FLAGS
OWN = "own"
cli.define_model_flags()
flags.DEFINE_string("images", None, "Benign images: .npz or folder.", required=True)
flags.DEFINE_string("adversarial", None, "Adversarial images, for detectors that learn from them.")
cli.define_names("attacks", ["bim-search"],
                 f"Whose cost is counted, out of {', '.join(attacks.PRESETS['mnist'])}.")
flags.DEFINE_enum(
    "preset", "mnist", [*attacks.PRESETS, OWN],
    f"Whose published settings; {OWN} chooses steps for the model, on the benign images.",
)
flags.DEFINE_enum("detector", "zscore", list(detectors.REGISTRY), "What judges the costs.")
flags.DEFINE_bool("directions", False, "Let the detector see costs in all directions too.")
flags.DEFINE_float("fpr", None, "Wanted false-positive rate, in (0, 1).")
flags.DEFINE_string("out", None, "The folder to write.", required=True)


def main() -> None:
    saving.check_free(FLAGS.out)
    if FLAGS.preset != OWN:
        cost_attacks = {name: attacks.preset(name, FLAGS.preset) for name in FLAGS.attacks}
    classifier = cli.load_classifier()
    benign = image_files.load_images(FLAGS.images, classifier).images
    if FLAGS.preset == OWN:
        # Those that set the threshold take no part in this either.
        seen = benign if FLAGS.fpr is None else benign[::2]
        cost_attacks = {name: attacks.calibrate(name, classifier, seen) for name in FLAGS.attacks}
    detector = detectors.REGISTRY[FLAGS.detector]()
    adversarial = None
    if FLAGS.adversarial:
        adversarial = image_files.load_adversarial(FLAGS.adversarial, classifier)
    total = len(cost_attacks) * (len(benign) + (0 if adversarial is None else len(adversarial)))
    with cli.TerminalProgress().stage("attack costs", total) as advance:
        a2d = A2D(
            classifier, cost_attacks, detector,
            directions=FLAGS.directions, on_finished=advance,
        )
        a2d.fit_and_calibrate(benign, adversarial, FLAGS.fpr)
    a2d.save(FLAGS.out)
    print(f"{FLAGS.out}: flags an input whose score exceeds {detector.threshold:.4f}")


if __name__ == "__main__":
    cli.run(main)
