"""Ray that does not start."""

import pytest

from a2d_tf.errors import InvalidInputError
from a2d_tf.scoring.ray_session import session

pytestmark = pytest.mark.long  # Ray is installed for these
ray = pytest.importorskip("ray")


def test_a_start_that_fails_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")  # as Ray does

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(InvalidInputError, match="on this machine.*timed out.*less busy") as error:
        with session():
            pass
    assert "\n" not in str(error.value)
