"""Runs scripts one by one, each in a fork of this process, which has loaded TensorFlow once.

Standard input has a JSON list of commands [script, flag, ...], standard output a JSON list of
[exit status, what it wrote to stderr].
"""

import json
import os
import runpy
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # as scripts/cli.py, which comes too late here

import a2d_tf  # noqa: E402, F401

answers = []
for script, *flags in json.load(sys.stdin):
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(told.fileno(), 2)
            sys.path[0], sys.argv = os.path.dirname(script), [script, *flags]
            runpy.run_path(script, run_name="__main__")
            sys.exit()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        answers.append((status, told.read()))
print(json.dumps(answers))
