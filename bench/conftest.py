"""Makes the modules of this folder importable for the suites, and prints what they found at the end of the run."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config: pytest.Config) -> None:
    import _harness

    _harness.quick = config.getoption("--benchmark-quick")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was made is given back


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    import _report
    import _targets

    if not _report.Table.all:
        return
    terminalreporter.section("figures: medians over the repeats, the largest maximum")
    for line in (_report.machine_line(), _report.waits_line(), *_report.lines(), "", *_targets.lines()):
        terminalreporter.write_line(line)
    if config.getoption("--benchmark-out"):
        path = _report.write(Path(config.getoption("--benchmark-out")), _targets.rows())
        terminalreporter.write_line(f"raw results: {path}")
