"""The option ``--benchmark``: run the latency suites of ``bench/`` in place of the tests."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--benchmark",
        action="store_true",
        default=False,
        help="run the latency suites (bench/, or the paths given) in place of the tests",
    )
    parser.addoption(
        "--benchmark-quick",
        action="store_true",
        default=False,
        help="with --benchmark: one repeat of few messages, to see that the suites run; the figures mean little",
    )
    parser.addoption(
        "--benchmark-out",
        metavar="DIR",
        default=None,
        help="with --benchmark: write the raw results to DIR/<commit>.<cpu>.json; with the =, or DIR counts as a path",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--benchmark"):
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = [str(ROOT / "bench")]
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    config.option.benchmark_only = True
