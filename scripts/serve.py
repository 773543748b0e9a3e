"""Serves a detector over HTTP, as TensorFlow Serving does, by Ray Serve.

  python scripts/serve.py --detector=detector --port=8501
  curl -d '{"instances": [[[[0.0], ...]]]}' http://127.0.0.1:8501/v1/models/a2d:predict

Also GET /v1/models/a2d, /v1/models/a2d/metadata, /healthz and /metrics (Prometheus). It says when
the images have drifted from those of the calibration. Ctrl-C or SIGTERM ends it.
"""

import sys

import cli
from absl import flags

from a2d_tf.scoring.loading import served_detector
from a2d_tf.serving import ServeOptions, serving

FLAGS = flags.FLAGS
cli.define_path(
    "detector", "Folder that fit_detector.py or export_detector.py wrote.", required=True
)
cli.define_imports()
flags.DEFINE_string("name", "a2d", "Of the model, in paths.")
flags.DEFINE_string("host", "127.0.0.1", "To listen at; 0.0.0.0 for all of this machine.")
flags.DEFINE_integer("port", 8501, "To listen at.", lower_bound=1, upper_bound=2**16 - 1)
flags.DEFINE_integer(
    "replicas", None, "Processes; by default one for each GPU, or for each core.", lower_bound=1
)
flags.DEFINE_integer("batch_size", 128, "Images that a replica judges at once.", lower_bound=1)
flags.DEFINE_float("batch_wait_ms", 5.0, "For which a batch waits for more.", lower_bound=0)
flags.DEFINE_float("max_body_mib", 16.0, "Of a request.", lower_bound=0)
flags.DEFINE_integer("window", 1000, "Scores that are compared with the calibration's.",
                     lower_bound=100)
flags.DEFINE_string("address", None, "Of a Ray cluster; by default Ray runs on this machine alone.")
cli.define_limit()


def main() -> None:
    options = ServeOptions(
        name=FLAGS.name, host=FLAGS.host, port=FLAGS.port, replicas=FLAGS.replicas,
        batch_size=FLAGS.batch_size, batch_wait_ms=FLAGS.batch_wait_ms,
        max_body_mib=FLAGS.max_body_mib, window=FLAGS.window, address=FLAGS.address,
    )
    with served_detector(FLAGS.detector, cli.load_detector) as served:
        with serving(served.folder, options) as running:
            print(f"{running.url}: serving", flush=True)
            cli.NOTES.print_pending()
            for warning in running.until_stopped():
                print(f"note: {warning}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main)
