"""Judges images with a fitted detector; writes a line per image.

  python scripts/detect.py --detector=detector --images=images.npz --out=verdicts.csv

Columns: image (index or file name), label, score, is_adversarial, and cost_ATTACK for each attack.
"""

import cli
from absl import flags

from a2d_tf import A2D, data, files

FLAGS = flags.FLAGS
flags.DEFINE_string("detector", None, "Folder that fit_detector.py wrote.", required=True)
flags.DEFINE_string("images", None, ".npz with `images`, or a folder of images.", required=True)
cli.define_out("The .csv file to write.")


def main() -> None:
    a2d = A2D.load(FLAGS.detector)
    names, images = data.load_images(FLAGS.images, a2d.classifier)
    with cli.TerminalProgress().stage("attack costs", len(images) * len(a2d.attacks)) as advance:
        a2d.on_finished = advance
        detection = a2d.predict(images)
    header = ["image", "label", "score", "is_adversarial", *(f"cost_{a}" for a in a2d.attacks)]
    files.save_csv(FLAGS.out, header, detection.rows(names))
    print(f"{FLAGS.out}: {detection.is_adversarial.sum()} of {len(images)} flagged as adversarial")


if __name__ == "__main__":
    cli.run(main)
