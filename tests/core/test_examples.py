"""Every example runs and finds its own result; every Python block of the documentation does what the page says.

A page's blocks are run in one namespace, as one script whose lines have the page's numbers. A line
``expression  # -> x`` is checked: the expression must come out as ``x`` (what follows a semicolon is prose).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
ELSEWHERE = {"embedded-exchange"}
"""Its program talks to a running exchange: tests/system/test_thalex_client.py starts one and runs it."""
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python\n" in page.read_text(encoding="utf-8") and page.stem not in ELSEWHERE
]
HANG_S = 300  # on a machine that others keep busy, each hand-over waits for its turn
PROMISE = re.compile(r"^(?P<indent> *)(?P<expression>[^#\n]*[^#\s])  # -> (?P<value>[^;]+)(;.*)?$")
CHECK = "def is_as_said(found, said): assert repr(found) == said, f'{found!r} in place of {said}'"


def script(page: str) -> str:
    """Return the Python blocks of a page as one script with the same line numbers, its promises as assertions."""
    lines, inside = [], False
    for line in page.split("\n"):
        if line.startswith("```"):
            assert not (inside and line != "```"), f"a block begins inside another one: {line}"
            inside = line == "```python"
            lines.append("")
            continue
        promise = PROMISE.match(line) if inside else None
        if promise:
            line = f"{promise['indent']}is_as_said(({promise['expression']}), {promise['value'].strip()!r})"
        lines.append(line if inside else "")
    assert not inside, "a block has no end"
    lines[0] = CHECK
    text = "\n".join(lines)
    assert "# ->" not in text, "a promise that is not checked: an expression on one line, two blanks, # -> value"
    return text


def run(path: Path) -> subprocess.CompletedProcess[str]:
    # `-W error`: what warns today is refused tomorrow. The package is the checkout's, the script lies elsewhere.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_ends_by_itself_and_finds_its_own_result(path: Path) -> None:
    result = run(path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    assert "assert " in text
    assert text.startswith('"""')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_and_its_results_are_as_said(page: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{page.stem.replace('-', '_')}.py"
    path.write_text(script(page.read_text(encoding="utf-8")), encoding="utf-8")
    result = run(path)
    assert result.returncode == 0, f"{page.name}, same line numbers:\n{result.stderr}"


@pytest.mark.parametrize(
    ("page", "line", "complaint"),
    [
        ("# T\n\n```python\nx = 1\nx + 1  # -> 3; not so\n```\n", 5, "2 in place of 3"),
        ("# T\n\n```python\nx = 1\n```\ntext\n```python\nif x:\n    y  # -> 3\n```\n", 9, "NameError"),
        ("# T\n```python\nimport mftcore.nothing\n```\n", 3, "ModuleNotFoundError"),
    ],
)
def test_a_page_that_is_wrong_is_found_with_its_line(page: str, line: int, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "page.py"
    path.write_text(script(page), encoding="utf-8")
    result = run(path)
    assert result.returncode == 1
    assert f'page.py", line {line}' in result.stderr
    assert complaint in result.stderr


def anchors(text: str) -> set[str]:
    """Return what a link can lead to inside a page: its headings, as they become addresses."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_structure_has_its_page_and_every_example_is_led_to() -> None:
    docs = ROOT / "docs"
    for name in ("ring", "byte-ring", "seqlock", "book", "histogram", "journal"):
        text = (docs / f"{name}.md").read_text(encoding="utf-8")
        for part in ("## Promise", "## Use", "## Layout", "## Limits"):
            assert part in text, f"{name}.md has no {part}"
    told = "\n".join(page.read_text(encoding="utf-8") for page in docs.glob("*.md"))
    for path in EXAMPLES:
        assert f"(examples/{path.name})" in told, f"no page leads to {path.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} leads to {target}, which is not there"
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{target} has no heading for #{anchor}"
