"""Counts equal those of the authors' released attack code, on a sample that ships with the tests.

data/lenet_slice.npz.xz holds 12 images (MNIST test images, and FGSM and BIM-a versions of some) and
the counts of the authors' code for the paper's MNIST classifier. That classifier has 4.7 MB: here
is the part of it that these images use. Of its hidden layer, all inputs and units are left out that
are zero in every iteration of every attack, and the weights are rounded to 12 bits.
"""

import io
import lzma
from pathlib import Path

import numpy as np
import pytest

from a2d_tf import Classifier, attacks, threats
from a2d_tf.zoo.architectures import lenet

SAMPLE = Path(__file__).parents[1] / "data" / "lenet_slice.npz.xz"
NEVER_ON = -1e3  # the bias of a unit that is left out


@pytest.fixture(scope="module")
def sample() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(lzma.decompress(SAMPLE.read_bytes()))) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def classifier(sample: dict[str, np.ndarray]) -> Classifier:
    model = lenet((28, 28, 1), 10)
    first, second, hidden, output = (layer for layer in model.layers if layer.weights)
    kernel = np.zeros(hidden.kernel.shape, np.float32)
    kernel[np.ix_(sample["inputs"], sample["units"])] = sample["dense"].T * sample["scale"]
    bias = np.full(hidden.bias.shape, NEVER_ON, np.float32)
    bias[sample["units"]] = sample["dense_bias"][sample["units"]]
    hidden.set_weights([kernel, bias])
    for layer, name in ((first, "conv_1"), (second, "conv_2"), (output, "output")):
        layer.set_weights([sample[name], sample[f"{name}_bias"]])
    return Classifier(model)


def images(sample: dict[str, np.ndarray], kind: str) -> np.ndarray:
    found = sample[f"{kind}_images"]
    return found[..., None] / np.float32(255) if kind == "benign" else found


@pytest.mark.parametrize("name", ["bim", "bim2", "jsma"])
@pytest.mark.parametrize("kind", ["benign", "fgsm", "bim_a"])
def test_costs(
    name: str, kind: str, sample: dict[str, np.ndarray], classifier: Classifier
) -> None:
    result = attacks.preset(name, "mnist").run(classifier, images(sample, kind))
    np.testing.assert_array_equal(result.cost, sample[f"{name}_cost_{kind}"])
    assert result.success.all()


def test_threats_craft_the_same_images(
    sample: dict[str, np.ndarray], classifier: Classifier
) -> None:
    index, = set(sample["benign_index"]) & set(sample["fgsm_index"]) & set(sample["bim_a_index"])
    own = sample["benign_index"] == index
    for name, kind in (("fgsm", "fgsm"), ("bim-a", "bim_a")):
        crafted = threats.preset(name, "mnist").craft(
            classifier, images(sample, "benign")[own], sample["benign_label"][own]
        )
        expected = images(sample, kind)[sample[f"{kind}_index"] == index]
        assert crafted.success.all()
        assert (np.abs(crafted.images - expected) < 1e-5).mean() > 0.98
