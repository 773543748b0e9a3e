"""Measures what several processes and a server of Ray's gain, and what they cost.

  python scripts/measure_scale.py --detector=served/1 --images=images.npz --model=lenet.keras \\
      --rows=4000 --repeats=3 --out=scale.json

Images a second of the bare SavedModel in a loop, of one and two actors, and of four nodes of a
cluster on this machine; with --model also the requests a second of 16 clients of serve.py and of a
server of the classifier alone. Only ratios from one run are comparable.
"""

import os

import cli
from absl import flags

from a2d_tf import benchmark
from a2d_tf.images import load_images
from a2d_tf.scoring.exported import describe
from a2d_tf.storage import files
from a2d_tf.storage.provenance import versions

FLAGS = flags.FLAGS
cli.define_path("detector", "Folder that export_detector.py wrote.", required=True)
cli.define_path("images", ".npz with `images`, or a folder of images; repeated.", required=True)
cli.define_path(
    "model", "A .keras, .h5 or SavedModel, the classifier alone; without it no server is asked."
)
flags.DEFINE_integer("rows", 4000, "Images of a run.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Of all runs.", lower_bound=1)
flags.DEFINE_float("seconds", 10, "For which each server is asked.", lower_bound=0)
flags.DEFINE_integer("port", 8501, "Of the servers.", lower_bound=1, upper_bound=2**16 - 1)
cli.define_limit()
cli.define_out("A .json file to write.", required=False)
cli.define_json()


def main() -> None:
    with cli.about("detector"):
        spec = describe(FLAGS.detector).spec
    with cli.about("images"):
        images = load_images(FLAGS.images, spec).images
    with cli.TerminalProgress().stage("measurements", 4 * FLAGS.repeats + 1) as advance:
        report = benchmark.measure_scale(
            FLAGS.detector, images, rows=FLAGS.rows, repeats=FLAGS.repeats, model=FLAGS.model,
            seconds=FLAGS.seconds, port=FLAGS.port, on_finished=advance,
        )
    if FLAGS.out:
        machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "versions": versions()}
        files.save_json(FLAGS.out, report | {"machine": machine})
    cli.report({"out": FLAGS.out} | report, tables=[benchmark.scale_table(report)])


if __name__ == "__main__":
    cli.run(main)
