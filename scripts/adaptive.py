"""How far a detector can be trusted on a model: attacks that know the detector.

  python scripts/adaptive.py --model=lenet.keras --images=benign.npz --detectors=bim,directions \\
      --kappas=0,5,10,20 --eps=0.1,0.2,0.3 --out=adaptive.json

An attack bypasses a detector with an image that is misclassified and not flagged. The share of
such images, with its 95 % interval, is printed and written to --out for every detector, attack
and strength, with a picture beside it. For each image the best of all attacks counts in the worst
case. A threshold on the margin stands beside the detectors as the simplest one.

The attacks:

  cw          Carlini and Wagner in L2, which must lead by kappa logits
  pgd         projected gradient descent on the cross-entropy
  pgd-margin  the same on the margin
  surrogate   crosses the boundary, then moves the first-order costs to those of benign images
  matching    the same, towards the costs of one benign image of another class
  selective   crosses the boundary, then lowers the detector's own score, if that has a gradient
  orthogonal  the same, but no step towards one aim undoes the other (Bryniarski 2021)

Started again with the same --workdir, it runs no finished attack again.
"""

import os
from pathlib import Path

import cli
from absl import flags

from a2d_tf.evaluation import adaptive, adaptive_report
from a2d_tf.evaluation.adaptive_attacks import KINDS, Strengths
from a2d_tf.images import load_images
from a2d_tf.images.image_files import load_labels
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance
from a2d_tf.threats.projected import NORMS

FLAGS = flags.FLAGS
cli.define_model_flags()
cli.define_path("images", "Benign images to attack: .npz or folder. With labels in the .npz, those "
                "that the model gets wrong are left out.", required=True)
cli.define_path("benign", "Benign images that the attacker has, and that set the threshold on the "
                "margin; by default those of --images.")
cli.define_names("detectors", [], "Folders that fit_detector.py wrote.")
cli.define_names("attacks", list(KINDS), f"Out of {', '.join(KINDS)}.")
flags.DEFINE_list("kappas", ["0", "5", "10", "20"], "Leads in logits for cw.")
flags.DEFINE_list("eps", ["0.1", "0.2", "0.3"], "Radii for the other attacks: in linf fractions of "
                  "the pixel range, in l2 lengths in its units.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the radii.")
flags.DEFINE_integer("steps", 100, "Steps of each attack but cw.", lower_bound=1)
flags.DEFINE_integer("restarts", 1, "Starts of each attack but cw.", lower_bound=1)
flags.DEFINE_float("fpr", 0.05, "False-positive rate of the threshold on the margin.")
flags.DEFINE_integer("limit", 200, "Images at most.", lower_bound=1)
cli.define_folder(
    "workdir", "Where finished attacks are kept.",
    default=os.path.join("runs", "adaptive"),
)
cli.define_seed("Seed of the random starts.")
cli.define_out("A .json file to write, and a .png beside it.", beside=".png")
flags.register_validator(
    "out", lambda path: not path or path.endswith(".json"), "must end in .json"
)


def main() -> None:
    strengths = Strengths(
        kappas=cli.reals("kappas"), eps=cli.reals("eps"), norm=FLAGS.norm, steps=FLAGS.steps,
        restarts=FLAGS.restarts, seed=FLAGS.seed,
    )
    adaptive.kinds(FLAGS.attacks)
    classifier = cli.load_classifier()
    spec = classifier.input_spec
    every = load_images(FLAGS.images, spec).images
    images, labels = adaptive.right_images(
        classifier, every, load_labels(FLAGS.images, len(every)), FLAGS.limit
    )
    benign = load_images(FLAGS.benign, spec).images if FLAGS.benign else images
    detectors = {
        folder: (cli.load_detector("detectors", folder), Path(folder)) for folder in FLAGS.detectors
    }
    judges = adaptive.load_judges(classifier, benign, detectors, FLAGS.fpr)
    found = adaptive.run_adaptive(
        classifier, images, labels, benign, judges, FLAGS.attacks, strengths, cli.folder("workdir"),
        progress=cli.TerminalProgress(),
    )
    rows = adaptive_report.rates(found)
    worst = adaptive_report.worst_cases(found, judges, benign)
    picture = Path(FLAGS.out).with_suffix(".png")
    adaptive_report.draw(rows, FLAGS.norm, picture)
    files.save_json(FLAGS.out, {
        "attacks": rows, "worst_case": worst,
        "provenance": provenance(
            FLAGS.model, images=FLAGS.images, benign=FLAGS.benign or FLAGS.images,
            limit=str(FLAGS.limit), strengths=repr(strengths), bounds=repr(cli.bounds()),
        ),
    })
    cli.show(adaptive_report.tables(rows, worst), f"{FLAGS.out}, {picture}")


if __name__ == "__main__":
    cli.run(main)
