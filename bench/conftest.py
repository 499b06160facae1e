"""Makes ``_harness`` importable for the suites, and prints their figures at the end of the run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from _harness import ROWS, machine

    if ROWS:
        terminalreporter.section("figures in ns, or as named")
        terminalreporter.write_line(machine())
        for row in ROWS:
            terminalreporter.write_line(row)
