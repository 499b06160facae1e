"""The type checker accepts the examples and the public names as users write them, and refuses what it must."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOT_TOLD = r"""
# What stubtest need not tell: names that Cython adds, and constructors that refuse whatever they are given.
.*\.__(reduce|setstate)_cython__
.*\.__pyx_capi__
.*\.__test__
mftcore\..*\.(Handle|Endpoint|Lent|Segment|Stamp|BookStamp|MasterBook)\.__init__
# Compiled classes that are not final are "disjoint bases", a word that type checkers learnt only lately.
mftcore\.(endpoint\.Waitable|endpoint\.Handle|endpoint\.Endpoint|ring_end\.RingEnd|ring_end\.Lent|seqlock\.VersionReader|segment\.Segment)
# Of two final classes, and of no use by itself.
mftcore\.ring_end\.Bound
# Aliases for annotations alone, and the buffer protocol, which has no such name before Python 3.12.
mftcore\.endpoint\.WaitMode
mftcore\.ring_end\.Bytes
mftcore\.layout\.RecordType
mftcore\.segment\.Segment\.__(release_)?buffer__
"""
"""Differences that stubtest is to pass over."""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed: pip install '.[dev]'"
)


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_examples_are_typed_strictly() -> None:
    result = mypy("docs/examples")
    assert result.returncode == 0, result.stdout + result.stderr
    count = len(list((ROOT / "docs" / "examples").glob("*.py")))
    assert f"no issues found in {count} source files" in result.stdout


def test_the_public_names_are_typed_as_they_are_used() -> None:
    result = mypy("tests/typing/public_api.py")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_use_would_be_seen(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "typing" / "public_api.py").read_text(encoding="utf-8")
    path = tmp_path / "public_api.py"
    path.write_text(
        text.replace("  # type: ignore[arg-type]", "").replace("stamp, BookStamp)", "stamp, Stamp)"), encoding="utf-8"
    )
    result = mypy(str(path))
    wrong = text.count("  # type: ignore[arg-type]") + text.count("stamp, BookStamp)")
    assert result.returncode == 1
    assert f"Found {wrong} errors" in result.stdout, result.stdout


def test_the_stubs_declare_what_the_compiled_modules_have(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "mftcore", "--concise", "--ignore-unused-allowlist"]
    passed_over = tmp_path / "stubtest.txt"
    passed_over.write_text(NOT_TOLD, encoding="utf-8")
    result = subprocess.run(
        [*command, "--allowlist", str(passed_over)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
