"""Runs scripts, each in a fork of this process, which has loaded TensorFlow once.

Standard input has a JSON object a line: script, flags, cwd, path (to find modules in) and home (the
home folder). With `kill`, [signal, seconds], the script gets this signal after so long. Standard
output has one a line for each: status, stdout, stderr, and the seconds that it took.
"""

import json
import os
import runpy
import sys
import tempfile
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # as scripts/cli.py, which comes too late here
sys.path[0] = os.path.dirname(sys.path[0])  # the folders beside this file are no packages

import a2d_tf.benchmark  # noqa: E402, F401
import a2d_tf.reproduction  # noqa: E402, F401
import a2d_baselines  # noqa: E402, F401


def perform(script: str, flags: list[str], cwd: str, path: str, home: str) -> None:
    """Runs a script as the interpreter does, but ends without its slow end."""
    os.chdir(cwd)
    sys.path[0], sys.argv = os.path.dirname(script), [script, *flags]
    sys.path[1:1] = [path] if path else []
    os.environ["HOME"] = home or os.environ.get("HOME", "")
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def wait(child: int, kill: tuple[int, float] | None) -> int:
    """The exit code of a child, or the negative number of the signal that ended it."""
    start = time.monotonic()
    while kill:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - start >= kill[1]:
            os.kill(child, kill[0])
            break
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


for line in sys.stdin:
    command = json.loads(line)
    kill = command.pop("kill")
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as written, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(written.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            perform(**command)
        status = wait(child, kill)
        written.seek(0)
        errors.seek(0)
        result = {
            "status": status, "stdout": written.read(), "stderr": errors.read(),
            "seconds": time.monotonic() - start,
        }
        print(json.dumps(result), flush=True)
