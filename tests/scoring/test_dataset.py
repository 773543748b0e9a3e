"""Datasets scored by real processes of Ray, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.scoring import Options, score_dataset
from a2d_tf.storage import files

SCRIPT = Path(__file__).parents[2] / "scripts" / "score_dataset.py"
ROWS = int(os.environ.get("A2D_DATASET_ROWS", "800"))  # more of them take longer
IMAGES, PARTS = 200, 40
REPEATS = ROWS // IMAGES
PATIENCE_S = 240 + ROWS / 20
ACTOR = "MapWorker"
Descendants = Callable[[int, str], list[int]]

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def dataset(benign: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "images.npz"
    np.savez(path, images=np.concatenate([benign[100:100 + IMAGES]] * REPEATS))
    return path


def command(*flags: str) -> list[str]:
    size = f"--rows_per_part={ROWS // PARTS}"
    return [sys.executable, str(SCRIPT), size, "--batch_size=20", *flags]


def start(folder: Path, *flags: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*flags), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
    )


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return out, errors


def wait_for_parts(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + PATIENCE_S
    while len(list(folder.glob("parts/*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def table(folder: Path) -> Any:
    from pyarrow import parquet

    files = sorted((folder / "parts").glob("*.parquet"))
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(len(files))]
    return parquet.read_table(folder / "parts").to_pandas()


def assert_whole(folder: Path, saved: Any, images: np.ndarray) -> None:
    found = table(folder)
    rows = len(images) * REPEATS
    assert found["id"].tolist() == [f"images.npz#{row}" for row in range(rows)]
    expected = saved.a2d.predict(images)
    for name, values in (
        ("score", expected.score), ("label", expected.label), ("cost_bim", expected.costs[:, 0]),
        ("is_adversarial", expected.is_adversarial),
    ):
        np.testing.assert_array_equal(found[name].to_numpy(), np.tile(values, REPEATS))
    assert found["error"].isna().all()
    summary = json.loads((folder / "summary.json").read_text())
    assert f"{summary['judged_flagged']:,} of" in (folder / "report.html").read_text()
    assert summary["rows"] == summary["judged"] == rows and summary["failed"] == 0
    assert summary["flagged"] == REPEATS * int(expected.is_adversarial.sum())
    assert sum(one["rows"] for one in summary["classes"].values()) == rows
    assert sum(summary["scores"]["counts"]) == rows


def test_workers_and_the_driver_are_killed(
    saved: Any, dataset: Path, benign: np.ndarray, descendants: Descendants, tmp_path: Path
) -> None:
    flags = (f"--detector={saved.folder}", f"--input={dataset}", "--output=out", "--actors=2")
    output, rng = tmp_path / "out", np.random.default_rng(int(time.time()))

    def kill_a_worker(process: "subprocess.Popen[str]", parts: int) -> None:
        """At a random moment after so many parts."""
        wait_for_parts(output, parts, process)
        time.sleep(rng.random() * ROWS / 4000)
        victims = descendants(process.pid, ACTOR)
        assert victims
        os.kill(victims[rng.integers(len(victims))], signal.SIGKILL)

    first = start(tmp_path, *flags)
    kill_a_worker(first, 2)
    kill_a_worker(first, 6)
    wait_for_parts(output, 10, first)
    first.kill()
    first.communicate()
    done = {path: path.stat().st_mtime_ns for path in output.glob("parts/*.parquet")}
    assert 10 <= len(done) < PARTS
    finish(start(tmp_path, *flags))
    assert_whole(output, saved, benign[100:100 + IMAGES])
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert not [path for path in output.rglob("*") if path.name.startswith(".writing-")]
    # Damaged and lost parts are made again, and no other.
    (output / "parts" / "part-00003.parquet").write_bytes(b"cut off")
    (output / "parts" / "part-00005.parquet").unlink()
    finish(start(tmp_path, *flags))
    assert_whole(output, saved, benign[100:100 + IMAGES])
    changed = [path.name for path, when in done.items() if path.stat().st_mtime_ns != when]
    assert set(changed) <= {"part-00003.parquet", "part-00005.parquet"}
    # The output of one run takes no other.
    for served, rows in ((saved.served, ROWS // PARTS), (saved.folder, 50)):
        with pytest.raises(InvalidInputError, match="choose another --output"):
            score_dataset(
                saved.served, str(dataset), str(output), Options(rows_per_part=rows),
                identity=files.sha256(served),
            )


def test_an_interrupt_ends_all_processes(
    saved: Any, dataset: Path, descendants: Descendants, tmp_path: Path
) -> None:
    flags = (f"--detector={saved.served}", f"--input={dataset}", "--output=out", "--actors=1")
    process = start(tmp_path, *flags, f"--rows_per_part={ROWS // PARTS // 10}")  # it takes longer
    wait_for_parts(tmp_path / "out", 1, process)
    running = descendants(process.pid, ACTOR)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.splitlines()[-1] == "score_dataset.py: stopped"
    end = time.monotonic() + 60  # a busy machine needs some seconds to end them
    while left := [one for one in running if Path(f"/proc/{one}").exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert running


def test_unfit_arguments_give_one_line(
    saved: Any, dataset: Path, run_script: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    good = {"detector": saved.served, "input": dataset, "output": "out"}
    for change, message in (
        ({"detector": "nothing"}, "expected a"),
        ({"detector": dataset.parent}, "expected a"),
        ({"input": "nothing.npz"}, "expected a file or a folder"),
        ({"output": dataset}, "got the file"),
        ({"output": "mine"}, "choose another --output"),
        ({"actors": 1000}, "expected from 1 to"),
        ({"address": "127.0.0.1:1"}, "expected Ray to start or a cluster at 127.0.0.1:1"),
    ):
        flags = [f"--{name}={value}" for name, value in {**good, **change}.items()]
        done = run_script("score_dataset", *flags, cwd=tmp_path)
        assert done.returncode == 1, change
        assert done.stderr.count("\n") == 1 and message in done.stderr, done.stderr
