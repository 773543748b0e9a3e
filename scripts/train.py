"""Trains a classifier that is known by name.

  python scripts/train.py --dataset=mnist --model=lenet --epochs=12 --out=lenet.keras
"""

import cli
from absl import flags

from a2d_tf import Classifier
from a2d_tf.zoo import MODELS, load_dataset, training

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "digits", cli.DATASET_HELP)
cli.define_path("data_dir", "Folder with mnist.npz and cifar10.npz.")
cli.define_limit()
flags.DEFINE_enum("model", "lenet", list(MODELS), "Architecture.")
flags.DEFINE_integer("epochs", 15, "Passes over the training images.", lower_bound=1)
flags.DEFINE_bool("augment", False, "Shift the images at random, and mirror those in colour.")
cli.define_seed("Seed of the weights, the order of the images and the dropout.")
cli.define_out("The .keras file to write.")
flags.register_validator("out", lambda path: path.endswith(".keras"), "must end in .keras")


def main() -> None:
    with cli.about("dataset", "data_dir"):
        dataset = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    with cli.TerminalProgress().stage(f"train {FLAGS.model}", FLAGS.epochs) as advance:
        model = training.train(
            FLAGS.model, dataset, FLAGS.epochs, seed=FLAGS.seed, augment=FLAGS.augment,
            on_epoch=advance,
        )
    training.save(model, FLAGS.out)
    accuracy = (Classifier(model).predict(dataset.x_test) == dataset.y_test).mean()
    print(f"{FLAGS.out}: test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    cli.run(main)
