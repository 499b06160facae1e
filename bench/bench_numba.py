"""The calls inside Numba's nopython code, beside the same ones from C and from Python.

A regression with unchanged C rows means that the way from compiled code into ours got longer: the checks of the port,
or what Numba makes of a call. The round trip and the throughput from Numba stand among the others in ``bench_ring.py``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from _harness import Figures, c_program, contest, in_runs, pinned, scaled, two_cores
from _nopython_ways import push_and_pop, read_book, read_value, record_value
from _targets import NOPYTHON

from mftcore import Histogram, Seqlock, SeqlockBook, SpscRing

RECORD = 64
LEVELS = 50
WINDOW_BYTES = 2_400
Contestants = dict[str, Callable[[], Figures]]


def book_program(measure: str, number: int) -> Callable[[], Figures]:
    return partial(c_program, "bench_book.c", measure, number, "idle", scaled(300_000, 6400), *two_cores())


def from_python(call: Callable[[], Any]) -> Figures:
    with pinned(two_cores()[0]):
        return in_runs(call, scaled(100_000, 6400))


@pytest.mark.benchmark(group="numba")
def bench_nopython_push_and_pop(benchmark: Any) -> None:
    """Both calls, as in "push and pop in one process"."""
    program = partial(
        c_program, "bench_ring.c", "ours", "one_process", scaled(500_000, 1000), *two_cores(), define=f"RECORD={RECORD}"
    )
    contestants: Contestants = {
        "C ring": lambda: {"ns": program()["ns_per_message"]},
        "mftcore from Numba": partial(push_and_pop, RECORD),
        "mftcore bound record, from Python": python_push_and_pop,
    }
    contest(benchmark, NOPYTHON.format("push and pop of 64 bytes"), contestants, key="ns")


def python_push_and_pop() -> Figures:
    with SpscRing.create(RECORD, 1024) as ring, ring.producer() as tx, ring.consumer() as rx:
        push, pop = tx.bind(np.zeros(1, ring.dtype)).push, rx.bind(np.zeros(1, ring.dtype)).pop

        def both() -> None:
            push()
            pop()

        return from_python(both)


@pytest.mark.benchmark(group="numba")
def bench_nopython_read_value(benchmark: Any) -> None:
    """A `Seqlock` of 64 bytes; the age that ours return takes a look at the clock."""
    contestants: Contestants = {
        "C seqlock": book_program("read", RECORD),
        "mftcore from Numba, read()": partial(read_value, RECORD),
        "mftcore from Python, read_into()": python_read_value,
    }
    contest(benchmark, NOPYTHON.format("read of a value of 64 bytes"), contestants, key="ns")


def python_read_value() -> Figures:
    with Seqlock.create(RECORD) as value, value.writer() as writer, value.reader() as reader:
        writer.write(bytes(RECORD))
        out, read_into = bytearray(RECORD), reader.read_into
        return from_python(lambda: read_into(out))


@pytest.mark.benchmark(group="numba")
def bench_nopython_read_book(benchmark: Any) -> None:
    """The window of 50 levels a side, and ten levels of it."""
    contestants: Contestants = {
        f"C seqlock of {WINDOW_BYTES:,} bytes": book_program("read", WINDOW_BYTES),
        "mftcore from Numba, read(), 50 levels": partial(read_book, LEVELS, LEVELS),
        "mftcore from Numba, read(10)": partial(read_book, LEVELS, 10),
        "mftcore from Python, read(), 50 levels": python_read_book,
    }
    contest(benchmark, NOPYTHON.format("read of the book"), contestants, key="ns")


def python_read_book() -> Figures:
    from _books import master_book

    with SeqlockBook.create("BENCH", 1.0, 1.0, levels=LEVELS) as book, book.writer() as writer:
        writer.publish(master_book(), exchange_time_ns=1, receive_ns=2)
        with book.reader() as reader:
            return from_python(reader.read)


@pytest.mark.benchmark(group="numba")
def bench_nopython_record(benchmark: Any) -> None:
    """One value into a `Histogram`."""
    contestants: Contestants = {
        "C histogram": book_program("histogram", 64),
        "mftcore from Numba, record()": record_value,
        "mftcore from Python, record()": python_record,
    }
    contest(benchmark, NOPYTHON.format("record of one value"), contestants, key="ns")


def python_record() -> Figures:
    with Histogram.create() as histogram, histogram.recorder() as recorder:
        record = recorder.record
        return from_python(lambda: record(1234))
