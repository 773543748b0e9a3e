"""A detector behind HTTP: Ray Serve answers as TensorFlow Serving's REST interface does.

May import: errors, checks, images, scoring.
"""

from a2d_tf.serving.run import ServeOptions, serving

__all__ = ["ServeOptions", "serving"]
