"""The option ``--benchmark``: run the latency suites of ``bench/`` in place of the tests; and tests on every core.

Where pytest-xdist is installed, the whole suite is spread over a process for each core; tests that are named one by one
run in this process, as do the latency suites, which own the machine while they measure. ``-n 0``: all in this process.
"""

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
MOST_PROCESSES = 8
SHARE_NOTHING = {"tests/core/test_c.py"}
"""Modules whose tests go to whoever is free."""


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


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    option = config.option
    if (
        "PYTEST_XDIST_WORKER" in os.environ  # this is one of the processes
        or not config.pluginmanager.hasplugin("xdist")
        or option.numprocesses is not None
        or option.benchmark
        or option.collectonly
        or option.usepdb
        or option.capture == "no"
        or config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    ):
        return
    cores = len(os.sched_getaffinity(0))
    if cores > 1:
        option.numprocesses = min(cores, MOST_PROCESSES)
        option.dist = "loadscope"
        option.loadscopereorder = False
        option.benchmark_disable = True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a module together and in order, so that what it makes once is made once.

    The runs of the whole stay together too: each is five processes, which would be in the other's way.
    """
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", 1)[0]
            if module in SHARE_NOTHING:
                return nodeid
            return "tests/system" if module.startswith("tests/system/") else module

    return ByModule(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--benchmark"):
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = [str(ROOT / "bench")]
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    config.option.benchmark_only = True
