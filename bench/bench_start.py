"""Starting: what `import mftcore` and `mftpy --help` take in a fresh interpreter, files cached.

A regression means that something is imported, compiled or read at start that need not be: `python -X importtime` tells.
"""

import subprocess
import sys
import time
from functools import partial
from typing import Any

import pytest
from _harness import HERE, Figures, contest
from _targets import START

IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"


@pytest.mark.benchmark(group="start")
def bench_start(benchmark: Any) -> None:
    """`import` rows time the statement; the others the whole process, the interpreter's own start included."""
    contestants = {
        "the interpreter alone": partial(process, "-c", "pass"),
        "import numpy": partial(statement, "numpy"),
        "import mftcore": partial(statement, "mftcore"),
        "mftpy --help": partial(process, "-m", "mftpy", "--help"),
    }
    process("-m", "mftpy", "--help")  # the files are cached from here on
    contest(benchmark, START, contestants, key="s")


def process(*arguments: str) -> Figures:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent)
    return {"s": time.perf_counter() - start}


def statement(module: str) -> Figures:
    code = IMPORT.format(module=module)
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=HERE.parent)
    return {"s": float(ran.stdout)}
