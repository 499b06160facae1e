"""Loops over the structures in Numba's nopython code, compiled when first called.

Imported late: Numba is dear to import. Not cached on disk: it would not notice that what is measured has changed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

import mftcore.numba  # noqa: F401 (it teaches Numba the endpoints)

CLOCK_MONOTONIC = 1
clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.uintp))


def record_dtype(record_bytes: int) -> "np.dtype[Any]":
    """Return a record of this size that Numba knows."""
    return np.dtype([("number", "<i8"), ("words", "<i8", (record_bytes // 8 - 1,))])


@njit
def now_ns(time: "npt.NDArray[np.int64]") -> int:
    """Return the monotonic clock; `time` is room for its two words."""
    clock_gettime(CLOCK_MONOTONIC, time.ctypes.data)
    return time[0] * 1_000_000_000 + time[1]


@njit(nogil=True)
def ping(tx: Any, rx: Any, record: Any, taken: "npt.NDArray[np.int64]", time: "npt.NDArray[np.int64]") -> None:
    for i in range(taken.size):
        start = now_ns(time)
        while not tx.push(record):
            pass
        while not rx.pop(record):
            pass
        taken[i] = now_ns(time) - start


@njit(nogil=True)
def echo(rx: Any, tx: Any, record: Any, count: int) -> None:
    for _ in range(count):
        while not rx.pop(record):
            pass
        while not tx.push(record):
            pass


@njit(nogil=True)
def produce(tx: Any, record: Any, count: int) -> None:
    for _ in range(count):
        while not tx.push(record):
            pass


@njit(nogil=True)
def consume(rx: Any, record: Any, count: int) -> None:
    for _ in range(count):
        while not rx.pop(record):
            pass


@njit(nogil=True)
def push_and_pop(tx: Any, rx: Any, record: Any, count: int) -> None:
    for _ in range(count):
        tx.push(record)
        rx.pop(record)


@njit(nogil=True)
def read_value(reader: Any, record: Any, count: int) -> None:
    for _ in range(count):
        reader.read(record)


@njit(nogil=True)
def read_book(reader: Any, levels: int, count: int) -> None:
    for _ in range(count):
        reader.read(levels)


@njit(nogil=True)
def record_values(recorder: Any, count: int) -> None:
    for i in range(count):
        recorder.record(i)
