"""Packages and commands; all other settings are in setup.cfg."""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.egg_info import manifest_maker

ROOT = Path(__file__).parent
# Packages with names of ours, and their folders, whose names others use too.
INSTALLED_AS = {"a2d_baselines": "baselines", "a2d_scripts": "scripts"}
HELPERS = ("__init__", "cli", "cli_flags", "cli_terminal")
manifest_maker.template = ".manifest.in"  # what a source distribution holds beside the packages

if "develop" in sys.argv:  # older versions of pip; they know a folder by its own name alone
    sys.exit(
        "expected pip to build a wheel for an editable installation, got the older way; say "
        "pip install --use-pep517 -e ."
    )


def commands() -> list[str]:
    """A command for each script: a2d-fit-detector for fit_detector.py."""
    names = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
    return [
        f"a2d-{name.replace('_', '-')} = a2d_scripts:command"
        for name in names if name not in HELPERS
    ]


def description() -> str:
    """README without pictures and links to other files, which a package index does not have."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    about = r"(The picture [^\n]*\n([^\n]+\n)*\n)?"
    without_pictures = re.sub(r"!\[[^\]]*\]\([^)]*\)\n+" + about, "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)([^)#]*)[^)]*\)", r"\1 (`\2`)", without_pictures)


setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    packages=[*find_packages(include=["a2d_tf*"]), *INSTALLED_AS],
    package_dir=INSTALLED_AS,
    entry_points={"console_scripts": commands()},
)
