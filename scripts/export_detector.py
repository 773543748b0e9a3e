"""Writes a fitted detector as one SavedModel that any TensorFlow runtime serves.

  python scripts/export_detector.py --detector=detector --out=served

Signatures: serving_default (verdict, score, costs, label, probabilities) and classify (the verdict
alone, sooner) take floats; serving_default_uint8 and classify_uint8 take bytes.
"""

import cli
from absl import flags

FLAGS = flags.FLAGS
cli.define_detector()
cli.define_folder("out", "The SavedModel folder to write.")
cli.define_json()


def main() -> None:
    a2d = cli.load_detector()
    with cli.about("out"):
        a2d.export(cli.folder("out"))
    cli.report(
        {"out": FLAGS.out},
        f"{FLAGS.out}: a SavedModel; saved_model_cli show --all --dir {FLAGS.out}",
    )


if __name__ == "__main__":
    cli.run(main)
