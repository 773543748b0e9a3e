"""Images that a decision-based attack may start from."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError


class StartImages:
    """Images f32[S,H,W,C] as a setting of an attack, which can be compared and hashed.

    Attributes:
      array: the images; they cannot be changed.
    """

    def __init__(self, images: Any):
        try:
            array = np.array(images, np.float32)
        except (TypeError, ValueError):
            array = np.zeros(0, np.float32)
        if array.ndim < 2 or not len(array) or not np.isfinite(array).all():
            raise InvalidInputError(
                "expected start images as finite numbers [S,H,W,C], S >= 1, got "
                f"{type(images).__name__} of shape {list(np.shape(array))}; stack them as one array"
            )
        array.flags.writeable = False
        self.array: NDArray[np.float32] = array
        self.digest = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StartImages) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"StartImages({list(self.array.shape)}, sha256={self.digest[:12]})"

    def __deepcopy__(self, memo: Any) -> "StartImages":
        return self
