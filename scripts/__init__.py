"""The scripts as commands for those who installed a wheel: `a2d-compare` runs compare.py.

The package is installed as `a2d_scripts`. A command runs the file of its script, as `python
scripts/compare.py` does in a checkout, so that both do the same.
"""

import os
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
HELPERS = ("__init__", "cli", "cli_flags", "cli_terminal")


def names() -> list[str]:
    """The scripts, without .py."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in HELPERS)


def command() -> None:
    """Runs the script after which the command is named: a2d-fit-detector is fit_detector.py."""
    called = os.path.basename(sys.argv[0])
    name = Path(called).stem.removeprefix("a2d-").replace("-", "_")
    if name not in names():
        commands = ", ".join(f"a2d-{one.replace('_', '-')}" for one in names())
        sys.exit(f"{called}: expected a command out of {commands}, got {called}; use one of these")
    path = FOLDER / f"{name}.py"
    sys.path.insert(0, str(FOLDER))
    # As runpy.run_path does it, but the command keeps its own name in sys.argv.
    script = sys.modules["__main__"] = ModuleType("__main__")
    script.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), vars(script))
