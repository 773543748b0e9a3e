"""What many tests share: a small trained classifier, and data that may be absent."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from a2d_tf import A2D, Classifier
from a2d_tf.attacks import BIM
from a2d_tf.zoo import load_dataset

SHARED = Path(os.environ.get("A2D_SHARED", "../shared")).resolve()
SCRIPTS = Path(__file__).parents[1] / "scripts"


class RunScript(Protocol):
    """Runs a script with flags in a folder, and with `kill` ends it: (signal, after seconds)."""

    def __call__(
        self, script: str, *flags: str, cwd: Path, path: str = "", home: str = "",
        kill: tuple[int, float] | None = None,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def run_script() -> Iterator[RunScript]:
    """Runs scripts in processes of their own, which need not load TensorFlow again."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).parent / "forks.py"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdin and server.stdout

        def run(
            script: str, *flags: str, cwd: Path, path: str = "", home: str = "",
            kill: tuple[int, float] | None = None,
        ) -> subprocess.CompletedProcess[str]:
            command = {"script": str(SCRIPTS / f"{script}.py"), "flags": flags, "cwd": str(cwd),
                       "path": path, "home": home, "kill": kill}
            assert server.stdin and server.stdout
            print(json.dumps(command), file=server.stdin, flush=True)
            done = json.loads(server.stdout.readline())
            return subprocess.CompletedProcess(
                [script, *flags], done["status"], done["stdout"], done["stderr"]
            )

        yield run
        server.stdin.close()


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Finds a file that does not ship with the project, or skips the test."""
    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not in {SHARED}; set A2D_SHARED to where it is")
        return path

    return find


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits f32[1797,8,8,1] in [0, 1], and their labels."""
    bundled = load_digits()
    return (bundled.images[..., None] / 16).astype(np.float32), bundled.target.astype(np.int64)


@pytest.fixture(scope="session")
def model(digits: tuple[np.ndarray, np.ndarray]) -> keras.Model:
    """A convolutional network, trained on the first 1,200 digits."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ])
    network.compile("adam", "sparse_categorical_crossentropy")
    images, labels = digits
    network.fit(images[:1200], labels[:1200], epochs=12, batch_size=64, verbose=0)
    return network


@pytest.fixture(scope="session")
def classifier(model: keras.Model) -> Classifier:
    return Classifier(model)


@pytest.fixture(scope="session")
def benign(digits: tuple[np.ndarray, np.ndarray], classifier: Classifier) -> np.ndarray:
    """Test digits that the classifier gets right."""
    images, labels = digits[0][1200:], digits[1][1200:]
    return images[classifier.predict(images) == labels]


@pytest.fixture(scope="session")
def logits(model: keras.Model) -> keras.Model:
    """The network without its softmax, for peers that take logits."""
    network = keras.Sequential([*model.layers[:-1], keras.layers.Dense(10, name="logits")])
    network.build((None, 8, 8, 1))
    network.layers[-1].set_weights(model.layers[-1].get_weights())
    return network


@pytest.fixture(scope="session")
def for_art(logits: keras.Model) -> Any:
    """The network as ART's classifier; needs the extra `peers`."""
    from art.estimators.classification import TensorFlowV2Classifier

    class Wrapped(TensorFlowV2Classifier):  # type: ignore[misc]
        def class_gradient(self, x: Any, label: Any = None, **others: Any) -> Any:
            # CLEVER asks with a NumPy integer, which it refuses.
            one = label is not None and np.ndim(label) == 0
            return super().class_gradient(x, label=int(label) if one else label, **others)

    return Wrapped(
        logits, nb_classes=10, input_shape=(8, 8, 1), clip_values=(0, 1),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier of the bundled digits at 28x28."""
    keras.utils.set_random_seed(0)
    digits = load_dataset("digits")
    network = keras.Sequential([
        keras.Input((28, 28, 1)),
        keras.layers.AveragePooling2D(2),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ])
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(digits.x_train, digits.y_train, epochs=40, batch_size=32, verbose=0)
    path = tmp_path_factory.mktemp("model") / "small.keras"
    network.save(path)
    return path


@pytest.fixture(scope="session")
def digits_as_mnist(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits under MNIST's name, and a model of them under LeNet's."""
    path = tmp_path_factory.mktemp("digits_as_mnist")
    digits = load_dataset("digits")
    np.savez(
        path / "mnist.npz", y_train=digits.y_train, y_test=digits.y_test,
        **{name: np.round(255 * getattr(digits, name)[..., 0]).astype(np.uint8)
           for name in ("x_train", "x_test")},
    )
    (path / "lenet_mnist.keras").write_bytes(small_model.read_bytes())
    return path


class Saved(NamedTuple):
    """A detector, and where it is saved and exported."""

    a2d: A2D
    folder: Path
    served: Path


@pytest.fixture(scope="session")
def saved(
    classifier: Classifier, benign: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Saved:
    a2d = A2D(classifier, BIM(eps=0.3, step=0.003, max_iterations=90)).fit(benign[:100], fpr=0.1)
    folder = tmp_path_factory.mktemp("detector")
    a2d.save(folder / "detector")
    a2d.export(folder / "served")
    return Saved(a2d, folder / "detector", folder / "served")


@pytest.fixture(scope="session")
def descendants() -> Callable[[int, str], list[int]]:
    """Finds the processes that a process started, whose command lines have a word in them."""
    def find(ancestor: int, word: str) -> list[int]:
        parents, lines = {}, {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                status = (entry / "status").read_text()
                lines[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:
                continue  # it has ended
            parents[int(entry.name)] = int(status.split("PPid:")[1].split()[0])

        def is_below(one: int) -> bool:
            while one in parents and one != ancestor:
                one = parents[one]
            return one == ancestor

        return [one for one, line in lines.items() if word in line and is_below(one)]

    return find
