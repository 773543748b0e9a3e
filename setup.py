"""Packages and commands; all other settings are in setup.cfg."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Packages with names of ours, and their folders, whose names others use too.
INSTALLED_AS = {"a2d_baselines": "baselines", "a2d_scripts": "scripts"}
HELPERS = ("__init__", "cli", "cli_terminal")
# Older versions of pip run this file with `develop` for an editable installation, and then know the
# folders by their own names alone.
COMMANDS = "scripts" if "develop" in sys.argv else "a2d_scripts"


def commands() -> list[str]:
    """A command for each script: a2d-fit-detector for fit_detector.py."""
    names = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
    return [
        f"a2d-{name.replace('_', '-')} = {COMMANDS}:command"
        for name in names if name not in HELPERS
    ]


setup(
    packages=[*find_packages(include=["a2d_tf*"]), *INSTALLED_AS],
    package_dir=INSTALLED_AS,
    entry_points={"console_scripts": commands()},
)
