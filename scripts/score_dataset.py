"""Scores a dataset of any size with several processes, on this machine or on a Ray cluster.

  python scripts/score_dataset.py --detector=detector --input=photos --output=scored

The input is a folder or bucket (s3://, gs://) of images, Parquet, .npz or TFRecord. --output gets
parts/*.parquet with a row for each image (id, label, score, is_adversarial, valid, cost_ATTACK,
error), summary.json and report.html. Started again after it was killed, it goes on where it
stopped.
"""

import cli
from absl import flags

from a2d_tf.scoring import Options, score_dataset
from a2d_tf.scoring.loading import served_detector

FLAGS = flags.FLAGS
cli.define_path(
    "detector", "Folder that fit_detector.py or export_detector.py wrote.", required=True
)
cli.define_imports()
cli.define_path("input", "File, folder or bucket.", required=True)
cli.define_path("output", "Folder or bucket to write.", required=True)
flags.DEFINE_string("column", "image", "Of Parquet files or TFRecords: what holds the images.")
flags.DEFINE_integer("rows_per_part", 500, "Rows that are written together.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images that a process judges at once.", lower_bound=1)
flags.DEFINE_integer(
    "actors", None, "Processes; by default one for each GPU, or for each core.", lower_bound=1
)
flags.DEFINE_string("address", None, "Of a Ray cluster; by default Ray runs on this machine alone.")
cli.define_limit()
cli.define_json()


def main() -> None:
    options = Options(
        column=FLAGS.column, rows_per_part=FLAGS.rows_per_part, batch_size=FLAGS.batch_size,
        actors=FLAGS.actors, address=FLAGS.address,
    )
    progress = cli.TerminalProgress()
    with served_detector(FLAGS.detector, cli.load_detector) as served:
        summary = score_dataset(
            served.folder, FLAGS.input, FLAGS.output, options, identity=served.digest,
            on_planned=lambda rows: progress.stage("images", rows),
        )
    examples = {reason: found["examples"][0] for reason, found in summary["reasons"].items()}
    cli.report(
        {"output": FLAGS.output} | summary,
        f"{FLAGS.output}: {summary['judged_flagged']} of {summary['judged']} images flagged as "
        f"adversarial, {summary['failed']} rows failed",
        *(
            f"{found['rows']} failed: {reason}; such as {examples[reason]['id']}: "
            f"{examples[reason]['error']}" for reason, found in summary["reasons"].items()
        ),
    )


if __name__ == "__main__":
    cli.run(main)
