"""The ring, values and books from Numba's nopython code: compiled once, in the process that starts the others."""

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _harness import Figures, pinned, scaled, two_cores
from _ways import CAPACITY, Ring

import mftcore
from mftcore import Seqlock, SeqlockBook, SpscRing

RUN = 640


def level() -> Any:
    """Return the module of the compiled loops; its import takes a second."""
    return importlib.import_module("_nopython")


class RingNumba(Ring):
    """The C calls from nopython loops, without the interpreter and its lock."""

    name = "mftcore from Numba"
    calls = "bound"
    messages = 1_280_000

    def make(self) -> SpscRing:
        self.level = level()
        self.dtype = self.level.record_dtype(self.record_bytes)
        self.one = np.zeros(1, self.dtype)
        self.time = np.zeros(2, np.int64)
        ring = SpscRing.create(self.dtype, CAPACITY)
        with SpscRing.create(self.dtype, CAPACITY) as other:  # compiled before the processes start
            tx, rx = other.producer(), other.consumer()
            self.ping(tx, rx, np.zeros(0, np.int64))
            self.echo(rx, tx, 0)
            self.produce(tx, 0)
            self.consume(rx, 0)
            tx.close()
            rx.close()
        return ring

    def sender(self, channel: SpscRing) -> Any:
        return channel.producer()

    def receiver(self, channel: SpscRing) -> Any:
        return channel.consumer()

    def ping(self, there: Any, back: Any, taken: Any) -> None:
        self.level.ping(there, back, self.one, taken, self.time)

    def echo(self, there: Any, back: Any, count: int) -> None:
        self.level.echo(there, back, self.one, count)

    def produce(self, there: Any, count: int) -> None:
        self.level.produce(there, self.one, count)

    def consume(self, there: Any, count: int) -> None:
        self.level.consume(there, self.one, count)


def in_one_process(loop: Callable[[int], Any], count: int) -> Figures:
    """Return the ns of one turn of a compiled loop: the median over runs of `RUN` turns, of the mean within one.

    A run is one call from Python, which is some 0.3 us of it.
    """
    spans, clock = np.zeros(max(scaled(count) // RUN, 1), np.int64), time.perf_counter_ns
    with pinned(two_cores()[0]):
        loop(RUN)
        for i in range(len(spans)):
            start = clock()
            loop(RUN)
            spans[i] = clock() - start
    return {"ns": float(np.median(spans)) / RUN, "runs": len(spans)}


def push_and_pop(record_bytes: int) -> Figures:
    compiled = level()
    dtype = compiled.record_dtype(record_bytes)
    one = np.zeros(1, dtype)
    with SpscRing.create(dtype, CAPACITY) as ring, ring.producer() as tx, ring.consumer() as rx:
        return in_one_process(lambda count: compiled.push_and_pop(tx, rx, one, count), 640_000)


def read_value(record_bytes: int) -> Figures:
    compiled = level()
    dtype = compiled.record_dtype(record_bytes)
    one = np.zeros(1, dtype)
    with Seqlock.create(dtype) as value, value.writer() as writer, value.reader() as reader:
        writer.write(one)
        return in_one_process(lambda count: compiled.read_value(reader, one, count), 640_000)


def read_book(levels: int, read: int) -> Figures:
    from _books import master_book

    compiled = level()
    with SeqlockBook.create("BENCH", 1.0, 1.0, levels=levels) as book, book.writer() as writer:
        writer.publish(master_book(), exchange_time_ns=1, receive_ns=2)
        with book.reader() as reader:
            return in_one_process(lambda count: compiled.read_book(reader, read, count), 320_000)


def record_value() -> Figures:
    compiled = level()
    with mftcore.Histogram.create() as histogram, histogram.recorder() as recorder:
        return in_one_process(lambda count: compiled.record_values(recorder, count), 640_000)
