"""Trains a classifier that is known by name, or a trained one further.

  python scripts/train.py --dataset=mnist --model=lenet --epochs=12 --out=lenet.keras
  python scripts/train.py --dataset=mnist --model=lenet --epochs=12 --adversarial=pgd --eps=0.3 \\
      --steps=7 --out=lenet_pgd.keras
  python scripts/train.py --dataset=mnist --model=lenet --epochs=3 --gradient_penalty=1 --eps=0.1 \\
      --out=lenet_penalty.keras
  python scripts/train.py --dataset=cifar10 --init=mine.keras --epochs=2 --adversarial=pgd \\
      --eps=0.016 --steps=2 --out=robust.keras
"""

from typing import Any

import cli
from absl import flags

from a2d_tf import Classifier
from a2d_tf.checks import number
from a2d_tf.threats import PGD
from a2d_tf.threats.projected import NORMS
from a2d_tf.zoo import MODELS, adversarial_training, gradient_penalty, load_dataset, training

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "digits", cli.DATASET_HELP)
cli.define_path("data_dir", "Folder with mnist.npz and cifar10.npz.")
cli.define_limit()
flags.DEFINE_enum("model", None, list(MODELS), "Architecture; without --init, lenet.")
cli.define_path("init", "A trained model, which is trained further; without it, the weights are "
                "drawn at random.")
flags.DEFINE_integer("epochs", 15, "Passes over the training images.", lower_bound=1)
flags.DEFINE_bool("augment", False, "Shift the images at random, and mirror those in colour.")
flags.DEFINE_enum("adversarial", "none", ["none", "pgd"], "On what the training is done: the "
                  "images, or what PGD makes of them (Madry 2018).")
flags.DEFINE_float("gradient_penalty", 0.0, "Weight of the squared length of the gradient of the "
                   "loss by the image (Ross and Doshi-Velez 2018); 0 trains without it.",
                   lower_bound=0)
flags.DEFINE_float("eps", 0.3, "Radius of PGD, in training and for the robust accuracy: in "
                   "L-infinity as a fraction of the pixel range, in L2 as a length in its units.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the radius.")
flags.DEFINE_integer("steps", 7, "Steps of PGD for each batch.", lower_bound=1)
flags.DEFINE_integer("limit", 1000, "Test images for the robust accuracy.", lower_bound=1)
cli.define_seed("Seed of the weights, the order of the images and the dropout.")
cli.define_out("The .keras file to write.")
cli.define_json()
flags.register_validator("out", lambda path: path.endswith(".keras"), "must end in .keras")


def main() -> None:
    with cli.about("eps", "steps"):
        threat = PGD(eps=FLAGS.eps, norm=FLAGS.norm, steps=FLAGS.steps)
    with cli.about("gradient_penalty"):
        number(FLAGS.gradient_penalty, "a weight of the penalty", minimum=0)
    ways = [f"--{flag}" for flag, is_set in (
        ("adversarial=pgd", FLAGS.adversarial == "pgd"),
        ("gradient_penalty", FLAGS.gradient_penalty), ("augment", FLAGS.augment),
    ) if is_set]
    if len(ways) > 1:
        cli.fail(f"expected one way of training, got {' and '.join(ways)}; leave the others out")
    if FLAGS.model and FLAGS.init:
        cli.fail("expected --model or --init, got both; leave one of them out")
    with cli.about("dataset", "data_dir"):
        dataset = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    with cli.about("init"):
        init = training.copied(Classifier.load(FLAGS.init).model, dataset) if FLAGS.init else None
    name = None if FLAGS.init else FLAGS.model or "lenet"
    title = f"train {name or FLAGS.init} for {FLAGS.epochs} epochs"
    total = training.batches(dataset, FLAGS.epochs)
    with cli.TerminalProgress().stage(title, total) as advance:
        options: dict[str, Any] = {"seed": FLAGS.seed, "init": init, "on_batch": advance}
        if FLAGS.adversarial == "pgd":
            model = adversarial_training.train_adversarially(
                name, dataset, FLAGS.epochs, threat, **options
            )
        elif FLAGS.gradient_penalty:
            model = gradient_penalty.train_with_penalty(
                name, dataset, FLAGS.epochs, FLAGS.gradient_penalty, **options
            )
        else:
            model = training.train(
                name, dataset, FLAGS.epochs, augment=FLAGS.augment, **options
            )
    training.save(model, FLAGS.out)
    accuracy = float((Classifier(model).predict(dataset.x_test) == dataset.y_test).mean())
    values: dict[str, Any] = {"out": FLAGS.out, "test_accuracy": accuracy}
    lines = [f"{FLAGS.out}: test accuracy {accuracy:.4f}"]
    if FLAGS.adversarial == "pgd" or FLAGS.gradient_penalty:
        tested = adversarial_training.accuracy(model, dataset, threat, FLAGS.limit)
        values["adversarial"] = tested._asdict() | {"eps": FLAGS.eps, "norm": FLAGS.norm}
        lines.append(
            f"of the first {tested.images} test images {tested.clean:.4f} are right, and "
            f"{tested.robust:.4f} under PGD of eps {FLAGS.eps:g} in {FLAGS.norm}"
        )
    cli.report(values, *lines)


if __name__ == "__main__":
    cli.run(main)
