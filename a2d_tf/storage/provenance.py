"""What an output was made with: versions, settings, and the hash of the model."""

import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path

from a2d_tf.storage import files
from a2d_tf.version import __version__


def versions() -> dict[str, str]:
    """The versions of this library and of the packages that its results depend on."""
    packages = ("tensorflow", "keras", "cleverhans", "numpy", "scipy", "scikit-learn")
    return {"a2d_tf": __version__} | {name: metadata.version(name) for name in packages}


@functools.cache
def source_digest(*sources: Path) -> str:
    """A hash of the Python files of this library and of other ones.

    Results that code made are found again only as long as the code is the same.

    Args:
      sources: other files, and folders with all Python files below them.
    """
    digest = hashlib.sha256()
    for source in (Path(__file__).parent.parent, *sources):
        for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(f"{file.relative_to(source.parent)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def provenance(model: str | Path, **settings: str) -> str:
    """What an output was made with, as JSON.

    Args:
      model: the file or folder of the classifier.
      settings: any others, by name.
    """
    made_with = {"model": str(model), "model_sha256": files.sha256(model), "settings": settings}
    return json.dumps(made_with | {"versions": versions()})
