"""Writes a fitted detector as one SavedModel that any TensorFlow runtime serves.

  python scripts/export_detector.py --detector=detector --out=served

Signatures: serving_default (verdict, score, costs, label, probabilities) and classify (the verdict
alone, sooner) take floats; serving_default_uint8 and classify_uint8 take bytes.
"""

import cli
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("detector", None, "Folder that fit_detector.py wrote.", required=True)
cli.define_imports()
flags.DEFINE_string("out", None, "The SavedModel folder to write.", required=True)


def main() -> None:
    cli.load_detector(FLAGS.detector).export(FLAGS.out)
    print(f"{FLAGS.out}: a SavedModel; saved_model_cli show --all --dir {FLAGS.out}")


if __name__ == "__main__":
    cli.run(main)
