"""Datasets of one's own: .npz files and folders, and what is wrong with them."""

from pathlib import Path

import keras
import numpy as np
import pytest

from a2d_tf import Bounds, InvalidInputError
from a2d_tf.zoo import load_dataset


def save_image(path: Path, value: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.save_img(path, np.full((size, size, 3), value), scale=False)


def arrays(**others: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "x_train": np.full((4, 5, 5), 255, np.uint8), "y_train": np.arange(4)[:, None],
        "x_test": np.full((2, 5, 5, 1), 0.25, np.float32), "y_test": np.array([0, 3], np.uint8),
    } | others


def test_an_npz_file_of_bytes_and_floats(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())
    data = load_dataset(str(tmp_path / "mine.npz"), bounds=Bounds(-1, 3))
    assert data.x_train.shape == (4, 5, 5, 1) and data.y_test.tolist() == [0, 3]
    assert (data.x_train == 3).all() and (data.x_test == np.float32(0.25)).all()
    assert data.classes == 4 and data.x_train.dtype == np.float32


def test_a_folder_with_a_subfolder_for_each_class(tmp_path: Path) -> None:
    save_image(tmp_path / "cats" / "b.png", 255)
    save_image(tmp_path / "cats" / "a.jpg", 0)
    save_image(tmp_path / "dogs" / "a.png", 51)
    data = load_dataset(f"{tmp_path}/", input_shape=(4, 4, 1))
    assert data.y_test.tolist() == [0, 1, 0] and data.x_train.shape == (0, 4, 4, 1)
    np.testing.assert_allclose(data.x_test.mean(axis=(1, 2, 3)), [0, 0.2, 1], atol=0.01)
    save_image(tmp_path / "numbered" / "7_x" / "a.png", 0)
    save_image(tmp_path / "numbered" / "012" / "a.png", 0)
    numbered = load_dataset(str(tmp_path / "numbered"), input_shape=(4, 4, 3))
    assert sorted(numbered.y_test) == [7, 12]


def test_files_whose_names_begin_with_their_class(tmp_path: Path) -> None:
    for label in (2, 998, 10):
        save_image(tmp_path / f"{label:03d}_name.png", 0)
    data = load_dataset(str(tmp_path), input_shape=(4, 4, 3))
    assert data.y_test.tolist() == [2, 10, 998]
    data.check_classes(999, "mine")
    with pytest.raises(InvalidInputError, match="classes from 0 to 9, as the classifier has, got"):
        data.check_classes(10, "mine")


@pytest.mark.parametrize("changed, match", [
    ({"y_test": np.array([0, 1, 2])}, "expected 2 integer labels from 0 as y_test in .*, got 3"),
    ({"y_test": np.array([0.0, 1.0])}, "integer labels"),
    ({"y_test": np.array([0, -1])}, "integer labels"),
    ({"x_test": np.zeros((2, 5, 5), np.int64)}, "images of floats or uint8 as x_test"),
    ({"x_test": np.full((2, 5, 5, 1), 2.0)}, r"pixels in \[0, 1\], got \[2, 2\]"),
    ({"x_test": np.zeros((2, 5))}, r"images \[N,H,W,C\] as x_test"),
    ({"x_test": np.zeros((2, 6, 6, 1))}, "images of one size"),
])
def test_unfit_files_are_refused(
    changed: dict[str, np.ndarray], match: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(**changed))
    with pytest.raises(InvalidInputError, match=match):
        load_dataset(str(tmp_path / "mine.npz"))


def test_unfit_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="got nothing there; check the path"):
        load_dataset(str(tmp_path / "none.npz"))
    with pytest.raises(InvalidInputError, match="a dataset, FILE.npz or FOLDER/ out of digits"):
        load_dataset("zap")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="a folder of images per class, or image files"):
        load_dataset(str(tmp_path / "empty"))
    save_image(tmp_path / "files" / "001_a.png", 0)
    save_image(tmp_path / "files" / "cat.png", 0)
    with pytest.raises(InvalidInputError, match="got the unknown class of 'cat.png'; rename it"):
        load_dataset(str(tmp_path / "files"))
    save_image(tmp_path / "mixed" / "1_a" / "a.png", 0)
    save_image(tmp_path / "mixed" / "cat" / "a.png", 0)
    with pytest.raises(InvalidInputError, match="got the unknown class of 'cat'"):
        load_dataset(str(tmp_path / "mixed"))
    save_image(tmp_path / "broken" / "001_a.png", 0)
    (tmp_path / "broken" / "002_b.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    with pytest.raises(InvalidInputError, match="expected an image in .*002_b.jpg, got a JPEG"):
        load_dataset(str(tmp_path / "broken"), input_shape=(8, 8, 3))
    with pytest.raises(InvalidInputError, match="fixed input size"):
        load_dataset(str(tmp_path / "broken"), input_shape=(None, None, 3))
