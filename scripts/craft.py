"""Crafts adversarial versions of a dataset's correctly classified test images.

  python scripts/craft.py --model=lenet.keras --dataset=mnist --threat=fgsm --out=fgsm.npz
  python scripts/craft.py --model=lenet.keras --dataset=mnist --threat=pgd-margin \\
      --settings=eps=2.0,norm=l2,steps=100,restarts=5 --out=pgd.npz
  python scripts/craft.py --model=lenet.keras --dataset=mnist --threat=hopskipjump \\
      --detector=detector --limit=20 --out=past.npz

hopskipjump asks for verdicts alone, and with --detector an image that is flagged is a failure.
The .npz holds images f32[N,H,W,C], their true labels i64[N], their index in the test set i64[N]
and success bool[N]: whether the model's label is no longer the true one.
"""

import cli
from absl import flags

from a2d_tf import threats
from a2d_tf.evaluation.adaptive_judges import check_same_classifier
from a2d_tf.evaluation.crafting import craft_test_images, past_detector
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance
from a2d_tf.zoo import load_dataset

FLAGS = flags.FLAGS
cli.define_model_flags()
flags.DEFINE_string("dataset", "digits", cli.DATASET_HELP)
cli.define_path("data_dir", "Folder with mnist.npz, cifar10.npz or image folders.")
flags.DEFINE_string("threat", None,
                    f"The recipe, out of {', '.join(threats.PRESETS['mnist'])}, bb (Env 2).",
                    required=True)
flags.DEFINE_enum("preset", "mnist", list(threats.PRESETS), "Whose published settings.")
flags.DEFINE_list("settings", [], "Changes to the recipe: name=value,... such as eps=0.1,steps=100 "
                  "for pgd, confidence=5,targeted=true for cw.")
cli.define_path("detector", "Folder that fit_detector.py wrote, which hopskipjump has to get past.")
flags.DEFINE_integer("limit", 1000, "Images at most.", lower_bound=1)
cli.define_out("The .npz file to write.")
cli.define_json()


def main() -> None:
    with cli.about("threat", "settings"):
        threat = threats.adjusted(threats.preset(FLAGS.threat, FLAGS.preset), FLAGS.settings)
    classifier = cli.load_classifier()
    with cli.about("dataset", "data_dir"):
        dataset = load_dataset(
            FLAGS.dataset, FLAGS.data_dir, cli.bounds(), input_shape=classifier.input_shape
        )
    detector = cli.load_detector() if FLAGS.detector else None
    if detector:
        with cli.about("detector"):
            check_same_classifier(
                FLAGS.detector, detector.classifier, classifier, dataset.x_test[:8]
            )
    with cli.about("threat", "detector"):
        threat = past_detector(threat, dataset, detector, FLAGS.detector or "")
    with cli.about("dataset", "model"):
        crafted = craft_test_images(
            FLAGS.threat, threat, classifier, dataset, FLAGS.limit, cli.TerminalProgress()
        )
    files.save_npz(FLAGS.out, **crafted, provenance=provenance(
        FLAGS.model, threat=repr(threat), dataset=FLAGS.dataset, bounds=repr(cli.bounds()),
    ))
    images, rate = len(crafted["images"]), float(crafted["success"].mean())
    cli.report(
        {"out": FLAGS.out, "images": images, "success_rate": rate},
        f"{FLAGS.out}: {images} images, {rate:.1%} succeed",
    )


if __name__ == "__main__":
    cli.run(main)
