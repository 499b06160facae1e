"""The order book: publishing and reading the window of its best levels, and changing the master book.

A regression of the reads means that what the strategy pays per look got dearer; if only with a saturating writer, that
readers retry more or that the writer moves more cache lines. A regression of publish or apply means that each received
message costs the market data process more. The C rows are the same calls without Python.
"""

import time
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from _books import DEPTH, LEVELS, VALUE_BYTES, Blackboard, Newest, Top, Value, Window, Window10, WindowInto, master_book
from _harness import Figures, c_program, contest, pinned, scaled, two_cores
from _targets import READ_BUSY, READ_IDLE

from mftcore import LEVEL

READERS: tuple[type[Newest], ...] = (Window, Window10, Top, WindowInto, Value, Blackboard)
MESSAGES = 32
SEED = 1


def from_c(measure: str, number: int, writer: str, count: int) -> Any:
    here, other = two_cores()
    return partial(c_program, "bench_book.c", measure, number, writer, scaled(count, 1280), here, other)


@pytest.mark.benchmark(group="book")
def bench_read_while_nobody_writes(benchmark: Any) -> None:
    """ "ns" is the mean of 64 reads in a row (median of such runs); the percentiles are of reads timed one by one."""
    contestants = {f"C seqlock of {VALUE_BYTES:,} bytes": from_c("read", VALUE_BYTES, "idle", 100_000)}
    contestants |= {board.name: partial(board().read, busy=False) for board in READERS}
    contest(benchmark, READ_IDLE, contestants, key="ns")


@pytest.mark.benchmark(group="book")
def bench_read_under_a_saturating_writer(benchmark: Any) -> None:
    """Another process on another core writes without a pause: "writes_per_us" says how fast."""
    contestants = {
        f"C seqlock of {VALUE_BYTES:,} bytes": from_c("read", VALUE_BYTES, "saturating", 100_000),
        f"C seqlock of {VALUE_BYTES:,} bytes, writer at 1 MHz": from_c("read", VALUE_BYTES, "1mhz", 100_000),
    }
    contestants |= {board.name: partial(board().read, busy=True) for board in READERS}
    contest(benchmark, READ_BUSY, contestants, key="ns")


@pytest.mark.benchmark(group="book")
def bench_publish(benchmark: Any) -> None:
    """From a master book of 1,000 levels a side to the published window; and plain values of the same size."""
    contestants = {
        f"C publish, {LEVELS} levels": from_c("publish", LEVELS, "idle", 100_000),
        f"C seqlock of {VALUE_BYTES:,} bytes": from_c("write", VALUE_BYTES, "idle", 100_000),
        f"mftcore publish, {LEVELS} levels": Window().write,
        Value.name: Value().write,
        Blackboard.name: Blackboard().write,
    }
    contest(benchmark, "book window of 2,400 bytes, write, nobody reads, ns", contestants, key="ns")


@pytest.mark.benchmark(group="book")
@pytest.mark.parametrize("changes", [10, 68, 610, 1226])
def bench_apply(benchmark: Any, changes: int) -> None:
    """Changes of so many levels at once to a master book of 1,000 levels a side; ns per changed level."""
    contestants = {
        "C apply": from_c("apply", changes, "idle", 3_000),
        "mftcore apply": partial(apply, changes),
    }
    contest(benchmark, f"master book, {changes} changed levels a message, ns per level", contestants, key="ns")


def apply(changes: int) -> Figures:
    """Half of the changes on each side; the rule of bench/c/bench_book.c, which says how far from the best."""
    master, count, clock = master_book(), scaled(3_000), time.perf_counter_ns
    random, half = np.random.default_rng(SEED), changes // 2
    messages = [(side(random, half, 1_000_000, -1), side(random, half, 1_000_001, 1)) for _ in range(MESSAGES)]
    taken = np.empty(count, np.int64)
    change = master.apply
    with pinned(two_cores()[0]):
        for i in range(-count // 10, count):
            bids, asks = messages[i % MESSAGES]
            start = clock()
            change(bids, asks)
            taken[max(i, 0)] = clock() - start
    assert abs(master.n_bids - DEPTH) < DEPTH
    return {"ns": float(np.median(taken)) / (2 * half), "runs": count}


def side(random: np.random.Generator, count: int, best: int, away: int) -> "npt.NDArray[np.void]":
    levels = np.zeros(count, LEVEL)
    levels["price_ticks"] = best + away * random.integers(0, 2 * count + 20, count)
    levels["size_lots"] = np.where(random.random(count) < 0.3, 0, random.integers(1, 1001, count))
    return levels
