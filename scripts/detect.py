"""Judges images with a fitted detector, and writes a line per image.

  python scripts/detect.py --detector=detector --images=images.npz --out=verdicts.csv

Columns: image (index or file name), label, score, is_adversarial, valid, cost_ATTACK for each
attack, and the columns of other features. An image that cannot be judged has valid 0, label -1 and
the largest score; it is flagged, and stderr says how many there are. With --verdicts_only, image,
is_adversarial and valid: attacks then stop as soon as these are known.
"""

import sys

import cli
from absl import flags

from a2d_tf.detection import Detection, Verdicts
from a2d_tf.images import stream_images
from a2d_tf.storage import files

FLAGS = flags.FLAGS
cli.define_detector()
cli.define_path("images", ".npz with `images`, or a folder of images.", required=True)
flags.DEFINE_bool("verdicts_only", False, "Leave out labels, scores and costs, and be quicker.")
cli.define_out("The .csv file to write.")
cli.define_json()


def main() -> None:
    a2d = cli.load_detector()
    with cli.about("images"):
        images = stream_images(FLAGS.images, a2d.classifier.input_spec)
    progress = cli.measuring(len(a2d.features), len(images))
    with cli.about("images"), progress as advance:
        a2d.on_finished = advance
        if FLAGS.verdicts_only:
            found: Verdicts | Detection = a2d.verdicts(images)
            header = ["image", "is_adversarial", "valid"]
            columns = (images.names, found.is_adversarial.astype(int), found.valid.astype(int))
            rows = [list(row) for row in zip(*columns, strict=True)]
        else:
            found = a2d.predict(images)
            header, rows = found.table(images.names)
    files.save_csv(FLAGS.out, header, rows)
    if invalid := int((~found.valid).sum()):
        print(
            f"note: {invalid} of {len(images)} images cannot be judged and are flagged: the "
            "classifier's outputs or gradients there are not finite, or the gradients exactly zero",
            file=sys.stderr,
        )
    flagged = int(found.is_adversarial.sum())
    cli.report(
        {"out": FLAGS.out, "images": len(images), "flagged": flagged, "invalid": invalid},
        f"{FLAGS.out}: {flagged} of {len(images)} flagged as adversarial",
    )


if __name__ == "__main__":
    cli.run(main)
