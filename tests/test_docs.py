"""README's snippets run, and its commands name flags that exist."""

import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib import request

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier

RunScript = Callable[..., subprocess.CompletedProcess[str]]
README = Path(__file__).parents[1] / "README.md"
COMMAND = re.compile(r"^ +python scripts/(\w+)\.py((?:.*\\\n)*.*)$", re.MULTILINE)


def snippets() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    for script, flags in COMMAND.findall(README.read_text()):
        yield script, re.findall(r"--(\w+)", flags)


@pytest.fixture
def names(
    model: keras.Model, classifier: Classifier, benign: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What the snippets take for granted, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    model.save("model.keras")

    class Scores(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
        def predict(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"scores": model(images)}

    module = Scores()
    module.model = model
    tf.saved_model.save(module, "saved_model", signatures={"predict": module.predict})
    monkeypatch.setattr(
        request, "urlopen", lambda url, body: io.BytesIO(json.dumps(answer(body)).encode())
    )

    def answer(body: bytes) -> dict[str, Any]:
        question = json.loads(body)
        signature = tf.saved_model.load("served/1").signatures[question["signature_name"]]
        found = signature(images=tf.constant(question["instances"], tf.float32))
        return {"predictions": found["is_adversarial"].numpy().tolist()}

    tf.keras.utils.set_random_seed(0)
    noisy = np.clip(benign[:40] + 0.5 * np.sign(np.random.randn(*benign[:40].shape)), 0, 1)
    return {
        "model": model, "benign": benign[:100], "other_benign": benign[100:200],
        "images": benign[200:204], "adversarial": noisy.astype(np.float32), "numpy": np,
        "labels": None, "dataset": tf.data.Dataset.from_tensor_slices(benign[:4]),
        "ask_the_service": classifier.predict,
    }


@pytest.mark.long
def test_snippets_run(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for snippet in snippets():
        exec(compile(snippet, "README.md", "exec"), names)
    served = json.loads(capsys.readouterr().out.splitlines()[-1].lower())
    assert served == names["detection"].is_adversarial.tolist()


@pytest.mark.parametrize("script", sorted({script for script, _ in commands()}))
def test_flags_exist(script: str, run_script: RunScript, tmp_path: Path) -> None:
    text = run_script(script, "--helpfull", cwd=tmp_path).stdout
    known = set(re.findall(r"^ +--(?:\[no\])?(\w+)", text, re.MULTILINE))
    used = {flag for one, flags in commands() if one == script for flag in flags}
    assert used and used <= known
