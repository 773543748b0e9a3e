"""The folder baselines/ by the name under which it is installed, for use from a checkout.

A wheel holds that folder as the package `a2d_baselines`; others install a package `baselines`.
"""

import sys
from importlib import util
from pathlib import Path

_FOLDER = Path(__file__).with_name("baselines")
_SPEC = util.spec_from_file_location(
    __name__, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
)
assert _SPEC is not None and _SPEC.loader is not None
sys.modules[__name__] = _package = util.module_from_spec(_SPEC)  # what an import then gives
_SPEC.loader.exec_module(_package)
