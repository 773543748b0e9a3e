"""Features by name."""

import sys

import pytest

from a2d_tf.errors import InvalidInputError
from a2d_tf.features import by_name


def test_an_unknown_name_says_how_baselines_become_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "a2d_baselines", raising=False)
    with pytest.raises(InvalidInputError, match="import a2d_baselines first if it is a baseline"):
        by_name("unknown")
    monkeypatch.setitem(sys.modules, "a2d_baselines", sys)  # as if it had been imported
    with pytest.raises(InvalidInputError, match="got 'unknown'; take one of these$"):
        by_name("unknown")
