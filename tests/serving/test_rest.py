"""Questions of TensorFlow Serving's REST interface, and answers to them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2d_tf.images.spec import Bounds, InputSpec
from a2d_tf.serving import rest

SPEC = InputSpec((2, 2, 1), Bounds(0, 1))
SIGNATURES = {"serving_default": False, "classify_uint8": True}
IMAGE = [[[0.0], [0.5]], [[1.0], [0.25]]]


def parse(body: Any) -> rest.Question:
    return rest.parse(json.dumps(body).encode(), SIGNATURES, SPEC)


@pytest.mark.parametrize("body", [
    {"instances": [IMAGE, IMAGE]},
    {"instances": [{"images": IMAGE}, IMAGE]},
    {"inputs": [IMAGE, IMAGE]},
    {"inputs": {"images": [IMAGE, IMAGE]}, "signature_name": "serving_default"},
])
def test_questions_in_rows_and_columns(body: dict[str, Any]) -> None:
    found = parse(body)
    assert found.signature == "serving_default" and found.in_rows == ("instances" in body)
    assert found.images.dtype == np.float32
    np.testing.assert_array_equal(found.images, np.array([IMAGE, IMAGE], np.float32))


def test_bytes() -> None:
    found = parse({"instances": [[[[0], [255]], [[1], [2]]]], "signature_name": "classify_uint8"})
    assert found.images.dtype == np.uint8 and found.images.ravel().tolist() == [0, 255, 1, 2]


@pytest.mark.parametrize("body, message", [
    (b"", "expected a body of JSON"),
    (b"{", "expected a body of JSON"),
    (b"\xff\xfe\x00", "expected a body of JSON"),
    (b"[" * 100_000, "expected a body of JSON"),
    (b"[1]", "expected a JSON object with 'instances', got a list"),
    (b"{}", "expected either 'instances' or 'inputs', got none"),
    ({"instances": [IMAGE], "inputs": [IMAGE]}, "got instances and inputs"),
    ({"instances": []}, "got an empty one"),
    ({"instances": "abc"}, "got a text"),
    ({"instances": None}, "got null"),
    ({"inputs": 3}, "expected images of shape"),
    ({"inputs": []}, "expected images of shape"),
    ({"instances": [{"other": IMAGE}]}, "expected the input 'images' alone, got other"),
    ({"instances": [{"b64": "AAAA"}]}, "expected the input 'images' alone, got b64"),
    ({"instances": [IMAGE, [1]]}, "several lengths"),
    ({"instances": [[["a"]]]}, "lists of numbers"),
    ({"instances": [[[[None], [0]], [[0], [0]]]]}, "lists of numbers"),
    ({"instances": [[[[True], [False]], [[True], [True]]]]}, "lists of numbers"),
    ({"instances": [[[[10**40], [0]], [[0], [0]]]]}, "lists of numbers"),
    ({"instances": [[[0.0], [0.5]]]}, "expected images of shape"),
    ({"instances": [IMAGE[:1]]}, "expected images of shape"),
    ({"instances": [[[[float("nan")], [0]], [[0], [0]]]]}, "NaN or infinity"),
    ({"instances": [[[[float("inf")], [0]], [[0], [0]]]]}, "NaN or infinity"),
    ({"instances": [[[[1e300], [0]], [[0], [0]]]]}, "NaN or infinity"),
    ({"instances": [[[[7], [0]], [[0], [0]]]]}, r"expected pixels in \[0, 1\]"),
    ({"instances": [IMAGE], "signature_name": "other"}, "expected a 'signature_name' out of"),
    ({"instances": [IMAGE], "signature_name": 5}, "expected a 'signature_name' out of"),
    ({"instances": [IMAGE], "signature_name": "classify_uint8"}, "whole numbers from 0 to 255"),
    ({"instances": [[[[256], [0]], [[0], [0]]]], "signature_name": "classify_uint8"}, "0 to 255"),
])
def test_bad_questions_give_one_line(body: Any, message: str) -> None:
    with pytest.raises(rest.RestError, match=message) as raised:
        rest.parse(body if isinstance(body, bytes) else json.dumps(body).encode(), SIGNATURES, SPEC)
    assert raised.value.status == 400 and "\n" not in str(raised.value)


def test_answers() -> None:
    outputs = {"score": np.float32([0.1, 2]), "costs": np.int32([[1, 2], [3, 4]])}
    assert json.loads(rest.answer(outputs, True)) == {"predictions": [
        {"score": float(np.float32(0.1)), "costs": [1, 2]}, {"score": 2.0, "costs": [3, 4]},
    ]}
    assert json.loads(rest.answer(outputs, False))["outputs"]["costs"] == [[1, 2], [3, 4]]
    assert json.loads(rest.answer({"one": np.array([True])}, True)) == {"predictions": [True]}


def test_metadata_names_every_signature(saved: Any) -> None:
    found = rest.metadata(Path(saved.served), "a2d", "1")
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == [
        "classify", "classify_uint8", "serving_default", "serving_default_uint8",
    ]
    images = signatures["classify_uint8"]["inputs"]["images"]
    assert images["dtype"] == "DT_UINT8"
    assert [one["size"] for one in images["tensor_shape"]["dim"]] == ["-1", "8", "8", "1"]
    assert found["model_spec"] == {"name": "a2d", "signature_name": "", "version": "1"}
