"""The examples in C and Cython: built as their pages say, beside this package, and exchanging records with Python."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mftcore import ClosedError, Histogram, NoSuchSegment, Seqlock, SpscRing

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "c-and-cython.md"
HANG_S = 300
TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8")])
SUMS = np.dtype([("trades", "<i8"), ("lots", "<i8")])
ANSWER = np.dtype([("number", "<i8"), ("value_ticks", "<f8")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "CFLAGS": "-O0"}  # the build counts, not the speed


def command_of_the_page(first_word: str) -> str:
    """Return the command that the page tells readers to type."""
    (line,) = [line for line in PAGE.read_text(encoding="utf-8").split("\n") if line.startswith(f"{first_word} ")]
    return line


def run(command: list[str], where: Path, environment: dict[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
    )


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C program, compiled by the command of the page."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler called cc")
    where = tmp_path_factory.mktemp("c")
    shutil.copy(EXAMPLES / "c_program" / "answer.c", where)
    python = where / "bin" / "python"  # the page's `python` is the one that has this package
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = f"{command_of_the_page('cc')} -Wall -Wextra -Werror"
    built = run(["sh", "-c", command], where, environment={**ENVIRONMENT, "PATH": path})
    assert built.returncode == 0, built.stderr
    return where / "answer"


@pytest.fixture
def name() -> str:
    return f"test-answer-{os.getpid()}"


def test_a_c_program_takes_trades_keeps_a_value_and_answers_in_a_ring_of_its_own(answer: Path, name: str) -> None:
    trades = np.zeros(5_001, TRADE)  # more than any of the rings holds
    trades["price_ticks"] = np.arange(5_001)
    trades["size_lots"] = 1 + np.arange(5_001) % 7
    trades["size_lots"][-1] = 0  # the end
    got = np.zeros(5_000, ANSWER)
    with (
        SpscRing.create(TRADE, 64, name=f"{name}-trades") as ring,
        Seqlock.create(SUMS, name=f"{name}-sums") as sums,
        ring.producer() as tx,
        sums.reader() as reader,
        subprocess.Popen([answer, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program,
    ):
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        with SpscRing.attach(f"{name}-answers", ANSWER) as answers, answers.consumer() as rx:
            pushed = popped = 0
            while popped < 5_000:
                pushed += tx.push_many(trades[pushed:])
                popped += rx.pop_many(got[popped:])
                if pushed == 5_001 and popped < 5_000:
                    rx.wait(HANG_S)
            assert ring.counters().popped >= 5_000
            assert rx.producer_epoch == 1
        value = np.zeros(1, SUMS)
        assert reader.read_into(value).version == 5_000
        assert program.communicate(timeout=HANG_S) == ("", None)
        assert program.returncode == 0
        assert ring.consumer().epoch == 2  # it gave its role back
    assert value.tolist() == [(5_000, int(trades["size_lots"].sum()))]
    assert np.array_equal(got["number"], np.arange(1, 5_001))
    assert np.array_equal(got["value_ticks"], (trades["price_ticks"] * trades["size_lots"])[:-1])
    with pytest.raises(NoSuchSegment):
        SpscRing.attach(f"{name}-answers")


def test_a_c_program_says_what_is_wrong_with_the_memory(answer: Path, name: str) -> None:
    usage = run([str(answer)], answer.parent)
    assert (usage.returncode, usage.stderr) == (2, "usage: answer NAME\n")
    none = run([str(answer), name], answer.parent)
    assert (none.returncode, none.stderr) == (1, "answer: the ring of trades: code -9\n")
    with SpscRing.create(24, 64, name=f"{name}-trades"):
        wrong = run([str(answer), name], answer.parent)
        assert wrong.stderr == "answer: the ring of trades: code -3, record size is 0x18, expected 0x10\n"
    with SpscRing.create([("price_ticks", "<i8"), ("size", "<i8")], 64, name=f"{name}-trades"):
        assert "dtype hash is 0x" in run([str(answer), name], answer.parent).stderr
    with SpscRing.create(TRADE, 64, name=f"{name}-trades") as ring, ring.consumer():
        taken = run([str(answer), name], answer.parent)
        assert (taken.returncode, taken.stderr) == (1, "answer: its consumer's role: code -4\n")


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The Cython package, installed from a copy without any network, and imported from where it was put."""
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    for module in ("Cython", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    where = tmp_path_factory.mktemp("cython")
    shutil.copytree(EXAMPLES / "cython_package", where / "source")
    built = run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], where / "source")
    assert built.returncode == 0, built.stderr
    sys.path.insert(0, str(where / "source"))
    yield importlib.import_module("trade_summary")
    sys.path.remove(str(where / "source"))


def test_a_cython_module_follows_trades_without_the_gil(follower: Any) -> None:
    with (
        SpscRing.create(follower.TRADE, 64) as ring,
        Seqlock.create(follower.SUMMARY) as summary,
        Histogram.create() as ages,
        ring.producer() as tx,
        ring.consumer() as rx,
        summary.writer() as writer,
        summary.reader() as reader,
        ages.recorder() as recorder,
    ):
        averages = follower.Follower(rx, writer, recorder, weight=0.5)
        assert averages.follow(10) == 0
        assert reader.version == 0  # nothing was found, nothing written
        trades = np.zeros(4, follower.TRADE)
        trades["price_ticks"], trades["size_lots"] = [100, 110, 120, 90], [1, 2, 3, 4]
        assert tx.push_many(trades) == 4
        assert averages.follow(3) == 3
        value = np.zeros(1, follower.SUMMARY)
        assert reader.read_into(value).version == 1
        assert value.tolist() == [(3, 6, (100 + 220 + 360) / 6, 112.5)]
        assert averages.follow(1 << 62) == 1
        assert reader.read_into(value).version == 2
        assert value.tolist() == [(4, 10, 1040 / 10, 101.25)]
        assert (ages.count, ages.negative, rx.waiting) == (4, 0, 0)
        with pytest.raises(TypeError, match="no such call"):
            follower.Follower(tx, writer, recorder).follow(1)
        with pytest.raises(ValueError, match="needs a ring of"):
            follower.Follower(writer, rx, recorder)
        rx.close()
        with pytest.raises(ClosedError, match="closed"):
            averages.follow(1)
        with pytest.raises(ClosedError):
            follower.Follower(rx, writer, recorder)


def test_a_module_of_a_user_knows_no_size_and_no_class_of_ours(follower: Any) -> None:
    """So that it goes on working when they change: it looks up functions by name, and nothing else."""
    source = Path(follower.__file__).with_name("follower.c").read_text(encoding="utf-8")
    for line in source.split("\n"):
        assert "__Pyx_ImportType" not in line or "mftcore" not in line
        assert not ("#include" in line and "mftcore" in line)
    assert "(*__pyx_f_7mftcore_4port_port_pop)" in source  # found at import
