"""What every suite does the same way: pinned pairs of processes, contests in turn, programs of bench/c, percentiles.

Figures are ratios within one run on one machine; absolute ones do not travel. Nothing grows while a loop times.
"""

import atexit
import ctypes
import gc
import json
import mmap
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import _report
import numpy as np
import numpy.typing as npt
import pytest

import mftcore

HERE = Path(__file__).parent
PR_SET_PDEATHSIG = 1
OURS = ("mftcore", "mftpy", "C ")
Figures = dict[str, float]
Side = Callable[["npt.NDArray[np.int64]"], Any]

quick = False
"""Set by ``--benchmark-quick``: one repeat of a twentieth of the messages, to see that everything runs."""


class NotMeasured(Exception):  # noqa: N818 (an outcome, not an error)
    """A contestant that cannot take part here; the reason is shown in its place."""


class Hung(RuntimeError):  # noqa: N818 (an outcome, not an error)
    """A side did not end in time; all of them were killed."""


def repeats() -> int:
    return 1 if quick else 5


def in_full(*, first: bool, contestants: Mapping[str, Callable[[], Figures]]) -> dict[str, Callable[[], Figures]]:
    """Return all contestants; in a quick run, those of the `first` of several sizes, and one of ours of the others."""
    if first or not quick:
        return dict(contestants)
    ours = next(name for name in contestants if name.startswith("mftcore"))
    return {ours: contestants[ours]}


def scaled(count: int, least: int = 100) -> int:
    """Return how many messages of `count` this run takes."""
    return max(count // 20, least) if quick else count


def two_cores() -> tuple[int, int]:
    """Return two cores of this process's affinity mask, or skip: on one core the figures would mean nothing."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores, and this process may use one")
    return cores[0], cores[1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core, without the garbage collector, inside the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)


def pair(first: Side, second: Side, *, both: bool = False) -> Any:
    """Run two functions in two new processes, each on a core of its own; return what the first one, or both, return."""
    answers = group([first, second])
    return answers if both else answers[0]


def group(sides: Sequence[Side], timeout_s: float = 30) -> list[Any]:
    """Run functions in new processes, the first on the first core, the others shared out over the rest.

    All get the same eight zeroed numbers in shared memory, to tell each other how far they are. If one fails or does
    not end in time, all are killed and `RuntimeError` or `Hung` says what happened. They die with this process.
    """
    two_cores()
    core, *rest = sorted(os.sched_getaffinity(0))
    marks = np.frombuffer(mmap.mmap(-1, 4096), np.int64, 8)
    context = multiprocessing.get_context("fork")
    children, ends = [], []
    try:
        for i, side in enumerate(sides):
            here, there = context.Pipe(duplex=False)
            place = core if i == 0 else rest[(i - 1) % len(rest)]
            child = context.Process(target=_on_core, args=(place, side, marks, there, os.getpid()), daemon=False)
            with warnings.catch_warnings():
                # this process has threads of numerical libraries, which sleep: nothing of theirs is used in the child
                warnings.simplefilter("ignore", DeprecationWarning)
                child.start()
            there.close()
            children.append(child)
            ends.append(here)
        answers = _answers(ends, time.monotonic() + timeout_s)
        for child in children:  # which are about to end
            child.join(timeout=1)
        return answers
    finally:
        for child in children:
            child.kill()
            child.join()
            child.close()
        for end in ends:
            end.close()


def _on_core(core: int, side: Side, marks: "npt.NDArray[np.int64]", answer: Connection, parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    os.sched_setaffinity(0, {core})
    gc.disable()
    try:
        answer.send((True, side(marks)))
    except NotMeasured as reason:
        answer.send((None, str(reason)))
    except BaseException:
        answer.send((False, traceback.format_exc(limit=4)))
        raise
    finally:
        answer.close()


def _answers(ends: list[Connection], deadline: float) -> list[Any]:
    answers: dict[int, Any] = {}
    while len(answers) < len(ends):
        missing = [end for i, end in enumerate(ends) if i not in answers]
        ready = wait(missing, max(deadline - time.monotonic(), 0))
        if not ready:
            raise Hung("did not end in time")
        for end in ready:
            try:
                good, value = end.recv()  # type: ignore[union-attr]
            except EOFError:
                raise RuntimeError("a side ended without an answer") from None
            if good is None:
                raise NotMeasured(value)
            if not good:
                raise RuntimeError(str(value).strip().splitlines()[-1])
            answers[ends.index(end)] = value  # type: ignore[arg-type]
    return [answers[i] for i in range(len(ends))]


def meet(marks: "npt.NDArray[np.int64]", side: int) -> None:
    """Wait until both sides are here: both have opened what they use."""
    marks[side] = 1
    while not marks[1 - side]:
        time.sleep(0.0005)


def percentiles(taken_ns: "npt.NDArray[np.int64]") -> dict[str, int]:
    """Return p50, p90, p99, p999, max and count of samples in ns; each is a value that occurred."""
    ordered = np.sort(taken_ns)
    marks = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999}
    found = {name: int(ordered[min(len(ordered) - 1, int(part * len(ordered)))]) for name, part in marks.items()}
    return {**found, "max": int(ordered[-1]), "count": len(ordered)}


def in_runs(call: Callable[[], Any], count: int, run: int = 64) -> Figures:
    """Return the ns of one call: the median over runs of `run` calls in a row, of the mean within one."""
    spans, clock = np.empty(max(count // run, 1), np.int64), time.perf_counter_ns
    steps = range(run)
    for i in range(-len(spans) // 10, len(spans)):
        start = clock()
        for _ in steps:
            call()
        spans[max(i, 0)] = clock() - start
    return {"ns": float(np.median(spans)) / run, "runs": len(spans)}


def one_by_one(call: Callable[[], Any], count: int) -> dict[str, int]:
    """Return percentiles of single calls; a pair of clock readings, some 40 ns, is in each."""
    taken, clock = np.empty(count, np.int64), time.perf_counter_ns
    for i in range(count):
        start = clock()
        call()
        taken[i] = clock() - start
    return percentiles(taken)


def contest(
    benchmark: Any, measure: str, contestants: Mapping[str, Callable[[], Figures]], *, key: str, turns: int = 0
) -> None:
    """Measure contestants in turn, A B C, A B C, A B C, so that what disturbs the machine disturbs all of them.

    Each call of a contestant measures once and returns its figures. One that raises `NotMeasured` is shown with its
    reason. A turn that failed is noted; a contestant of ours without a single good turn fails the suite, a peer is then
    shown with what happened to it. A peer that hung once is not tried again: it is shown as hung. One "round" of
    pytest-benchmark is one turn of all. `key` names the figure that ratios are made of.
    """
    table = _report.Table.of(measure, key)
    failures: dict[str, str] = {}

    def turn() -> None:
        for name, measured in contestants.items():
            if name in table.absent:
                continue
            if os.environ.get("BENCH_TRACE"):
                print(f"{time.monotonic():.2f} {measure}: {name}", file=sys.stderr, flush=True)
            found: Figures = {}
            try:
                found = measured()
            except NotMeasured as reason:
                table.not_measured(name, str(reason))
                continue
            except RuntimeError as error:
                if isinstance(error, Hung) and not name.startswith(OURS):
                    table.not_measured(name, f"hung: {error}")
                    continue
                failures[name] = str(error)
                table.notes.append(f"{name}: a turn failed: {error}")
            table.add(name, found)

    benchmark.pedantic(turn, rounds=turns or repeats(), iterations=1)
    for name, error in failures.items():
        if table.value(name) is None:
            if name.startswith(OURS):
                raise RuntimeError(f"{name}: {error}")
            table.not_measured(name, f"failed: {error}")
    benchmark.extra_info.update({"measure": measure, "figures": table.summary()})


_built: dict[tuple[str, ...], str] = {}


def work_directory() -> Path:
    """Return a directory for what is built in this session; it goes when the session does."""
    if "directory" not in _work:
        _work["directory"] = tempfile.mkdtemp(prefix="bench-")
        atexit.register(shutil.rmtree, _work["directory"], ignore_errors=True)
    return Path(_work["directory"])


_work: dict[str, str] = {}


def c_program(source: str, *arguments: object, define: str = "") -> Figures:
    """Build (once) and run a program of bench/c; return the figures of the line that it prints."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotMeasured("no C compiler")
    build = (compiler, "-std=c11", "-D_GNU_SOURCE", "-O3", f"-I{mftcore.get_include()}", str(HERE / "c" / source))
    build += (f"-D{define}",) if define else ()
    if build not in _built:
        program = str(work_directory() / f"{Path(source).stem}{len(_built)}")
        made = subprocess.run([*build, "-o", program], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise RuntimeError(f"bench/c/{source} does not build: {made.stderr.strip()}")
        _built[build] = program
    command = [_built[build], *map(str, arguments)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        raise Hung("did not end in time") from None
    if ran.returncode != 0:
        raise RuntimeError(f"bench/c/{source} failed: {ran.stderr.strip()}")
    figures: Figures = json.loads(ran.stdout)
    return figures
