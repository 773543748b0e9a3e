"""How a classifier is pickled: its model as bytes, and the arguments that rebuild it."""

import pickle
from typing import Any, TypeVar

from a2d_tf.errors import A2DError, InvalidInputError, reason

Kind = TypeVar("Kind", bound=Any)


def to_bytes(model: Any, preprocess: Any) -> bytes:
    """A model and what stands before it, for `rebuild`.

    Raises:
      InvalidInputError: the model cannot be pickled.
    """
    try:
        return pickle.dumps((model, preprocess))
    except A2DError:
        raise
    except Exception as error:  # every model fails in its own way
        raise InvalidInputError(
            f"expected a classifier whose model can be pickled, got a {type(model).__name__} that "
            "cannot; save it with Classifier.save, and load it where it is needed"
        ) from error


def rebuild(
    kind: type[Kind], content: bytes, settings: dict[str, Any], others: dict[str, Any]
) -> Kind:
    """The classifier that a pickle describes.

    Args:
      kind: the class.
      content: what `to_bytes` gave.
      settings: arguments of the constructor, and `is_black_box`.
      others: attributes that the constructor does not set.

    Raises:
      InvalidInputError: the model cannot be read, as where a class of it is missing.
    """
    try:
        loaded, preprocess = pickle.loads(content)
    except Exception as error:
        raise InvalidInputError(
            "expected a pickled classifier whose model can be read, got one that cannot "
            f"({reason(error)}); save it with "
            "Classifier.save instead"
        ) from error
    if settings.pop("is_black_box"):
        classifier: Kind = kind.label_only(
            loaded, settings["bounds"], input_shape=settings["input_shape"]
        )
    else:
        classifier = kind(loaded, preprocess=preprocess, **settings)
    vars(classifier).update(others)
    return classifier
