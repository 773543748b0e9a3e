"""Where Ray is not installed, everything imports, and its users are told in one line what to do."""

import sys
from pathlib import Path

import numpy as np
import pytest

from a2d_tf import Classifier, InvalidInputError
from a2d_tf.scoring import distributed_measure, score_dataset
from a2d_tf.serving import ServeOptions, serving

MISSING = "expected Ray to be installed, got no module .*; pip install"


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray", "ray.serve", "pyarrow", "pyarrow.fs"):
        monkeypatch.setitem(sys.modules, name, None)


def test_each_user_of_ray_says_how_to_install_it(
    saved: tuple[object, Path, Path], classifier: Classifier, tmp_path: Path
) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((3, 8, 8, 1), np.float32))
    with pytest.raises(InvalidInputError, match=MISSING):
        score_dataset(saved[2], str(tmp_path / "images.npz"), str(tmp_path / "out"))
    with pytest.raises(InvalidInputError, match=MISSING):
        with serving(saved[2], ServeOptions(port=18499)):
            pass
    with pytest.raises(InvalidInputError, match=MISSING):
        with distributed_measure(classifier):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]
