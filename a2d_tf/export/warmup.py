"""Requests that TensorFlow Serving makes of a model before it lets others do so.

They are `tensorflow.serving.PredictionLog` messages (prediction_log.proto, predict.proto and
model.proto of TensorFlow Serving), whose classes TensorFlow itself does not have; of their fields
only the few that a request needs are written, by the rules of protocol buffers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Field numbers.
PREDICT_LOG = 6  # of PredictionLog
REQUEST = 1  # of PredictLog
MODEL_SPEC, INPUTS = 1, 2  # of PredictRequest
SIGNATURE_NAME = 3  # of ModelSpec
KEY, VALUE = 1, 2  # of an entry of a map
MESSAGE = 2  # the wire type of messages and strings


def write_warmup(
    path: Path, signatures: Sequence[str], images: NDArray[np.float32]
) -> None:
    """Writes a request with these `images` for each signature, as a TFRecord file."""
    tensor = tf.make_tensor_proto(images).SerializeToString()
    entry = _field(KEY, b"images") + _field(VALUE, tensor)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in signatures:
            spec = _field(SIGNATURE_NAME, signature.encode())
            request = _field(MODEL_SPEC, spec) + _field(INPUTS, entry)
            writer.write(_field(PREDICT_LOG, _field(REQUEST, request)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | MESSAGE) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
