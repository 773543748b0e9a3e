"""Fits a detector to a model and saves both in a folder.

  python scripts/fit_detector.py --model=lenet.keras --images=benign.npz --attacks=bim,jsma \\
      --preset=mnist --detector=zscore --fpr=0.05 --out=detector

By default the feature is response and the detector profile, as in Python. With --fpr, some of the
benign images set the threshold and take no part in the fit. Without it, the default detector flags
about 10 % of benign images, and others have a threshold of their own. Images that craft.py saw fail
are left out.
"""

import contextlib

import cli
from absl import flags

from a2d_tf import A2D, attacks, detectors
from a2d_tf.detection.arguments import OWN
from a2d_tf.detectors.calibration import least_count
from a2d_tf.images import load_adversarial, load_images, load_sources
from a2d_tf.scoring import distributed_measure
from a2d_tf.storage import detector_folder

FLAGS = flags.FLAGS
ONE_SIDED = [name for name, one in detectors.REGISTRY.items() if not one.is_two_sided]
cli.define_model_flags()
cli.define_path("images", "Benign images: .npz or folder.", required=True)
cli.define_path("adversarial", "Adversarial images, for detectors that learn from them.")
cli.define_names(
    "features", [],
    f"What is measured: costs of attacks, out of {', '.join(attacks.PRESETS['mnist'])}; and others,"
    f" out of {', '.join(cli.feature_names())}, or as module:Class. By default "
    f"response; for the detectors {', '.join(ONE_SIDED)}, bim-search.",
)
flags.DEFINE_alias("attacks", "features")
flags.DEFINE_enum(
    "preset", OWN, [*attacks.PRESETS, OWN],
    f"Whose published settings; {OWN} chooses steps for the model, on the benign images.",
)
flags.DEFINE_enum(
    "detector", None, list(detectors.REGISTRY), "What judges the features. By default profile if "
    "adversarial images may lie on either side of benign ones, as with response, and otherwise "
    "conformal. Both learn from benign images alone.",
)
flags.DEFINE_bool("directions", False, "Deprecated: --features=...,directions.")
flags.DEFINE_bool(
    "noisy_negatives", False, "Take noisy images as benign in the fit too. The .npz of the "
    "adversarial images then needs source: a row of the benign ones for each.",
)
flags.DEFINE_float("fpr", None, "Wanted false-positive rate, in (0, 1).")
flags.DEFINE_string(
    "address", None, "Of a Ray cluster whose processes measure the features; or local, for one on "
    "each core or GPU of this machine. By default this process does.",
)
cli.define_folder("out", "The folder to write.")
cli.define_json()


def main() -> None:
    with cli.about("out"):
        detector_folder.check_free(cli.folder("out"))
    if FLAGS.fpr is not None:
        with cli.about("fpr"):
            least_count(FLAGS.fpr)
    names = FLAGS.features
    if FLAGS.directions:
        names = [*(names or ["bim-search"]), "directions"]
    classifier = cli.load_classifier()
    with cli.about("features", "detector"):
        a2d = A2D(classifier, names or None, FLAGS.detector, preset=FLAGS.preset)
    if a2d.detector.learns_from_adversarial and not FLAGS.adversarial:
        cli.fail(
            f"--adversarial: expected adversarial images for the detector {a2d.detector.name}, got "
            "none; give some, or take a detector that learns from benign images alone"
        )
    with cli.about("images"):
        benign = load_images(FLAGS.images, classifier.input_spec).images
    adversarial = source = None
    if FLAGS.adversarial:
        with cli.about("adversarial"):
            adversarial = load_adversarial(FLAGS.adversarial, classifier.input_spec)
            source = load_sources(FLAGS.adversarial, len(adversarial))
    images = len(benign) + (0 if adversarial is None else len(adversarial))
    progress = cli.measuring(len(a2d.features), images)
    with contextlib.ExitStack() as stack:
        settings = {}
        if FLAGS.address:
            with cli.about("address"):
                settings["measure"] = stack.enter_context(distributed_measure(
                    classifier, FLAGS.address, safe_mode=FLAGS.safe_mode,
                    modules=FLAGS.import_modules,
                ))
        stack.enter_context(cli.about("images", *(["adversarial"] if FLAGS.adversarial else [])))
        a2d.on_finished = stack.enter_context(progress)
        a2d.fit(
            benign, adversarial, fpr=FLAGS.fpr, source=source,
            noisy_negatives=FLAGS.noisy_negatives, **settings
        )
    with cli.about("out"):
        a2d.save(cli.folder("out"))
    threshold = float(a2d.detector.threshold)
    cli.report(
        {"out": FLAGS.out, "threshold": threshold},
        f"{FLAGS.out}: flags an input whose score exceeds {threshold:.4f}",
    )


if __name__ == "__main__":
    cli.run(main)
