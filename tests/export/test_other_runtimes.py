"""What TensorFlow Serving needs of an export: TensorFlow's C API, its command line, its warm-up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

SOURCE = Path(__file__).parents[1] / "data" / "judge.c"
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
SIGNATURES = ("serving_default", "classify", "serving_default_uint8", "classify_uint8")
Fields = dict[int, list[bytes]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in C that knows TensorFlow's C API alone."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no compiler of C is installed (cc or gcc)")
    folder = Path(tf.sysconfig.get_lib())
    if not all((folder / name).is_file() for name in LIBRARIES):
        pytest.skip(f"this TensorFlow has no {' and '.join(LIBRARIES)}")
    path = tmp_path_factory.mktemp("program") / "judge"
    done = subprocess.run(
        [compiler, SOURCE, "-o", path, "-Wall", "-Werror", f"-I{tf.sysconfig.get_include()}",
         f"-L{folder}", *[f"-l:{name}" for name in LIBRARIES], f"-Wl,-rpath,{folder}"],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    return path


def signatures(served: Path) -> Any:
    stored = saved_model_pb2.SavedModel.FromString((served / "saved_model.pb").read_bytes())
    return stored.meta_graphs[0].signature_def


def given(images: np.ndarray, signature: str) -> np.ndarray:
    return np.round(255 * images).astype(np.uint8) if signature.endswith("uint8") else images


@pytest.mark.long
@pytest.mark.parametrize("signature", SIGNATURES)
def test_the_c_api_says_the_same(
    signature: str, program: Path, saved: Any, benign: np.ndarray, tmp_path: Path
) -> None:
    images = given(benign[100:130], signature)
    (tmp_path / "images").write_bytes(images.tobytes())
    found = signatures(saved.served)[signature]
    names = sorted(found.outputs)
    done = subprocess.run(
        [program, saved.served, tmp_path / "images", found.inputs["images"].name,
         "uint8" if images.dtype == np.uint8 else "float", ",".join(map(str, images.shape)),
         *[found.outputs[name].name for name in names]],
        capture_output=True, text=True, check=False,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},  # no path to Python
    )
    assert done.returncode == 0, done.stderr
    outputs = {
        name: np.frombuffer(
            bytes.fromhex(line), tf.as_dtype(found.outputs[name].dtype).as_numpy_dtype
        ) for name, line in zip(names, done.stdout.splitlines(), strict=True)
    }
    assert_as_predicted(outputs, saved, images)


@pytest.mark.long
@pytest.mark.parametrize("signature", SIGNATURES)
def test_saved_model_cli_says_the_same(
    signature: str, saved: Any, benign: np.ndarray, tmp_path: Path
) -> None:
    images = given(benign[100:107], signature)
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [Path(sys.executable).with_name("saved_model_cli"), "run", "--dir", saved.served,
         "--tag_set", "serve", "--signature_def", signature, "--inputs",
         f"images={tmp_path / 'images.npy'}", "--outdir", tmp_path],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    names = signatures(saved.served)[signature].outputs
    outputs = {name: np.load(tmp_path / f"{name}.npy") for name in names}
    assert_as_predicted(outputs, saved, images)


def assert_as_predicted(outputs: dict[str, np.ndarray], saved: Any, images: np.ndarray) -> None:
    expected = saved.a2d.predict(images)
    np.testing.assert_array_equal(outputs["is_adversarial"], expected.is_adversarial)
    np.testing.assert_array_equal(outputs["valid"], expected.valid)
    if "score" in outputs:
        np.testing.assert_array_equal(outputs["score"], expected.score)
        np.testing.assert_array_equal(outputs["label"], expected.label)
        np.testing.assert_array_equal(np.ravel(outputs["costs"]), expected.costs[:, 0])


def fields(message: bytes) -> Fields:
    """The fields of a message of protocol buffers, all of which are messages or texts."""
    found: Fields = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        key = varint()
        assert key & 7 == 2, "a field of another kind"
        size = varint()
        found.setdefault(key >> 3, []).append(message[place:place + size])
        place += size
    assert place == len(message)
    return found


def test_the_warm_up_file_is_what_the_server_reads(saved: Any) -> None:
    """`PredictionLog.predict_log.request`, by the numbers of TensorFlow Serving's .proto files."""
    path = saved.served / "assets.extra" / "tf_serving_warmup_requests"
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    names = []
    for record in records:
        (log,) = fields(record)[6]  # PredictionLog.predict_log
        (request,) = fields(log)[1]  # PredictLog.request
        asked = fields(request)
        assert sorted(asked) == [1, 2]
        names.append(fields(asked[1][0])[3][0].decode())  # model_spec.signature_name
        (entry,) = asked[2]  # inputs, a map
        pair = fields(entry)
        assert pair[1] == [b"images"]
        images = tf.make_ndarray(tensor_pb2.TensorProto.FromString(pair[2][0]))
        found = signatures(saved.served)[names[-1]]
        wanted = [dim.size for dim in found.inputs["images"].tensor_shape.dim]
        assert images.dtype == np.float32 and [-1, *images.shape[1:]] == wanted
        judge = tf.saved_model.load(str(saved.served)).signatures[names[-1]]
        assert judge(images=tf.constant(images))["valid"].shape == (1,)
    assert names == ["serving_default", "classify"]
