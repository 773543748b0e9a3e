"""The arrows between modules run one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lower layers never import higher ones; a module belongs to the longest matching prefix.
LAYERS = [
    ["version", "errors", "files", "progress", "calibration", "metrics", "plots", "report"],
    ["charts"],
    ["pixels"],
    ["saved_models", "answers"],
    ["loading"],
    ["classifier"],
    ["image_files", "streams"],
    ["data"],
    ["models"],
    ["attacks"],
    ["threats"],
    ["costs", "directions", "clever"],
    ["selection"],
    ["detectors"],
    ["saving", "verdicts"],
    ["export"],
    ["pipeline"],
    ["benchmark"],
    ["experiments"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {
    "detectors": {"attacks", "classifier", "costs", "data", "threats", "pipeline"},
    "attacks": {"costs", "threats", "data", "image_files", "detectors"},
    "costs": {"detectors", "threats"},
    "clever": {"costs", "threats", "data"},
}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"relative import in {path}"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "a2d_tf" and len(parts) > 1 and parts[1] in RANK else None


LIBRARY = sorted(
    path for path in (ROOT / "a2d_tf").rglob("*.py") if path != ROOT / "a2d_tf" / "__init__.py"
)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_run_one_way(path: Path) -> None:
    own = path.relative_to(ROOT / "a2d_tf").with_suffix("").parts[0]
    assert own in RANK, f"{own} has no place in LAYERS"
    used = {name for module in imports(path) if (name := layer(module))} - {own}
    above = {name for name in used if RANK[name] > RANK[own]}
    assert not above and not used & FORBIDDEN.get(own, set())


def test_the_library_knows_neither_baselines_nor_flags_nor_scripts() -> None:
    for path in LIBRARY:
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & {"baselines", "scripts", "absl", "argparse"}, path
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if
                 isinstance(n, ast.Call)}
        assert "print" not in calls, path


def test_metrics_report_and_plots_know_no_tensorflow() -> None:
    for name in ("metrics", "report", "plots", "calibration"):
        roots = {m.split(".")[0] for m in imports(ROOT / "a2d_tf" / f"{name}.py")}
        assert not roots & {"tensorflow", "keras"}, name


def test_only_the_loop_counts_iterations() -> None:
    loops = [path.name for path in LIBRARY if "tf.while_loop(" in path.read_text()]
    assert loops == ["loop.py"]


def test_scripts_hold_flags_and_one_call() -> None:
    for path in (ROOT / "scripts").glob("*.py"):
        if path.name == "cli.py":
            continue
        tree = ast.parse(path.read_text())
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert functions == ["main"], path
        assert not any(isinstance(node, ast.ClassDef) for node in tree.body), path
