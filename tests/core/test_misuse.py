"""Misuse that would once have crashed, hung or lied: each is an error of ours, or simply works."""

import contextlib
import copy
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mftcore
from mftcore import (
    BOOK_STALE,
    ClosedError,
    Doorbell,
    ForkedError,
    GapWatch,
    Histogram,
    LayoutError,
    MasterBook,
    RecordError,
    RoleBusy,
    SeqlockBook,
    SpscRing,
    wait_any,
)
from mftcore.byte_ring import BytesClaim, BytesPeek
from mftcore.layout import dtype_from_text
from mftcore.lent import Lent
from mftcore.ring_end import BoundPop, BoundPush, Claim, Peek


def ends_of_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child; its exit status (negative: the signal that killed it)."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:  # noqa: BLE001
            print(repr(error), flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_threads_of_a_forked_child_may_use_a_handle_first_at_the_same_moment() -> None:
    ring = SpscRing.create(8, 4)

    def use() -> None:
        barrier, errors = threading.Barrier(4), []

        def count() -> None:
            barrier.wait()
            try:
                ring.counters()
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors

    assert [ends_of_child(use) for _ in range(20)] == [0] * 20


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_a_claim_cannot_be_copied(copier: Callable[[Any], Any]) -> None:
    def work() -> None:
        tx = SpscRing.create(8, 64).producer()
        with pytest.raises(TypeError):
            copier(tx.claim(4))
        with tx.claim(4) as claim, pytest.raises(TypeError):
            copier(claim)

    assert ends_of_child(work) == 0


@pytest.mark.parametrize("kind", [Lent, Claim, Peek, BytesClaim, BytesPeek])
def test_a_lent_object_made_without_its_endpoint_refuses_and_does_not_crash(kind: Any) -> None:
    def work() -> None:
        for use in (
            lambda o: o.__exit__(None, None, None),
            lambda o: getattr(o, "records", None) or o.view,
            lambda o: o.view,
            lambda o: o.__enter__(),
        ):
            with pytest.raises((ClosedError, TypeError)):
                use(kind.__new__(kind))

    assert ends_of_child(work) == 0


@pytest.mark.parametrize(("kind", "use"), [(BoundPush, "push"), (BoundPop, "pop")])
def test_a_bound_record_made_without_its_endpoint_refuses_and_does_not_crash(kind: Any, use: str) -> None:
    def work() -> None:
        with pytest.raises(ClosedError):
            getattr(kind.__new__(kind), use)()

    assert ends_of_child(work) == 0


def test_the_end_of_a_block_counts_once() -> None:
    ring = SpscRing.create(8, 4)
    tx = ring.producer()
    claim = tx.claim(4)
    with claim:
        claim.view[:] = b"x" * 32
    with contextlib.suppress(ClosedError):
        claim.__exit__(None, None, None)
    assert ring.counters().pushed == 4


def test_the_end_of_a_block_that_never_began_does_not_free_an_endpoint_that_lends() -> None:
    ring = SpscRing.create(8, 4)
    tx = ring.producer()
    other = tx.claim(1)
    with tx.claim(1) as claim:
        with contextlib.suppress(ClosedError):
            other.__exit__(None, None, None)
        with pytest.raises(RoleBusy):
            tx.push(b"B" * 8)
        claim.used = 0


def test_the_number_of_used_records_is_asked_for_once() -> None:
    class Growing:
        asked = 0

        def __index__(self) -> int:
            self.asked += 1
            return 1 if self.asked == 1 else 100

        __int__ = __index__

    ring = SpscRing.create(8, 4)
    with ring.producer().claim(4) as claim:
        claim.used = Growing()
    assert ring.counters().pushed == 1


def test_whatever_has_an_index_is_a_number_of_records() -> None:
    class One:
        def __index__(self) -> int:
            return 1

    with SpscRing.create(8, 4).producer().claim(One()) as claim:
        assert len(claim) == 1


def test_a_spinning_wait_for_several_items_lets_other_threads_run() -> None:
    rings = [SpscRing.create(8, 4) for _ in range(2)]
    tx = rings[0].producer()
    ends = [ring.consumer() for ring in rings]
    begun = threading.Event()

    def push() -> None:
        begun.wait()
        tx.push(b"x" * 8)

    thread = threading.Thread(target=push)
    thread.start()
    begun.set()
    assert wait_any(ends, None, mode="spin") == [ends[0]]  # for ever, if the thread got no turn
    thread.join()


def test_a_kept_view_of_a_forked_child_outlives_the_closing_of_endpoint_and_ring() -> None:
    ring = SpscRing.create(8, 4)
    tx = ring.producer()
    with tx.claim(4) as claim:
        kept = [claim.records]

        def work() -> None:
            ring.close()
            tx.close()
            kept[0].tobytes()

        status = ends_of_child(work)
        kept.clear()
    assert status == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__release_buffer__ came with 3.12")
@pytest.mark.parametrize("call", ["push", "push_many", "pop_into", "pop_many"])
def test_a_buffer_whose_release_closes_the_endpoint_does_not_crash(call: str) -> None:
    class Closing:
        def __init__(self, *what: Any) -> None:
            self.what, self.data = what, bytearray(8)

        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(self.data)

        def __release_buffer__(self, view: memoryview) -> None:
            view.release()
            for one in self.what:
                one.close()

    def work() -> None:
        ring = SpscRing.create(8, 4)
        tx, rx = ring.producer(), ring.consumer()
        tx.push(b"x" * 8)
        end, other = (tx, rx) if call.startswith("push") else (rx, tx)
        other.close()
        with contextlib.suppress(ClosedError, RoleBusy):
            getattr(end, call)(Closing(end, ring))

    assert ends_of_child(work) == 0


def test_a_death_is_seen_although_there_was_no_descriptor_free_at_the_first_look() -> None:
    ring = SpscRing.create(8, 4)
    rx = ring.consumer()
    pid = os.fork()
    if pid == 0:
        tx = ring.producer()  # noqa: F841
        time.sleep(60)
        os._exit(0)
    while rx.producer_epoch == 0:
        time.sleep(0.001)
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    assert rx.producer_alive
    for fd in taken:
        os.close(fd)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    with pytest.raises(mftcore.PeerDied):
        rx.wait(60.0)


def test_a_live_peer_stays_alive_when_no_descriptors_are_allowed_any_more() -> None:
    ring = SpscRing.create(8, 4)
    tx_child = os.fork()
    if tx_child == 0:
        tx = ring.producer()  # noqa: F841
        time.sleep(60)
        os._exit(0)

    def work() -> None:
        rx = ring.consumer()
        while rx.producer_epoch == 0:
            time.sleep(0.001)
        assert rx.producer_alive
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        assert rx.wait(0.05) is False

    status = ends_of_child(work)
    os.kill(tx_child, 9)
    os.waitpid(tx_child, 0)
    assert status == 0


def test_closing_a_doorbell_ends_the_wait_for_it() -> None:
    for wait in (lambda bell: wait_any([bell], None), lambda bell: bell.wait(600.0)):
        bell = Doorbell.create()
        wait_any([bell], 0)
        bell.arm()
        thread = threading.Timer(0.02, bell.close)
        thread.start()
        with pytest.raises(ClosedError):
            wait(bell)
        thread.join()


def test_a_bound_record_in_a_cycle_is_collected_without_complaint(capfd: pytest.CaptureFixture[str]) -> None:
    class Record(bytearray):
        pass

    tx = SpscRing.create(8, 4).producer()
    record: Any = Record(8)
    bound = tx.bind(record)
    record.bound = bound
    del record
    gc.collect()
    del bound
    gc.collect()
    assert "SystemError" not in capfd.readouterr().err


def test_an_exception_inside_a_claim_arrives_although_an_array_of_it_lives_on() -> None:
    ring = SpscRing.create(8, 4)

    def fail(array: object) -> None:
        raise KeyError  # its traceback keeps the array

    with pytest.raises(KeyError), ring.producer() as tx, tx.claim(2) as claim:
        fail(claim.records)
    gc.collect()
    assert ring.producer().epoch == 2  # the first was closed as soon as the array was gone


@pytest.mark.parametrize("levels", [[(100, 1), (99, 2), (98, 3)], [(100.9, 1, 0)], [("1", "2", "3")]])
def test_levels_that_would_be_misread_are_refused(levels: list[Any]) -> None:
    with pytest.raises(mftcore.RecordError):
        MasterBook().snapshot(levels, [])


def test_the_total_of_a_side_is_right_or_refused() -> None:
    levels = np.zeros((2000, 3), np.int64)
    levels[:, 0], levels[:, 1] = np.arange(2000), 2**53 - 1
    book = MasterBook()
    with contextlib.suppress(mftcore.RecordError):
        book.snapshot(levels, [])
    assert book.total_bid_lots >= 0


def test_a_copy_of_a_handle_is_closed_by_itself() -> None:
    ring = SpscRing.create(8, 4)
    for copier in (copy.copy, copy.deepcopy):
        other = copier(ring)
        other.producer().push(b"x" * 8)
        other.close()
    assert ring.counters().pushed == 2
    with pytest.raises(TypeError, match="as an argument"):
        copy.copy(Doorbell.create())


def test_a_claim_that_was_entered_and_dropped_gives_its_endpoint_back() -> None:
    tx = SpscRing.create(8, 4).producer()
    claim = tx.claim(1).__enter__()
    del claim
    assert tx.push(bytes(8))


def test_an_error_in_a_block_is_not_hidden_by_the_end_of_the_child_it_happens_in() -> None:
    ring = SpscRing.create(8, 4)
    tx = ring.producer()
    with tx.claim(1):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with tx, tx.claim(1):  # ForkedError: this endpoint is the parent's
                    pass
            except ForkedError:
                status = 0
            finally:
                os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_child_forked_by_a_signal_handler_does_not_wait_on_for_ever() -> None:
    ring = SpscRing.create(8, 4)
    rx, tx = ring.consumer(), ring.producer()
    children: list[int] = []

    def handler(*_: object) -> None:
        children.append(os.fork())

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            while not children:
                rx.wait(0.1)
        except ForkedError:
            os._exit(0 if children == [0] else 1)
        if children == [0]:
            os._exit(2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert os.waitpid(children[0], 0)[1] == 0
    tx.push(bytes(8))
    assert rx.wait(0)


def test_a_record_type_with_titles_fits_its_own_ring_and_objects_in_a_header_are_refused() -> None:
    titled = np.dtype([(("price in ticks", "price"), "<i8")])
    with SpscRing.create(titled, 4) as ring, ring.producer() as tx:
        assert tx.push_many(np.zeros(2, titled)) == 2
    with pytest.raises(LayoutError, match="Python objects"):
        dtype_from_text('"|O"')


@pytest.mark.parametrize(("percent", "expected"), [(90, 9), (90.1, 1000), (91, 1000), (100, 1000), (0, 1), (10, 1)])
def test_a_percentile_is_a_value_that_so_much_of_the_values_does_not_exceed(percent: float, expected: int) -> None:
    with Histogram.create() as histogram:
        histogram.recorder().record_many(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000]))
        assert histogram.percentile(percent) == expected


def test_a_successor_that_marks_the_book_before_it_publishes_marks_what_was_left() -> None:
    master = MasterBook()
    master.snapshot(np.array([[10, 1, 1]]), np.array([[12, 2, 2]]))
    with SeqlockBook.create("X", 0.1, 0.1, levels=2) as book:
        first = book.writer()
        first.publish(master, exchange_time_ns=5, receive_ns=6)
        first.close()
        book.writer().mark(BOOK_STALE)
        stamp = book.reader().read()
        assert (stamp.epoch, stamp.state, stamp.bid_ticks, stamp.receive_ns) == (2, BOOK_STALE, 10, 6)


def test_a_fraction_is_never_cut_off_in_silence() -> None:
    with SeqlockBook.create("X", 0.1, 0.1) as book, Histogram.create() as histogram:
        writer, recorder, master = book.writer(), histogram.recorder(), MasterBook()
        for call in (
            lambda: MasterBook(5.7),
            lambda: SeqlockBook.create("X", 0.1, 0.1, levels=2.9),
            lambda: writer.publish(master, exchange_time_ns=1.5, receive_ns=1),
            lambda: writer.publish(master, exchange_time_ns=1, receive_ns=1, state=0.5),
            lambda: writer.mark(1.5),
            lambda: recorder.record(1.7),
            lambda: recorder.record_corrected(3.9, 1),
            lambda: recorder.record_corrected(3, 1.5),
            lambda: GapWatch(1.5),
        ):
            with pytest.raises(RecordError):
                call()
        assert (histogram.count, book.reader().version) == (0, 0)
