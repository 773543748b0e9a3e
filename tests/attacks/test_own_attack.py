"""An attack of a user, in a module whose annotations are strings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from a2d_tf import Classifier, InvalidInputError
from a2d_tf.attacks import BIM


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled(BIM):
    """BIM with settings of other types."""

    note: str = "none"
    is_quick: bool = False


def test_fields_of_every_type(classifier: Classifier, benign: np.ndarray) -> None:
    settings = {"eps": 0.3, "step": 0.02, "max_iterations": np.int64(20)}
    attack = Labelled(**settings, note="mine", is_quick=True)
    assert attack.note == "mine" and attack.is_quick is True
    assert isinstance(attack.max_iterations, int)
    expected = BIM(**settings).run(classifier, benign[:4]).cost
    np.testing.assert_array_equal(attack.run(classifier, benign[:4]).cost, expected)


def test_fields_of_wrong_types_are_refused() -> None:
    for settings in ({"max_iterations": 10.5}, {"eps": 2}, {"is_quick": "yes"}, {"eps": True}):
        with pytest.raises(InvalidInputError, match="expected Labelled's"):
            Labelled(**settings)
