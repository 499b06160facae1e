"""What every latency suite does the same way: two pinned cores, warm-up, percentiles, and a line about the machine.

Figures are ratios within one run on one machine; absolute ones do not travel. Nothing grows while a loop times.
"""

import json
import multiprocessing
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import mftcore

HERE = Path(__file__).parent
ROWS: list[str] = []
"""Lines for the report at the end of the run (printed by conftest.py)."""


def two_cores() -> tuple[int, int]:
    """Return two cores of this process's affinity mask, or skip: on one core the figures would mean nothing."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores, and this process may use one")
    return cores[0], cores[1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core inside the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def beside(core: int, target: Callable[..., None], *args: Any) -> Iterator[multiprocessing.Process]:
    """Run `target` in a forked child on another core inside the block; it must end by itself when the block does."""
    child = multiprocessing.get_context("fork").Process(target=_on_core, args=(core, target, args), daemon=True)
    child.start()
    try:
        yield child
        child.join(timeout=60)
        assert child.exitcode == 0, f"the other side ended with {child.exitcode}"
    finally:
        child.kill()
        child.join()


def _on_core(core: int, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.sched_setaffinity(0, {core})
    target(*args)


def percentiles(taken_ns: "npt.NDArray[np.int64]") -> dict[str, int]:
    """Return p50, p90, p99, p999, max and count of samples in ns; each is a value that occurred."""
    ordered = np.sort(taken_ns)
    marks = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999}
    found = {name: int(ordered[min(len(ordered) - 1, int(part * len(ordered)))]) for name, part in marks.items()}
    return {**found, "max": int(ordered[-1]), "count": len(ordered)}


def report(benchmark: Any, name: str, figures: dict[str, Any], *, note: str = "") -> None:
    """Keep figures with the benchmark's own results (``--benchmark-json``) and show them at the end of the run."""
    benchmark.extra_info.update({name: figures, "machine": machine()})
    shown = {key: f"{value:,}" if isinstance(value, int) else f"{value:.1f}" for key, value in figures.items()}
    text = "  ".join(f"{key} {value}" for key, value in shown.items())
    ROWS.append(f"{name:<44} {text}{'   ' + note if note else ''}")


def machine() -> str:
    """Return processor, cores of our affinity mask, kernel, Python and our version in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    versions = f"Linux {platform.release()}, CPython {platform.python_version()}, mftcore {mftcore.__version__}"
    return f"{model}, {cores} cores, {versions}"


def c_floor(source: str, tmp_path: Path, *arguments: object) -> dict[str, dict[str, Any]]:
    """Build and run a program of bench/c; return its figures by name, or skip without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    program = tmp_path / Path(source).stem
    build = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O3", f"-I{mftcore.get_include()}"]
    build += [str(HERE / "c" / source), "-o", str(program)]
    subprocess.run(build, check=True)
    ran = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=300)
    return {figures.pop("name"): figures for figures in map(json.loads, ran.stdout.splitlines())}
