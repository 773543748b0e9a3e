"""The module paths and names of version 0.5, which give a warning; version 0.7 removes them.

May import: everything, but only when an old name is used.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

# Where the names of an old module are now; those that also have another name are in `RENAMED`.
MOVED: dict[str, tuple[str, ...]] = {
    "answers": ("classifiers.output_checks",),
    "attacks.boundary": ("attacks.boundary_attack",),
    "attacks.carlini": ("attacks.carlini_wagner",),
    "attacks.gradient": (
        "attacks.basic_iterative_method", "attacks.fast_gradient_method",
        "attacks.gradient_attack",
    ),
    "attacks.randomness": ("attacks.stateless_random",),
    "attacks.running": ("attacks.runner",),
    "attacks.saliency": ("attacks.jsma",),
    "attacks.search": ("attacks.boundary_search",),
    "benchmark.run": ("benchmark.suite",),
    "calibration": ("detectors.calibration",),
    "charts": ("reports.measurement_figures", "reports.axes"),
    "classifier": ("classifiers.classifier", "images.spec"),
    "clever": ("robustness",),
    "clever.endpoint": ("robustness.reverse_weibull",),
    "clever.sampling": ("robustness.sampling",),
    "clever.scores": ("robustness.clever",),
    "costs": ("features.attack_cost",),
    "data": ("zoo.datasets",),
    "directions": ("features.direction_costs",),
    "experiments": (),
    "experiments.accuracies": ("reproduction.accuracy",),
    "experiments.catalogue": ("reproduction.registry",),
    "experiments.choice": ("evaluation.attack_selection",),
    "experiments.columns": ("evaluation.methods",),
    "experiments.comparison": ("evaluation.comparison",),
    "experiments.evidence": (
        "evaluation.experiment_data", "evaluation.experiment_images", "evaluation.splits",
    ),
    "experiments.figure6": ("reproduction.figure6",),
    "experiments.iterations": ("reproduction.figures_3_5",),
    "experiments.measured": ("reproduction.measurements",),
    "experiments.measurements": ("evaluation.summary", "evaluation.published"),
    "experiments.outputs": ("evaluation.artifacts",),
    "experiments.reproduction": ("reproduction.runner",),
    "experiments.robustness": ("evaluation.clever_cache",),
    "experiments.search": ("reproduction.search_mode",),
    "experiments.store": ("storage.stages",),
    "experiments.table1": ("reproduction.table1",),
    "experiments.table2": ("reproduction.table2",),
    "experiments.table4": ("reproduction.table4",),
    "experiments.table7": ("reproduction.table7",),
    "experiments.times": ("reproduction.figures_2_4_10",),
    "export.intake": ("export.request_checks",),
    "files": ("storage.files", "storage.provenance"),
    "image_files": ("images.image_files", "images.batching"),
    "loading": ("classifiers.keras_logits", "classifiers.loading"),
    "metrics": ("evaluation.metrics",),
    "models": ("zoo.architectures", "zoo.training"),
    "pipeline": ("a2d", "detection.result"),
    "pixels": ("images.spec",),
    "plots": ("reports.comparison_figures", "reports.axes"),
    "progress": ("reports.progress",),
    "report": ("reports.comparison_table", "reports.tables"),
    "saved_models": (
        "classifiers.saved_model_logits", "classifiers.flat_graph", "classifiers.squashing",
    ),
    "saving": ("detection.saving", "storage.detector_folder"),
    "selection": ("evaluation.attack_selection",),
    "streams": ("images.batching",),
    "verdicts": ("detection.early_stopping",),
}
RENAMED: dict[str, str] = {
    "attacks.running.Run": "attacks.runner.AttackStream",
    "benchmark.measure": "benchmark.timing.time_attack",
    "benchmark.Measurement": "benchmark.timing.AttackTiming",
    "benchmark.run": "benchmark.suite.run_benchmark",
    "benchmark.run.run": "benchmark.suite.run_benchmark",
    "clever.clever": "robustness.clever.clever_score",
    "clever.scores.clever": "robustness.clever.clever_score",
    "clever.KINDS": "robustness.clever.TARGETS",
    "clever.scores.KINDS": "robustness.clever.TARGETS",
    "clever.endpoint.REACH": "robustness.reverse_weibull.MAX_ENDPOINT_GAP",
    "detectors.CostDetector": "detectors.base.Detector",
    "directions.direction_costs": "deprecated.direction_costs",
    "experiments.comparison.run": "evaluation.comparison.run_comparison",
    "experiments.reproduction.Outcome": "reproduction.runner.ReproductionResult",
    "experiments.reproduction.Request": "reproduction.runner.ReproductionConfig",
    "experiments.reproduction.run": "reproduction.runner.reproduce",
    "experiments.robustness.run": "evaluation.clever_cache.cached_clever",
    "experiments.store.Store": "storage.stages.Stages",
    "export.intake.of_bytes": "export.request_checks.guard_uint8_images",
    "export.intake.of_images": "export.request_checks.guard_float_images",
    "image_files.scaled": "images.image_files.scale",
    "plots.IntArray": "reports.comparison_figures.CostArray",
    "progress.Silent": "reports.progress.NullProgress",
    "report.Grid": "reports.tables.Table",
    "report.grid": "reports.tables.to_markdown",
    "report.width": "reports.tables.terminal_width",
    "saved_models.IDENTITY_OPS": "classifiers.squashing.IDENTITY",
    "saved_models.Served": "classifiers.saved_model_logits.SavedModelLogits",
    "selection.Candidate": "evaluation.attack_selection.AttackScore",
    "selection.grid": "evaluation.attack_selection.table",
    "selection.measure": "evaluation.attack_selection.time_attack",
    "selection.ranked": "evaluation.attack_selection.rank",
    "streams.gathered": "deprecated.gathered",
    "threats.BIMa": "deprecated.BIMa",
    "threats.CW": "deprecated.CW",
    "threats.Crafted": "threats.base.CraftedImages",
    "threats.DeepFool": "deprecated.DeepFool",
    "threats.craft_test_images": "evaluation.crafting.craft_test_images",
}
PACKAGE = __name__.rpartition(".")[0]


def install() -> None:
    """Makes the old module paths importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def attribute(module: str, name: str) -> Any:
    """What a module of version 0.5 had by this name, with a warning.

    Args:
      module: its path below the package; "" for the package itself.
      name: the name.

    Raises:
      AttributeError: there was no such name, or it is gone.
    """
    old = f"{module}.{name}" if module else name
    if old in MOVED and old not in RENAMED:
        return importlib.import_module(f"{PACKAGE}.{old}")
    moved = [f"{place}.{name}" for place in MOVED.get(module, ())]
    for place in [RENAMED[old]] if old in RENAMED else moved:
        where, _, what = place.rpartition(".")
        found = importlib.import_module(f"{PACKAGE}.{where}")
        if hasattr(found, what):
            hint = "" if where == "deprecated" else f"; use {PACKAGE}.{place}"
            warn(f"{PACKAGE}.{old} is deprecated{hint}", stacklevel=4)
            return getattr(found, what)
    raise AttributeError(f"module {f'{PACKAGE}.{module}'.rstrip('.')!r} has no attribute {name!r}")


def names_of(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for a module that lost some names."""
    return lambda name: attribute(module, name)


def warn(message: str, stacklevel: int = 3) -> None:
    """Warns that a spelling will be gone."""
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the old modules, whose names are looked up where they are now."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, old = fullname.partition(".")
        if root != PACKAGE or old not in MOVED:
            return None
        is_package = any(other.startswith(f"{old}.") for other in MOVED)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=is_package)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__getattr__"] = names_of(module.__name__.partition(".")[2])


def direction_costs(classifier: Any, images: Any, **options: Any) -> Any:
    """The columns of `features.DirectionCosts`."""
    return _current("features", "DirectionCosts")().measure(classifier, images, **options)


def gathered(classifier: Any, images: Any) -> Any:
    """`images.to_array` for a classifier."""
    return _current("images", "to_array")(images, classifier.input_spec)


def BIMa(*, eps: float, step: float, iterations: int = 50) -> Any:
    """`threats.AttackThreat` of an attack `BIM`."""
    return _threat("BIM", eps=eps, step=step, max_iterations=iterations)


def CW(
    *, kappa: float, c: float, step: float = 0.05, constants: int = 4, iterations: int = 100
) -> Any:
    """`threats.AttackThreat` of an attack `CarliniWagner`."""
    return _threat(
        "CarliniWagner", confidence=kappa, initial_const=c, step=step,
        binary_search_steps=constants, max_iterations=constants * iterations,
    )


def DeepFool(*, iterations: int = 100) -> Any:
    """`threats.AttackThreat` of an attack `DeepFool`."""
    return _threat("DeepFool", max_iterations=iterations)


def _threat(attack: str, **settings: Any) -> Any:
    return _current("threats", "AttackThreat")(attack=_current("attacks", attack)(**settings))


def _current(module: str, name: str) -> Any:
    # Every room may import this module, which therefore imports none of them beforehand.
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
