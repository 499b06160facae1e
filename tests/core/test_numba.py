"""Inside Numba's nopython code: the same calls, the same results, found again in the cache, refused when retired."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

import mftcore.numba
from mftcore import (
    BOOK_EMPTY,
    Broadcast,
    ByteRing,
    ClosedError,
    Histogram,
    MasterBook,
    RoleBusy,
    Seqlock,
    SeqlockBook,
    SpscRing,
    abi,
)
from mftcore.numba import NopythonError

TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8")])
ROOT = Path(__file__).resolve().parents[2]


@njit(nogil=True)
def push(tx, record):
    return tx.push(record)


@njit(nogil=True)
def push_many(tx, records):
    return tx.push_many(records)


@njit(nogil=True)
def pop(rx, record):
    return rx.pop(record)


@njit(nogil=True)
def pop_many(rx, records):
    return rx.pop_many(records)


@njit(nogil=True)
def write(writer, record):
    return writer.write(record)


@njit(nogil=True)
def read(reader, record):
    return reader.read(record)


@njit(nogil=True)
def record_all(recorder, values):
    for ns in values:
        recorder.record(ns)


@njit(nogil=True)
def imbalance(reader, bids, asks, levels):
    version, age_ns, state, n_bids, n_asks = reader.read(levels)
    total = 0
    for i in range(n_bids):
        total += bids[i].size_lots
    for i in range(n_asks):
        total -= asks[i].size_lots
    return version, age_ns, state, total


def test_records_pushed_and_popped_in_nopython_code_are_those_of_python() -> None:
    record = np.zeros(1, TRADE)
    with SpscRing.create(TRADE, 4) as ring, ring.producer() as tx, ring.consumer() as rx:
        for price in range(5):
            record["price_ticks"] = price
            assert push(tx, record) == (price < 4)
        assert (ring.counters().pushed, ring.counters().full) == (4, 1)
        assert rx.pop() == np.array([(0, 0)], TRADE).tobytes()
        out = np.zeros(8, TRADE)
        assert pop(rx, record)
        assert record["price_ticks"] == 1
        assert pop_many(rx, out) == 2
        assert out["price_ticks"].tolist() == [2, 3, 0, 0, 0, 0, 0, 0]
        assert not pop(rx, record)
        assert push_many(tx, out) == 4
        assert rx.waiting == 4


def test_values_are_written_and_read_with_version_and_age() -> None:
    value, out = np.zeros(1, TRADE), np.ones(1, TRADE)
    with Seqlock.create(TRADE) as lock, lock.writer() as writer, lock.reader() as reader:
        assert read(reader, out) == (0, -1)
        assert out.tolist() == [(0, 0)]
        value["size_lots"] = 7
        assert write(writer, value) == 1
        version, age_ns = read(reader, out)
        assert (version, out["size_lots"][0]) == (1, 7)
        assert age_ns >= 0
        assert reader.read()[1].epoch == 1
        assert not reader.wait(0)  # what nopython code has read counts as read
        write(writer, value)
        assert reader.wait(0)


def test_a_book_is_read_into_the_readers_arrays_and_latency_is_recorded() -> None:
    master = MasterBook()
    with SeqlockBook.create("X", 0.1, 0.1, levels=3) as book, Histogram.create() as histogram:
        writer, reader = book.writer(), book.reader()
        assert imbalance(reader, reader.bids, reader.asks, -1) == (0, -1, BOOK_EMPTY, 0)
        master.snapshot(np.array([[10, 5, 5], [9, 7, 7]]), np.array([[11, 1, 1], [12, 2, 2], [13, 3, 3]]))
        writer.publish(master, exchange_time_ns=1, receive_ns=1)
        version, age_ns, state, total = imbalance(reader, reader.bids, reader.asks, -1)
        assert (version, state, total) == (1, 0, 12 - 6)
        assert age_ns > 0
        assert imbalance(reader, reader.bids, reader.asks, 1)[3] == 5 - 1
        assert imbalance(reader, reader.bids, reader.asks, 0)[3] == 0
        record_all(histogram.recorder(), np.array([5, 6, 7, -1]))
        assert (histogram.count, histogram.negative, histogram.max_ns) == (3, 1, 7)


@njit(nogil=True)
def write_many(writer, records):
    return writer.write_many(records)


def test_broadcast_records_are_written_and_read_with_their_number_and_what_was_lost() -> None:
    record, out = np.zeros(1, TRADE), np.zeros(1, TRADE)
    with Broadcast.create(TRADE, 7) as broadcast, broadcast.writer() as writer, broadcast.reader() as reader:
        assert read(reader, out) == (0, 0)
        record["size_lots"] = 5
        assert write(writer, record) == 1
        assert reader.wait(0)
        assert read(reader, out) == (1, 0)
        assert out.tolist() == record.tolist()
        assert (reader.number, reader.record_epoch, reader.behind) == (1, 1, 0)  # Python knows what was read here
        assert write_many(writer, np.zeros(0, TRADE)) == 1
        many = np.zeros(20, TRADE)
        many["price_ticks"] = np.arange(2, 22)
        assert write_many(writer, many) == 21
        number, lost = read(reader, out)
        assert (number, lost, out["price_ticks"][0]) == (18, 16, 18)
        assert reader.lost == 16
        assert reader.read_many(np.zeros(9, TRADE)) == 3
        assert read(reader, out) == (0, 16)
        with pytest.raises(NopythonError, match="one record"):
            read(reader, np.zeros(2, TRADE))


def test_messages_of_any_length_are_pushed_and_popped_and_one_too_long_stays() -> None:
    buffer = np.zeros(64, np.uint8)
    with ByteRing.create(1000) as ring, ring.producer() as tx, ring.consumer() as rx:
        assert pop(rx, buffer) == -1
        assert push(tx, np.arange(5, dtype=np.uint8))
        assert push(tx, np.zeros(0, np.uint8))
        assert push(tx, np.full(65, 7, np.uint8))
        assert rx.pop() == bytes(range(5))
        assert tx.push(b"from Python")
        assert pop(rx, buffer) == 0
        with pytest.raises(NopythonError, match="longer than the buffer, and stays"):
            pop(rx, buffer)
        assert pop(rx, np.zeros(65, np.uint8)) == 65
        assert pop(rx, buffer) == 11
        assert buffer[:11].tobytes() == b"from Python"
        with pytest.raises(NopythonError, match="than the ring can ever hold"):
            push(tx, np.zeros(ring.capacity + 1, np.uint8))
        assert push(tx, np.zeros(ring.capacity, np.uint8))
        assert not push(tx, np.zeros(1, np.uint8))
        assert tuple(ring.counters())[:3] == (5, 4, 1)
        with pytest.raises(TypingError):
            push(tx, np.zeros(4, np.int8))
        with tx.claim(0), pytest.raises(RoleBusy):
            push(tx, buffer)


def test_what_cannot_be_used_raises_a_sentence() -> None:
    record = np.zeros(1, TRADE)
    with SpscRing.create(TRADE, 4) as ring:
        tx, rx = ring.producer(), ring.consumer()
        with tx.claim(1), pytest.raises(RoleBusy):
            push(tx, record)
        for call, end in ((push, tx), (pop, rx)):
            with pytest.raises(NopythonError, match="one record"):
                call(end, np.zeros(2, TRADE))
            with pytest.raises(TypingError):
                call(end, np.zeros(1, "<i8"))
            with pytest.raises(TypingError):
                call(end, np.zeros(4, TRADE)[::2])
            end.close()
            with pytest.raises(ClosedError):
                call(end, record)


@njit(nogil=True)
def pop_for_ever(rx, record):
    while not rx.pop(record):
        pass


def test_an_endpoint_that_is_closed_under_a_nopython_loop_ends_it_with_a_sentence() -> None:
    with SpscRing.create(TRADE, 4) as ring, ThreadPoolExecutor(1) as pool:
        ring.producer().push_many(np.zeros(1, TRADE))
        rx = ring.consumer()
        pop_for_ever(rx, np.zeros(1, TRADE))  # compiled
        loop = pool.submit(pop_for_ever, rx, np.zeros(1, TRADE))
        while not loop.running():
            os.sched_yield()
        rx.close()
        with pytest.raises((NopythonError, ClosedError), match="closed"):
            loop.result(60)


def test_damage_is_an_error() -> None:
    with SpscRing.create(TRADE, 4) as ring, ring.consumer() as rx:
        with open(f"/proc/self/fd/{ring.fileno()}", "r+b", buffering=0) as file:  # noqa: PTH123
            file.seek(4096)
            file.write((99).to_bytes(8, "little"))
        with pytest.raises(NopythonError, match="out of their bounds"):
            pop(rx, np.zeros(1, TRADE))


@njit(nogil=True)
def echo(rx, tx, record, count):
    for _ in range(count):
        while not rx.pop(record):
            pass
        while not tx.push(record):
            pass


def test_a_nopython_loop_runs_beside_python_threads_and_wakes_those_who_sleep() -> None:
    record = np.zeros(1, TRADE)
    with SpscRing.create(TRADE, 4) as there, SpscRing.create(TRADE, 4) as back:
        tx, rx = there.producer(), back.consumer()
        loop = threading.Thread(target=echo, args=(there.consumer(), back.producer(), np.zeros(1, TRADE), 200))
        loop.start()  # spins without the GIL, or nothing below would run
        for price in range(200):
            record["price_ticks"] = price
            assert tx.push(record)
            got = rx.pop_wait(60.0)
            assert got is not None
            assert np.frombuffer(got, TRADE)["price_ticks"][0] == price
        loop.join()


def program(cache: Path, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("numba_program.py")), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def test_the_second_start_finds_the_compiled_function_in_the_cache_and_a_later_version_refuses_it(
    tmp_path: Path,
) -> None:
    expected = {"moved": 10, "error": "", "numbers": list(range(1, 11)), "halves": [n / 2 for n in range(1, 11)]}
    first = program(tmp_path)
    assert first == {**expected, "hits": 0, "misses": 1}
    second = program(tmp_path)
    assert second == {**expected, "hits": 1, "misses": 0}
    later = program(tmp_path, str(abi.ABI + 1))
    assert later["hits"] == 1  # Numba does not know that we have changed
    assert later["numbers"] == []
    assert "compiled for another version of mftcore: delete Numba's cache" in later["error"]


def test_symbols_carry_the_number_of_the_interface() -> None:
    names = abi.symbols()
    assert all(name.startswith(f"mft{abi.ABI}_") for name in names)
    assert len(abi.symbols(7, [5, 6])) == 3 * len(names)
    assert mftcore.numba.EndpointType("X", None) == mftcore.numba.EndpointType("X", None)
