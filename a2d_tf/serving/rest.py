"""Requests and answers of TensorFlow Serving's REST interface, as JSON.

Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import InputSpec
from a2d_tf.scoring.exported import JUDGE, MODEL_FILE

INPUT = "images"
PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<verb>:predict|/metadata)?"
)
HIDDEN_SIGNATURE = "__saved_model_init_op"  # TensorFlow's own


class RestError(Exception):
    """What is wrong with a request.

    Attributes:
      status: the HTTP status of the answer.
    """

    def __init__(self, status: HTTPStatus, message: str):
        super().__init__(message)
        self.status = status


class Question(NamedTuple):
    """A request for verdicts.

    Attributes:
      signature: of the SavedModel.
      images: [N,H,W,C] with N >= 1: f32 within the bounds, or u8.
      in_rows: whether the answer is a row for each image ("predictions"), or a list for each output
        ("outputs").
    """

    signature: str
    images: NDArray[Any]
    in_rows: bool


def parse(body: bytes, signatures: Mapping[str, bool], spec: InputSpec) -> Question:
    """The question in the body of a request.

    Args:
      body: JSON with "instances" or "inputs", and maybe "signature_name".
      signatures: their names, and whether each takes bytes.
      spec: what the detector takes.

    Raises:
      RestError: the body is no such question, or an image is not what the detector takes.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _bad(f"expected a body of JSON, got something else ({error})") from error
    if not isinstance(asked, dict):
        raise _bad(f"expected a JSON object with 'instances', got {_kind(asked)}")
    signature = asked.get("signature_name") or JUDGE
    if not isinstance(signature, str) or signature not in signatures:
        known = ", ".join(signatures)
        raise _bad(f"expected a 'signature_name' out of {known}, got {str(signature)[:60]!r}")
    given = [name for name in ("instances", "inputs") if name in asked]
    if len(given) != 1:
        raise _bad(f"expected either 'instances' or 'inputs', got {' and '.join(given) or 'none'}")
    in_rows = given[0] == "instances"
    values = _values(asked[given[0]], in_rows)
    try:
        images = _images(values, signatures[signature], spec)
    except InvalidInputError as error:
        raise _bad(str(error)) from error
    return Question(signature, images, in_rows)


def answer(outputs: Mapping[str, NDArray[Any]], in_rows: bool) -> bytes:
    """The body of an answer: the outputs [N,...] by name, or by row."""
    columns = {name: values.tolist() for name, values in outputs.items()}
    whole: dict[str, Any]
    if len(columns) == 1:
        whole = {"predictions" if in_rows else "outputs": next(iter(columns.values()))}
    elif in_rows:
        rows = zip(*columns.values(), strict=True)
        whole = {"predictions": [dict(zip(columns, row)) for row in rows]}
    else:
        whole = {"outputs": columns}
    return json.dumps(whole, allow_nan=False).encode()


def status(version: str) -> dict[str, Any]:
    """The answer to a question for the state of a model."""
    return {"model_version_status": [{
        "version": version, "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }]}


def metadata(folder: Path, name: str, version: str) -> dict[str, Any]:
    """The answer to a question for the signatures of a SavedModel."""
    stored = saved_model_pb2.SavedModel.FromString((folder / MODEL_FILE).read_bytes())
    signatures = {
        key: MessageToDict(
            one, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for key, one in stored.meta_graphs[0].signature_def.items() if key != HIDDEN_SIGNATURE
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _values(given: Any, in_rows: bool) -> Any:
    """The images of "instances" (each by itself) or of "inputs" (all together), as lists."""
    if in_rows:
        if not isinstance(given, list) or not given:
            raise _bad("expected 'instances' as a list of at least one image, got "
                       f"{_kind(given) if given != [] else 'an empty one'}")
        return [_only_input(one) if isinstance(one, dict) else one for one in given]
    return _only_input(given) if isinstance(given, dict) else given


def _only_input(named: Mapping[str, Any]) -> Any:
    if list(named) != [INPUT]:
        raise _bad(f"expected the input {INPUT!r} alone, got {', '.join(named)[:60] or 'none'}")
    return named[INPUT]


def _images(values: Any, takes_bytes: bool, spec: InputSpec) -> NDArray[Any]:
    try:
        images = np.asarray(values)
    except (ValueError, OverflowError) as error:  # lists of several lengths
        raise InvalidInputError(
            f"expected images of one shape [{spec.sizes}], got lists of several lengths"
            "; resize them"
        ) from error
    if images.dtype.kind not in "iuf":
        raise InvalidInputError(
            "expected images as lists of numbers, got others among them; send numbers alone"
        )
    spec.check_shape(images.shape)
    if not images.size:
        raise InvalidInputError(
            f"expected at least one image, got shape {list(images.shape)}; send some"
        )
    if not takes_bytes:
        return spec.check(images.astype(np.float64))
    if images.dtype.kind == "f" or images.min() < 0 or images.max() > np.iinfo(np.uint8).max:
        raise InvalidInputError(
            "expected bytes as whole numbers from 0 to 255, got others; ask a signature without "
            "_uint8 for other pixels"
        )
    return images.astype(np.uint8)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), "a number or a truth value")


def _bad(message: str) -> RestError:
    return RestError(HTTPStatus.BAD_REQUEST, message)
