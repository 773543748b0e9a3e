"""Every kind of bad input gets the same answer in Python, in scripts and from an exported model.

Python and scripts refuse an array as a whole, in one line. A server cannot: it flags the image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, InvalidInputError
from a2d_tf.attacks import BIM

IMAGES = np.random.default_rng(0).uniform(0.2, 0.8, (40, 6, 6, 1)).astype(np.float32)
ATTACK = BIM(eps=0.5, step=0.02, max_iterations=40, search=True)


@dataclass(frozen=True)
class Bad:
    """A kind of bad input.

    Attributes:
      make: the images, out of good ones f32[5,6,6,1].
      message: what Python and scripts say; None if they take them.
      served: whether the exported model is to flag the first image alone; None if a request of
        that kind cannot be made, or TensorFlow refuses it.
      in_file: whether an .npz can hold it.
    """

    make: Callable[[np.ndarray], Any]
    message: str | None
    served: bool | None = None
    in_file: bool = True


def first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def make(images: np.ndarray) -> np.ndarray:
        changed = images.copy()
        changed[0, 0, 0, 0] = value
        return changed

    return make


TABLE = {
    "NaN": Bad(first(np.nan), "NaN or infinity in 1 of 5 images", True),
    "infinite": Bad(first(np.inf), "NaN or infinity in 1 of 5 images", True),
    "minus infinite": Bad(first(-np.inf), "NaN or infinity in 1 of 5 images", True),
    "above": Bad(first(1.1), "1 of 180 are out of bounds, by up to 0.1", True),
    "below": Bad(first(-0.5), "1 of 180 are out of bounds, by up to 0.5", True),
    "little above": Bad(first(1 + 2e-5), "out of bounds, by up to 2", True),
    "rounded above": Bad(first(1 + 5e-6), None, False),
    "rounded below": Bad(first(-3e-8), None, False),
    "bytes": Bad(lambda x: np.round(255 * x).astype(np.uint8), None, False),
    "doubles": Bad(lambda x: x.astype(np.float64), None),
    "halves": Bad(lambda x: x.astype(np.float16), None),
    "scaled bytes": Bad(lambda x: (x > 0.5).astype(np.uint8), "from 0 to 255, got at most 1"),
    "integers": Bad(
        lambda x: np.round(255 * x).astype(np.int64), r"as images.astype\(np.uint8\)",
    ),
    "booleans": Bad(lambda x: x > 0.5, "got booleans"),
    "complex": Bad(lambda x: x.astype(complex), "got complex numbers"),
    "text": Bad(lambda x: x.astype(str), "expected images of floats"),
    "objects": Bad(lambda x: x.astype(object), "got Python objects", in_file=False),
    "other size": Bad(lambda x: x[:, :4], r"expected images of shape \[N, 6, 6, 1\]"),
    "other channels": Bad(lambda x: np.repeat(x, 3, axis=-1), r"got \[5, 6, 6, 3\]"),
    "no channel": Bad(lambda x: x[..., 0], r"add the channel with images"),
    "one image": Bad(lambda x: x[0], r"\[6, 6, 1\]; give a single image as image\[None\]"),
    "one number": Bad(lambda x: np.float32(0.5), "expected images of shape"),
    "two sizes": Bad(lambda x: (x[0], x[1, :3]), "np.stack", in_file=False),
    "ragged": Bad(lambda x: [x[0], x[1, :3]], "np.stack", in_file=False),
    "with labels": Bad(
        lambda x: (x, np.zeros(len(x), int)), "without their labels", in_file=False,
    ),
    "endless": Bad(
        lambda x: tf.data.Dataset.from_tensor_slices(x).repeat(), "a dataset that ends",
        in_file=False,
    ),
    "generator": Bad(lambda x: iter(x), "tf.data.Dataset.from_generator", in_file=False),
    "dictionary": Bad(lambda x: {"images": x}, "out of a dictionary", in_file=False),
    "nothing": Bad(lambda x: None, "got Python objects", in_file=False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved detector, and its export."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3),
    ])
    path = tmp_path_factory.mktemp("bad")
    a2d = A2D(model, [ATTACK], "zscore").fit(IMAGES[:30])
    a2d.save(path / "detector")
    a2d.export(path / "served")
    return path


@pytest.fixture(scope="module")
def a2d(folder: Path) -> A2D:
    return A2D.load(folder / "detector")


@pytest.fixture(scope="module")
def signatures(folder: Path) -> Any:
    return tf.saved_model.load(str(folder / "served")).signatures


@pytest.mark.parametrize("kind", TABLE)
def test_python(kind: str, a2d: A2D) -> None:
    bad = TABLE[kind]
    calls = (a2d.predict, a2d.is_adversarial, a2d.measure, a2d.costs, a2d.classifier.predict)
    if bad.message is None:
        expected = a2d.predict(np.clip(IMAGES[30:35], 0, 1))
        assert a2d.predict(bad.make(IMAGES[30:35])).valid.all() and expected.valid.all()
        return
    for call in calls:
        with pytest.raises(InvalidInputError, match=bad.message) as error:
            call(bad.make(IMAGES[30:35]))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=[] if kind in ("NaN", "bytes") else pytest.mark.long)
    for kind, bad in TABLE.items() if bad.in_file
])
def test_scripts(
    kind: str, a2d: A2D, folder: Path, run_script: Any, tmp_path: Path
) -> None:
    bad = TABLE[kind]
    images = bad.make(IMAGES[30:35])
    np.savez(tmp_path / "images.npz", images=images)
    done = run_script(
        "detect", f"--detector={folder / 'detector'}", "--images=images.npz", "--out=out.csv",
        cwd=tmp_path,
    )
    if bad.message is None:
        assert done.returncode == 0, done.stderr
        rows = (tmp_path / "out.csv").read_text().splitlines()
        place = rows[0].split(",").index("valid")
        assert [row.split(",")[place] for row in rows[1:]] == ["1"] * 5
        verdicts = [bool(int(row.split(",")[3])) for row in rows[1:]]
        assert verdicts == a2d.predict(images).is_adversarial.tolist()
        return
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith(("detect.py: expected", "detect.py: --images: expected")), done.stderr
    assert not (tmp_path / "out.csv").exists()
    if kind != "one number":
        with pytest.raises(InvalidInputError, match=bad.message):
            raise InvalidInputError(line)


@pytest.mark.parametrize("kind", [kind for kind, bad in TABLE.items() if bad.served is not None])
def test_an_exported_model(kind: str, a2d: A2D, signatures: Any) -> None:
    bad = TABLE[kind]
    images = bad.make(IMAGES[30:35])
    suffix = "_uint8" if images.dtype == np.uint8 else ""
    found = signatures[f"serving_default{suffix}"](images=tf.constant(images))
    verdicts = signatures[f"classify{suffix}"](images=tf.constant(images))
    invalid = np.array([bool(bad.served), False, False, False, False])
    for outputs in (found, verdicts):
        np.testing.assert_array_equal(outputs["valid"], ~invalid)
        assert outputs["is_adversarial"].numpy()[invalid].all()
    assert (found["label"].numpy()[invalid] == -1).all()
    expected = a2d.predict(images[~invalid])
    np.testing.assert_array_equal(found["label"].numpy()[~invalid], expected.label)
    np.testing.assert_array_equal(found["costs"].numpy()[~invalid], expected.costs)
    for outputs in (found, verdicts):
        np.testing.assert_array_equal(
            outputs["is_adversarial"].numpy()[~invalid], expected.is_adversarial
        )


def test_an_exported_model_refuses_other_kinds(signatures: Any) -> None:
    for kind in ("complex", "text", "other size", "no channel", "doubles"):
        with pytest.raises((TypeError, ValueError, tf.errors.OpError)):
            signatures["serving_default"](images=tf.constant(TABLE[kind].make(IMAGES[:5])))


def test_no_images_at_all(
    a2d: A2D, signatures: Any, folder: Path, run_script: Any, tmp_path: Path
) -> None:
    empty = IMAGES[:0]
    assert len(a2d.predict(empty)) == 0 and a2d.is_adversarial(empty).shape == (0,)
    assert signatures["serving_default"](images=tf.constant(empty))["valid"].shape == (0,)
    np.savez(tmp_path / "images.npz", images=empty)  # a file without images is a mistake
    done = run_script(
        "detect", f"--detector={folder / 'detector'}", "--images=images.npz", "--out=out.csv",
        cwd=tmp_path,
    )
    assert done.returncode == 1 and "expected at least one image" in done.stderr
