"""Waiting: an endpoint sleeps until there is something to do, and learns of the other side's death."""

import os
import signal
import threading
from typing import Literal

import numpy as np
import pytest

from mftcore import (
    ClosedError,
    Doorbell,
    MasterBook,
    PeerDied,
    RecordError,
    RoleBusy,
    Seqlock,
    SeqlockBook,
    SpscRing,
    wait_any,
)
from tests.core.children import child

Mode = Literal["park", "yield", "spin"]
MODES: list[Mode] = ["park", "yield", "spin"]
FOR_EVER_S = 60.0  # a lost wake-up shows as a sleep of ten milliseconds per record: still far from this


def echo(there: SpscRing, back: SpscRing, mode: Mode, count: int) -> None:
    rx, tx = there.consumer(), back.producer()
    for _ in range(count):
        record = rx.pop_wait(FOR_EVER_S, mode=mode)
        assert record is not None
        assert tx.push_wait(record, FOR_EVER_S, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_records_go_there_and_back_between_processes_that_wait(mode: Mode) -> None:
    count = 2000
    with SpscRing.create(8, 4) as there, SpscRing.create(8, 4) as back, child(echo, there, back, mode, count):
        tx, rx = there.producer(), back.consumer()
        for i in range(count):
            assert tx.push_wait(i.to_bytes(8, "little"), FOR_EVER_S, mode=mode)
            assert rx.pop_wait(FOR_EVER_S, mode=mode) == i.to_bytes(8, "little")


def fill(ring: SpscRing, count: int) -> None:
    tx = ring.producer()
    for i in range(count):
        assert tx.push_wait(i.to_bytes(8, "little"), FOR_EVER_S)


def test_a_full_ring_makes_its_producer_sleep_until_there_is_room() -> None:
    with SpscRing.create(8, 2) as ring, child(fill, ring, 5000):
        rx = ring.consumer()
        for i in range(5000):
            assert rx.pop_wait(FOR_EVER_S) == i.to_bytes(8, "little")
        assert ring.counters().full == 0  # it waited for room in place of being refused


def test_nothing_to_do_is_false_or_none_when_the_time_has_passed() -> None:
    with SpscRing.create(8, 1) as ring, ring.producer() as tx, ring.consumer() as rx:
        for mode in MODES:
            assert rx.wait(0, mode=mode) is False
            assert rx.wait(0.001, mode=mode) is False
            assert rx.pop_wait(0.001, mode=mode) is None
        assert tx.wait(0)
        tx.push(bytes(8))
        assert tx.wait(0.001) is False
        assert tx.push_wait(bytes(8), 0.001) is False
        assert rx.wait(0)
        assert wait_any([tx, rx], 0) == [rx]


def test_a_reader_waits_for_a_newer_value_than_it_has_read() -> None:
    with Seqlock.create(8) as lock, lock.writer() as writer:
        first, second = lock.reader(), lock.reader()
        assert first.wait(0.001) is False
        writer.write(bytes(8))
        assert first.wait(0)
        assert second.wait(0)
        first.read()
        assert first.wait(0.001) is False
        assert wait_any([first, second], 0) == [second]


def test_a_book_reader_is_woken_by_a_publication() -> None:
    def publish(book: SeqlockBook) -> None:
        writer, master = book.writer(), MasterBook()
        master.snapshot(np.array([[10, 1, 1]]), np.array([[12, 1, 1]]))
        for i in range(1, 201):
            writer.publish(master, exchange_time_ns=i, receive_ns=i)

    with SeqlockBook.create("X", 0.1, 0.1) as book, child(publish, book):
        reader, seen = book.reader(), 0
        while seen < 200:
            try:
                assert reader.wait(FOR_EVER_S)
            except PeerDied:  # said once there is nothing newer: the last version was read
                assert seen == 200
            stamp = reader.read()
            assert stamp.version >= seen
            seen = stamp.version
        assert (stamp.mid_ticks, stamp.spread_ticks, stamp.exchange_time_ns) == (11.0, 2, 200)


def feed(rings: list[SpscRing], count: int) -> None:
    ends = [ring.producer() for ring in rings]
    for i in range(count):
        assert ends[i % len(ends)].push_wait(i.to_bytes(8, "little"), FOR_EVER_S)


@pytest.mark.parametrize("mode", MODES)
def test_many_rings_fan_in_through_one_wait(mode: Mode) -> None:
    rings = [SpscRing.create(8, 8) for _ in range(5)]
    with child(feed, rings, 3000):
        ends = [ring.consumer() for ring in rings]
        got: list[list[int]] = [[] for _ in ends]
        while sum(map(len, got)) < 3000:
            for end in wait_any(ends, FOR_EVER_S, mode=mode):
                while (record := end.pop()) is not None:
                    got[ends.index(end)].append(int.from_bytes(record, "little"))
        assert got == [list(range(k, 3000, 5)) for k in range(5)]


def ring_it(bell: Doorbell, ring: SpscRing, count: int) -> None:
    tx = ring.producer(bell)
    for i in range(count):
        while not tx.push(i.to_bytes(8, "little")):
            os.sched_yield()


def test_a_doorbell_is_rung_by_the_endpoint_that_was_given_it_and_can_be_one_of_many() -> None:
    with Doorbell.create() as bell, SpscRing.create(8, 8) as ring, SpscRing.create(8, 8) as quiet:
        rx, other = ring.consumer(), quiet.consumer()
        with child(ring_it, bell, ring, 2000):
            got = []
            while len(got) < 2000:
                assert wait_any([bell, other], FOR_EVER_S) == [bell]
                while (record := rx.pop()) is not None:
                    got.append(int.from_bytes(record, "little"))
        assert got == list(range(2000))


def die(ring: SpscRing, records: int) -> None:
    tx = ring.producer()
    for i in range(records):
        tx.push(i.to_bytes(8, "little"))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_producer_is_told_once_after_its_records_and_its_successor_is_waited_for() -> None:
    with SpscRing.create(8, 8) as ring, ring.consumer() as rx:
        with child(die, ring, 3) as process:
            for i in range(3):
                assert rx.pop_wait(FOR_EVER_S) == i.to_bytes(8, "little")
            with pytest.raises(PeerDied, match=f"process {process.pid}, the producer of SpscRing") as caught:
                rx.pop_wait(FOR_EVER_S)
            assert caught.value.pid == process.pid
            assert rx.pop_wait(0.001) is None  # told once; now it waits like any other
            assert not rx.producer_alive
        with child(die, ring, 1):
            assert rx.pop_wait(FOR_EVER_S) == bytes(8)
            assert rx.producer_epoch == 2
            assert wait_any([rx], FOR_EVER_S) == [rx]  # the second death: once, with nothing to pop
            assert (rx.pop(), rx.producer_alive) == (None, False)
            assert wait_any([rx], 0.001) == []


def test_a_dead_consumer_is_told_to_a_producer_that_waits_for_room() -> None:
    def claim_and_die(ring: SpscRing) -> None:
        _held = ring.consumer()
        os.kill(os.getpid(), signal.SIGKILL)

    with SpscRing.create(8, 1) as ring, ring.producer() as tx:
        tx.push(bytes(8))
        with child(claim_and_die, ring), pytest.raises(PeerDied, match="the consumer"):
            tx.push_wait(bytes(8), FOR_EVER_S)


def test_a_producer_that_closed_in_order_is_no_death() -> None:
    with SpscRing.create(8, 1) as ring, ring.consumer() as rx:
        ring.producer().close()
        assert rx.pop_wait(0.001) is None


def test_a_second_thread_gets_role_busy_while_the_first_sleeps_and_the_gil_is_free() -> None:
    with SpscRing.create(8, 4) as ring, ring.consumer() as rx, ring.producer() as tx:
        got: list[bytes | None] = []
        sleeper = threading.Thread(target=lambda: got.append(rx.pop_wait(FOR_EVER_S)))
        sleeper.start()
        refused = 0
        while not refused:  # until it sleeps; this thread runs, so the sleeper has given the GIL away
            try:
                rx.waiting  # noqa: B018
            except RoleBusy:
                refused += 1
        with pytest.raises(RoleBusy):
            rx.close()
        tx.push(b"woken up")
        sleeper.join()
        assert got == [b"woken up"]


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_interrupts_a_wait_with_its_exception_and_the_endpoint_still_works(mode: Mode) -> None:
    class InterruptedTestError(Exception):
        pass

    def handler(*_: object) -> None:
        raise InterruptedTestError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with SpscRing.create(8, 4) as ring, ring.consumer() as rx, ring.producer() as tx:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(InterruptedTestError):
                rx.pop_wait(None, mode=mode)
            tx.push(bytes(8))
            assert rx.pop_wait(0) == bytes(8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_cannot_be_waited_for_is_refused() -> None:
    with SpscRing.create(8, 4) as ring, Seqlock.create(8) as lock:
        rx = ring.consumer()
        for timeout in (-1, float("nan"), 1e300):
            with pytest.raises(RecordError, match="timeout"):
                rx.wait(timeout)
        with pytest.raises(TypeError):
            rx.wait("soon")  # type: ignore[arg-type]
        with pytest.raises(RecordError, match="wait mode"):
            rx.wait(0, mode="doze")  # type: ignore[arg-type]
        for wrong, why in (([], "1 to 128"), ([rx] * 129, "1 to 128"), ([rx, rx], "twice")):
            with pytest.raises(RecordError, match=why):
                wait_any(wrong, 0)
        with pytest.raises(TypeError, match="cannot be waited for"):
            wait_any([ring], 0)
        with pytest.raises(TypeError, match="cannot be waited for"):
            wait_any([7], 0)  # type: ignore[type-var]
        with pytest.raises(TypeError, match="a writer never waits"):
            lock.writer().wait(0)
        with pytest.raises(TypeError, match="Doorbell"):
            ring.producer("bell")  # type: ignore[arg-type]
        assert rx.wait(0) is False  # and nothing stays marked as in use
        rx.close()
        with pytest.raises(ClosedError):
            rx.wait(0)


def test_bells_are_left_alone_while_nobody_sleeps() -> None:
    """A ring moves the word only to wake: as long as nobody sleeps the lines of both bells stay as they were made."""
    with SpscRing.create(8, 1024) as ring, ring.producer() as tx, ring.consumer() as rx:
        for _ in range(1000):
            tx.push(bytes(8))
            rx.pop()
        data = memoryview(ring.__reduce__()[1][1])
        assert bytes(data[128:256]) == bytes(128)
        assert rx.wait(0.001) is False
        assert bytes(data[128:256]) != bytes(128)
