"""Images as data URIs, small enough for a page."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

MAX_SIDE = 160  # larger images are thinned out


def data_uri(image: NDArray[np.floating[Any]]) -> str:
    """An image as a PNG in a data URI.

    Args:
      image: f[H,W,C] in [0, 1]; three channels are colours, and of others the first is shown.
    """
    stride = -(-max(image.shape[:2]) // MAX_SIDE)
    thin = np.clip(np.nan_to_num(image[::stride, ::stride]), 0, 1)
    colours = thin if thin.shape[-1] == 3 else np.repeat(thin[..., :1], 3, axis=-1)
    stream = io.BytesIO()
    imsave(stream, np.round(255 * colours).astype(np.uint8), format="png",
           pil_kwargs={"optimize": True})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
