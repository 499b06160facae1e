"""Imports run one way: command line, supervisor, processes, execution, venue and model and sim, records, mftcore."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOOR = {
    "mftpy.errors": 0,
    "mftpy.settings_quoting": -1,
    "mftpy.settings": 0,
    "mftpy": 0,
    "mftpy.config": 1,
    "mftpy.console": 1,
    "mftpy.records": 1,
    "mftpy.decisions": 2,
    "mftpy.instance": 1,
    "mftpy.links": 2,
    "mftpy.journal_meta": 3,
    "mftpy.journals": 4,
    "mftpy.snapshot": 3,
    "mftpy.venue": 3,
    "mftpy.model": 3,
    "mftpy.sim": 3,
    "mftpy.plot": 4,
    "mftpy.kept_run": 5,
    "mftpy.explain": 4,
    "mftpy.explain_reasons": 5,
    "mftpy.explain_text": 6,
    "mftpy.execution": 4,
    "mftpy.strategy": 4,
    "mftpy.study": 5,
    "mftpy.processes": 5,
    "mftpy.supervisor": 6,
    "mftpy.view": 7,
    "mftpy.report": 8,
    "mftpy.running": 9,
    "mftpy.cli_model": 9,
    "mftpy.cli_explain": 9,
    "mftpy.cli": 10,
    "mftpy.__main__": 11,
}
"""Each module or package and its floor; a module imports from lower floors, or from its own package."""

SEPARATE = [
    ("mftpy.sim", "mftpy.venue"),
    ("mftpy.sim", "mftpy.model"),
    ("mftpy.venue", "mftpy.model"),
]
"""Neighbours on one floor that do not know each other."""


def place(module: str) -> str:
    """Return the entry of FLOOR that a module belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in FLOOR and (length > 1 or len(parts) == 1):
            return name
    raise KeyError(f"{module} has no floor: add it to FLOOR")


def imports(path: Path) -> set[str]:
    """Return the names of all modules that a source file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = ROOT / Path(*node.module.split("."), f"{alias.name}.py")
                package = ROOT / Path(*node.module.split("."), alias.name)
                found.add(f"{node.module}.{alias.name}" if inner.exists() or package.is_dir() else node.module)
    return found


def modules(package: str) -> list[tuple[str, Path]]:
    """Return (dotted name, path) of every source file of a package."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def test_mftcore_knows_nothing_of_mftpy():
    for name, path in modules("mftcore"):
        wrong = {module for module in imports(path) if module.split(".")[0] == "mftpy"}
        assert not wrong, f"{name} imports {wrong}"
    for path in (ROOT / "mftcore").glob("*.pyx"):
        assert "mftpy" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(("name", "path"), modules("mftpy"), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_from_below(name, path):
    here = place(name)
    for module in imports(path):
        if module.split(".")[0] != "mftpy":
            continue
        there = place(module)
        assert there == here or FLOOR[there] < FLOOR[here], f"{name} imports {module}, which is not below it"
        assert (here, there) not in SEPARATE, f"{name} imports {module}"
        assert (there, here) not in SEPARATE, f"{name} imports {module}"


def test_a_wrong_import_would_be_seen(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text("def f():\n    from mftpy import cli\n    import mftpy.supervisor\n", encoding="utf-8")
    assert imports(path) == {"mftpy.cli", "mftpy.supervisor"}
    assert FLOOR[place("mftpy.cli")] > FLOOR[place("mftpy.processes.market_data")]


def test_importing_mftcore_brings_in_neither_numba_nor_asyncio():
    heavy = ("numba", "asyncio", "websockets", "rich", "mftpy")
    code = f"import sys, mftcore; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_brings_in_neither_numba_nor_the_exchange():
    code = (
        "import sys, contextlib, mftpy.cli as cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['--help'])\n"
        "print([name for name in ('numba', 'uvloop', 'websockets') if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


def test_who_shows_a_run_or_supervises_it_does_not_import_the_compiler():
    modules_of_ours = "mftpy.running, mftpy.processes.execution, mftpy.processes.market_data, mftpy.explain_text"
    program = f"import {modules_of_ours}, sys; raise SystemExit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
