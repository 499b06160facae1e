"""The type checker accepts the examples and the public names as users write them, and refuses what it must."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PASSED_OVER = re.compile(
    r"""
    .*\.__(reduce|setstate)_cython__\ .*          # what Cython adds
    | .*\.__(pyx_capi|test)__\ .*
    | .*\ is\ a\ disjoint\ base\ at\ runtime.*     # a word for compiled bases that stubs learnt only lately
    | .*\.(Handle|Endpoint|Lent|Segment|Stamp|BookStamp|MasterBook|Journal|JournalRecord)\.__init__\ .*  # refuse all
    | .*\.__(deep)?copy__\ is\ not\ present\ in\ stub  # called by the copy module alone
    | mftcore\.(ring_end\.Bound|sleeper\.Entry)\ is\ not\ present\ in\ stub  # of no use by themselves
    | mftcore\.(wait_modes\.WaitMode|ring_end\.Bytes|layout\.RecordType)\ .*  # for annotations alone
    | mftcore\.segment\.Segment\.__(release_)?buffer__\ .*  # no such names before Python 3.12
    """,
    re.VERBOSE,
)
"""Differences between stubs and compiled modules that are none to a user."""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed: pip install '.[dev]'"
)


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_examples_are_typed_strictly() -> None:
    examples = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "examples").glob("*.py"))
    result = mypy(*examples)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"no issues found in {len(examples)} source files" in result.stdout


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


def test_the_stubs_declare_what_the_compiled_modules_have() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "mftcore", "--concise", "--mypy-config-file", "pyproject.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert any("__pyx_capi__" in line for line in lines), result.stdout + result.stderr  # it did look at them
    assert [line for line in lines if not PASSED_OVER.fullmatch(line)] == []
