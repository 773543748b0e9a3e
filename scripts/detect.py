"""Judges images with a fitted detector, and writes a line per image.

  python scripts/detect.py --detector=detector --images=images.npz --out=verdicts.csv

Columns: image (index or file name), label, score, is_adversarial, cost_ATTACK for each attack, and
the columns of other features. With --verdicts_only, image and is_adversarial: attacks then stop as
soon as these are known.
"""

import cli
from absl import flags

from a2d_tf.images import stream_images
from a2d_tf.storage import files

FLAGS = flags.FLAGS
cli.define_detector()
cli.define_path("images", ".npz with `images`, or a folder of images.", required=True)
flags.DEFINE_bool("verdicts_only", False, "Leave out labels, scores and costs, and be quicker.")
cli.define_out("The .csv file to write.")


def main() -> None:
    a2d = cli.load_detector()
    with cli.about("images"):
        images = stream_images(FLAGS.images, a2d.classifier.input_spec)
    progress = cli.TerminalProgress().stage("features", len(images) * len(a2d.features))
    with cli.about("images"), progress as advance:
        a2d.on_finished = advance
        if FLAGS.verdicts_only:
            verdicts = a2d.is_adversarial(images)
            header = ["image", "is_adversarial"]
            rows = [list(row) for row in zip(images.names, verdicts.astype(int), strict=True)]
        else:
            detection = a2d.predict(images)
            verdicts = detection.is_adversarial
            header, rows = detection.table(images.names)
    files.save_csv(FLAGS.out, header, rows)
    print(f"{FLAGS.out}: {verdicts.sum()} of {len(images)} flagged as adversarial")


if __name__ == "__main__":
    cli.run(main)
