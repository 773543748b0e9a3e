"""Features by name: the preset of an attack, a registered feature, or the path of a class."""

import importlib
import sys

from a2d_tf.attacks import PRESETS, preset
from a2d_tf.checks import lookup
from a2d_tf.errors import InvalidInputError
from a2d_tf.features.attack_cost import AttackCost
from a2d_tf.features.base import REGISTRY, Feature

BASELINES = "a2d_baselines"


def by_name(name: str, dataset: str = "mnist") -> Feature:
    """A feature by its name.

    Args:
      name: an attack as for `attacks.preset` ("bim-search"), a registered feature ("margin"), or
        the path of a class of your own, "module:Class", whose module is imported.
      dataset: whose published settings an attack takes.

    Raises:
      InvalidInputError: there is no such feature.
    """
    presets = lookup(PRESETS, dataset, "a preset's dataset")
    if name in presets:
        return AttackCost(attack=preset(name, dataset))
    if isinstance(name, str) and ":" in name:
        return _imported(name)
    known = {other: feature for other, feature in REGISTRY.items() if feature is not AttackCost}
    if name not in known:
        # The library does not import the package of baselines, so it cannot list their names.
        remedy = "" if BASELINES in sys.modules else f"import {BASELINES} first if it is a baseline"
        lookup({**presets, **known}, name, "a feature", remedy=remedy)
    return known[name]()


def _imported(path: str) -> Feature:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInputError(
            f"expected a feature at module:Class, got {path!r} ({error}); check that the module "
            "can be imported"
        ) from error
    if isinstance(found, Feature):
        return found
    if isinstance(found, type) and issubclass(found, Feature):
        return found()
    raise InvalidInputError(
        f"expected a subclass of a2d_tf.features.Feature at {path!r}, got {found!r}"
        "; name a class that extends it"
    )
