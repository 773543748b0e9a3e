"""The arrows between the rooms of the library, which run one way, and what the docs say of them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "a2d_tf"
# Lower rooms never import higher ones.
ROOMS = [
    "version", "deprecated", "errors", "checks", "storage", "reports", "images", "classifiers",
    "attacks", "features", "detectors", "threats", "robustness", "zoo", "detection", "export",
    "a2d", "scoring", "serving", "adaptive", "evaluation", "reproduction", "benchmark",
]
MAX_MODULES = 8  # directly in the library
FREE = {"__init__", "deprecated"}  # they give access to all of it
FILES = sorted(LIBRARY.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


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


def rooms_used(path: Path) -> set[str]:
    """The rooms that a file imports, besides its own."""
    parts = [name.split(".") for name in imports(path)]
    used = {one[1] for one in parts if one[0] == "a2d_tf" and len(one) > 1 and one[1] in ROOMS}
    return used - {room(path)}


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def allowed(name: str) -> set[str]:
    """The rooms that a room's docstring says it may import."""
    package = LIBRARY / name / "__init__.py"
    text = docstring(package if package.is_file() else LIBRARY / f"{name}.py")
    found = re.search(r"^May import: (.+?)\.$", text, re.DOTALL | re.MULTILINE)
    assert found, f"{name} has no sentence 'May import: ...'"
    return set() if found[1] == "nothing" else set(re.split(r",\s+", found[1]))


def test_every_room_is_named_here() -> None:
    assert {room(path) for path in FILES} - {"__init__"} == set(ROOMS)
    modules = [path.stem for path in LIBRARY.glob("*.py")]
    assert len(modules) <= MAX_MODULES, modules
    depths = {len(path.relative_to(LIBRARY).parts) for path in FILES}
    assert depths == {1, 2}


@pytest.mark.parametrize("name", [name for name in ROOMS if name not in FREE])
def test_arrows_run_one_way_and_are_those_of_the_docstring(name: str) -> None:
    used = {one for path in FILES if room(path) == name for one in rooms_used(path)} - FREE
    may_use = allowed(name)
    assert may_use <= set(ROOMS), f"{name} names rooms that are not there"
    assert all(ROOMS.index(one) < ROOMS.index(name) for one in may_use), name
    assert used <= may_use, f"{name} imports more than it says"


def test_every_file_says_what_it_is() -> None:
    for path in (*FILES, *(ROOT / "baselines").glob("*.py"), *(ROOT / "scripts").glob("*.py")):
        assert docstring(path), path
    for package in LIBRARY.glob("*/__init__.py"):
        lines = docstring(package).splitlines()
        assert 3 <= len(lines) <= 6, package


def test_no_module_is_hidden_by_a_name_of_its_package() -> None:
    for package in [LIBRARY, *(path.parent for path in LIBRARY.glob("*/__init__.py"))]:
        tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
        modules = {path.stem for path in package.iterdir() if path.suffix in ("", ".py")}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                names = {alias.asname or alias.name for alias in node.names}
                is_module = node.module == ".".join(package.relative_to(ROOT).parts)
                assert is_module or not names & modules, (package, names & modules)


def test_the_library_knows_neither_baselines_nor_flags_nor_scripts() -> None:
    for path in FILES:
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & {"a2d_baselines", "baselines", "scripts", "absl", "argparse"}, path
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if
                 isinstance(n, ast.Call)}
        assert "print" not in calls, path


def test_reports_know_no_tensorflow() -> None:
    for path in FILES:
        if room(path) == "reports":
            assert not {m.split(".")[0] for m in imports(path)} & {"tensorflow", "keras"}, path


def test_only_the_loop_counts_iterations() -> None:
    loops = [path.name for path in FILES if "tf.while_loop(" in path.read_text()]
    assert loops == ["loop.py"]


def test_scripts_hold_flags_and_one_call() -> None:
    for path in (ROOT / "scripts").glob("*.py"):
        if path.name in ("__init__.py", "cli.py", "cli_flags.py", "cli_terminal.py"):
            continue
        tree = ast.parse(path.read_text())
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert functions == ["main"], path
        assert not any(isinstance(node, ast.ClassDef) for node in tree.body), path
