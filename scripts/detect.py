"""Judges images with a fitted detector; writes a line per image.

  python scripts/detect.py --detector=detector --images=images.npz --out=verdicts.csv

Columns: image (index or file name), label, score, is_adversarial, and cost_ATTACK for each attack.
With --verdicts_only, image and is_adversarial: attacks then stop as soon as these are known.
"""

import cli
from absl import flags

from a2d_tf import A2D, files, image_files

FLAGS = flags.FLAGS
flags.DEFINE_string("detector", None, "Folder that fit_detector.py wrote.", required=True)
flags.DEFINE_string("images", None, ".npz with `images`, or a folder of images.", required=True)
flags.DEFINE_bool("verdicts_only", False, "Leave out labels, scores and costs, and be quicker.")
cli.define_out("The .csv file to write.")


def main() -> None:
    a2d = A2D.load(FLAGS.detector)
    names, images = image_files.stream_images(FLAGS.images, a2d.classifier)
    with cli.TerminalProgress().stage("attack costs", len(names) * len(a2d.attacks)) as advance:
        a2d.on_finished = advance
        if FLAGS.verdicts_only:
            verdicts = a2d.is_adversarial(images)
            header = ["image", "is_adversarial"]
            rows = zip(names, verdicts.astype(int), strict=True)
        else:
            detection = a2d.predict(images)
            verdicts = detection.is_adversarial
            header = [
                "image", "label", "score", "is_adversarial", *(f"cost_{a}" for a in a2d.attacks)
            ]
            rows = detection.rows(names)
    files.save_csv(FLAGS.out, header, rows)
    print(f"{FLAGS.out}: {verdicts.sum()} of {len(names)} flagged as adversarial")


if __name__ == "__main__":
    cli.run(main)
