"""How far a detector can be trusted on a model: attacks that know the detector.

  python scripts/adaptive.py --model=lenet.keras --images=benign.npz \\
      --detectors=detector_a,detector_b,detector_a+detector_b --kappas=0,5,10,20 \\
      --eps=0.1,0.2,0.3 --l2=1,2,4 --out=adaptive.json

The model is any file that fit_detector.py takes, and the images are an .npz or a folder. Detectors
are folders that fit_detector.py wrote for this model; one+other judges by both at once, and flags
what any of them flags. Folders of a second model are named in --others too. A threshold on the
margin, the simplest detector, and no defence at all stand beside them.

An attack bypasses a defence with an image that is misclassified and not flagged. The share of such
images, with its 95 % interval, is printed and written to --out for every defence, attack and
strength, with a page, NAME.html, and two pictures beside it: NAME.png with the curves, and
NAME_gallery.png with the nearest bypassing images of each defence below their originals. For each
image the best of all attacks counts in the worst case. The attacker's price of a defence is the
distance at which half of the images bypass it, interpolated between the radii, or a bound where it
lies outside of them. A distance is the least that these attacks needed: a better attack may need
less.

The attacks, of which surrogate to orthogonal begin at the images of filters:

  cw           Carlini and Wagner in L2: a wrong class must exceed the true one by kappa logits
  pgd          projected gradient descent on the cross-entropy
  pgd-margin   the same on the margin
  filters      PGD on the mean margin of the image and of its filtered versions
  surrogate    crosses the boundary, then moves the first-order costs to those of benign images
  matching     the same, towards the costs of one benign image of another class
  selective    crosses the boundary, then lowers the detector's own score, if that has a gradient;
               against costs of BIM alone, it keeps the label for as many iterations as needed,
               and beside other features it lowers the score of an estimated cost
  orthogonal   the same, but no step towards one aim undoes the other (Bryniarski 2021)
  hopskipjump  asks for many verdicts on each image and nothing else, and so works against
               detectors without a gradient; a detector that counts iterations takes long

Started again with the same --workdir, it runs no finished attack again. --limit=20 --steps=20
--iterations=5 gives a first impression.
"""

import os
from pathlib import Path

import cli
from absl import flags

from a2d_tf.evaluation import adaptive, adaptive_judges, adaptive_price, adaptive_report
from a2d_tf.evaluation.adaptive_attacks import KINDS, Strengths
from a2d_tf.images import load_images
from a2d_tf.images.image_files import load_labels
from a2d_tf.reports import adaptive_page, page
from a2d_tf.reports.gallery import pairs as draw_pairs
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance
from a2d_tf.storage.stages import Stages

FLAGS = flags.FLAGS
RADII = ("kappas", "eps", "l2")
cli.define_model_flags()
cli.define_path("images", "Benign images to attack: a folder, or an .npz file with `images` and, "
                "if those that the model gets wrong are to be left out, `labels`.", required=True)
cli.define_path("benign", "Benign images that the attacker has, and that set the threshold on the "
                "margin; by default all of --images.")
cli.define_names("detectors", [], "Folders that fit_detector.py wrote, or several joined by +; "
                 "without any, the margin alone is attacked.")
cli.define_names("attacks", list(KINDS), f"Out of {', '.join(KINDS)}.")
flags.DEFINE_list("kappas", ["0", "5", "10", "20"], "For cw: by how many logits a wrong class must "
                  "exceed the true one.")
flags.DEFINE_list("eps", ["0.1", "0.2", "0.3"], "Radii for the other attacks in L-infinity, as "
                  "fractions of the pixel range.")
flags.DEFINE_list("l2", [], "Radii for the other attacks in L2, in units of the pixel range.")
flags.DEFINE_integer("steps", 100, "Steps of each attack but cw and hopskipjump.", lower_bound=1)
flags.DEFINE_integer("restarts", 1, "How often each of these attacks begins anew.", lower_bound=1)
flags.DEFINE_integer("iterations", 20, "Steps of hopskipjump.", lower_bound=1)
flags.DEFINE_integer("queries", 100, "Queries of its first step; later ones make more.",
                     lower_bound=1)
cli.define_names("others", [], "Those of the folders in --detectors that are for a second model, "
                 "which must agree on the label.", may_be_empty=True)
flags.DEFINE_float("noise", 0.0, "If above 0, each single detector also measures noisy copies of "
                   "the images, with this standard deviation as a fraction of the pixel range, and "
                   "with a threshold for --fpr.",
                   lower_bound=0, upper_bound=1)
flags.DEFINE_float("fpr", 0.05, "False-positive rate of the threshold on the margin, and with "
                   "--noise.")
flags.DEFINE_integer("limit", 200, "Images at most.", lower_bound=1)
cli.define_folder(
    "workdir", "Where finished attacks are kept.",
    default=os.path.join("runs", "adaptive"),
)
cli.define_seed("Seed of the random starts.")
cli.define_out("A .json file to write, and an .html and two .png beside it.",
               beside=(".png", ".html"))
cli.define_json()
flags.register_validator(
    "out", lambda path: not path or path.endswith(".json"), "must end in .json"
)


def main() -> None:
    with cli.about("kappas", "eps", "l2"):
        strengths = Strengths(
            **{name: cli.reals(name) if FLAGS[name].value else () for name in RADII},
            steps=FLAGS.steps, restarts=FLAGS.restarts, seed=FLAGS.seed,
            iterations=FLAGS.iterations, queries=FLAGS.queries,
        )
    with cli.about("attacks"):
        adaptive.kinds(FLAGS.attacks, strengths)
    classifier = cli.load_classifier()
    spec = classifier.input_spec
    with cli.about("images"):
        every = load_images(FLAGS.images, spec).images
        images, labels = adaptive.right_images(
            classifier, every, load_labels(FLAGS.images, len(every)), FLAGS.limit
        )
    with cli.about("benign"):
        benign = load_images(FLAGS.benign, spec).images if FLAGS.benign else every
    with cli.about("detectors"):
        folders = {name: adaptive_judges.folders_of(name) for name in FLAGS.detectors}
    detectors = {
        name: [(cli.load_detector("detectors", folder), Path(folder)) for folder in parts]
        for name, parts in folders.items()
    }
    with cli.about("detectors", "others", "noise", "fpr"):
        judges = adaptive_judges.load_judges(
            classifier, benign, detectors, FLAGS.fpr, others=FLAGS.others, noise=FLAGS.noise
        )
    found = adaptive.run_adaptive(
        classifier, images, labels, benign, judges, FLAGS.attacks, strengths,
        Stages(Path(cli.folder("workdir"))), progress=cli.TerminalProgress(),
    )
    rows = adaptive_report.rates(found)
    worst = adaptive_report.worst_cases(found, judges, benign)
    prices = adaptive_price.prices(found)
    picture = Path(FLAGS.out).with_suffix(".png")
    gallery = picture.with_name(f"{picture.stem}_gallery.png")
    adaptive_report.draw(rows, picture)
    pairs = adaptive_report.nearest_pairs(found, images, classifier.bounds)
    draw_pairs(pairs, gallery)
    made_with = provenance(
        FLAGS.model, images=FLAGS.images, benign=FLAGS.benign or FLAGS.images,
        detectors=",".join(FLAGS.detectors), others=",".join(FLAGS.others),
        noise=str(FLAGS.noise), fpr=str(FLAGS.fpr), limit=str(FLAGS.limit),
        strengths=repr(strengths), bounds=repr(cli.bounds()),
    )
    results = {"attacks": rows, "worst_case": worst, "price": prices, "provenance": made_with}
    files.save_json(FLAGS.out, results)
    tables = [*adaptive_report.tables(rows, worst), adaptive_price.table(prices)]
    report = picture.with_suffix(".html")
    answer = adaptive_price.answer(rows, prices)
    page.write(adaptive_page.page(
        answer, rows, worst, tables, pairs, made_with,
        (adaptive_judges.MARGIN, adaptive_judges.NOTHING),
    ), report)
    cli.report(
        {"out": FLAGS.out, "report": str(report)} | results,
        f"{FLAGS.out}, {picture}, {gallery}", f"Report: {report}", answer,
        tables=tables,
    )


if __name__ == "__main__":
    cli.run(main)
