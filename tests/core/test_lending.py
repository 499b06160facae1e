"""Claims and peeks lend the ring's own memory for a block; bound records push and pop themselves."""

import gc
import os
from collections.abc import Callable

import numpy as np
import pytest

from mftcore import ClosedError, ForkedError, RecordError, RoleBusy, Seqlock, SpscRing

TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8")])


def trades(*prices: int) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    array = np.zeros(len(prices), TRADE)
    array["price_ticks"] = prices
    return array


def popped(ring_end: object) -> list[int]:
    out = np.zeros(64, TRADE)
    return [int(price) for price in out[: ring_end.pop_many(out)]["price_ticks"]]  # type: ignore[attr-defined]


def test_a_claim_is_visible_when_its_block_ends_and_as_a_whole() -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        with tx.claim(3) as claim:
            assert len(claim) == 3
            claim.records["price_ticks"] = [5, 6, 7]
            assert rx.waiting == 0
        assert popped(rx) == [5, 6, 7]


def test_what_a_claim_does_not_use_is_given_back() -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        with tx.claim(5) as claim:
            claim.records["price_ticks"] = [1, 2, 3, 4, 5]
            claim.used = 2
        with tx.claim(5) as claim:
            claim.used = 0
        assert (popped(rx), ring.counters().pushed) == ([1, 2], 2)


def test_a_claim_reaches_to_the_end_of_the_memory_and_is_empty_when_the_ring_is_full() -> None:
    with SpscRing.create(TRADE, 4) as ring, ring.producer() as tx, ring.consumer() as rx:
        tx.push_many(trades(1, 2, 3))
        popped(rx)
        with tx.claim(4) as claim:
            assert len(claim) == 1
            claim.records["price_ticks"] = 4
        with tx.claim(99) as claim:
            assert len(claim) == 3
            claim.records["price_ticks"] = [5, 6, 7]
        with tx.claim(1) as claim:
            assert (len(claim), len(claim.view), len(claim.records)) == (0, 0, 0)
        assert ring.counters().full == 1
        assert popped(rx) == [4, 5, 6, 7]


def test_an_exception_in_the_block_commits_and_releases_nothing() -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        with pytest.raises(ZeroDivisionError), tx.claim(2) as claim:
            claim.records["price_ticks"] = 1 // 0
        tx.push_many(trades(8, 9))
        with pytest.raises(ZeroDivisionError), rx.peek(2) as peek:
            _ = list(peek.records["price_ticks"]) == [8, 9] and 1 // 0
        assert popped(rx) == [8, 9]


def test_a_peek_reads_where_the_records_lie_and_gives_back_what_was_used() -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        tx.push_many(trades(1, 2, 3))
        with rx.peek(64) as peek:
            assert len(peek) == 3
            with pytest.raises(ValueError, match="read-only"):
                peek.records["price_ticks"] = 7
            with pytest.raises(TypeError):
                peek.view[0] = 1
            peek.used = 1
        with rx.peek(64) as peek:
            assert list(peek.records["price_ticks"]) == [2, 3]
        with rx.peek(64) as peek:
            assert len(peek) == 0


def test_views_die_with_the_block() -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        with tx.claim(1) as claim:
            view = claim.view
            view[0] = 1
        with pytest.raises(ValueError, match="released"):
            view[0] = 2
        for use in (lambda: claim.view, lambda: claim.records):
            with pytest.raises(ClosedError, match="inside its block only"):
                use()
        with pytest.raises(ClosedError, match="for one block"), claim:
            pass
        assert popped(rx) == [1]


@pytest.mark.parametrize("keep", [lambda c: c.records, lambda c: c.records["size_lots"], lambda c: c.view[8:]])
def test_an_array_that_outlives_the_block_stops_the_endpoint_until_it_is_gone(keep: Callable[..., object]) -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        with pytest.raises(RecordError, match="outlives the block"), tx.claim(1) as claim:
            kept = keep(claim)
        for call in (lambda: tx.push(bytes(16)), lambda: tx.claim(1).__enter__(), tx.close):
            with pytest.raises(RoleBusy, match="lent"):
                call()
        del kept
        gc.collect()
        assert tx.push(bytes(16))
        assert popped(rx) == [0]


def test_an_endpoint_is_busy_while_it_lends_and_its_ring_may_be_closed() -> None:
    ring = SpscRing.create(TRADE, 8)
    with ring.producer() as tx, ring.consumer() as rx:
        tx.push_many(trades(1))
        with tx.claim(1) as claim, rx.peek(1) as peek:
            for call in (lambda: tx.push(bytes(16)), lambda: tx.wait(0), rx.pop, rx.close):
                with pytest.raises(RoleBusy):
                    call()
            ring.close()
            claim.records["price_ticks"] = peek.records["price_ticks"] + 1
        assert popped(rx) == [2]


@pytest.mark.parametrize("count", [0, -1, 1 << 70, True, None, 1.5, "3"])
def test_a_number_of_records_that_makes_no_sense_is_refused(count: object) -> None:
    with SpscRing.create(TRADE, 8) as ring, ring.producer() as tx, ring.consumer() as rx:
        for lend in (tx.claim, rx.peek):
            with pytest.raises(RecordError):
                lend(count)  # type: ignore[arg-type]
        if count != 0:
            with tx.claim(1) as claim, pytest.raises(RecordError):
                claim.used = count  # type: ignore[assignment]


def test_bound_records_push_and_pop_themselves() -> None:
    with SpscRing.create(TRADE, 2) as ring, ring.producer() as tx, ring.consumer() as rx:
        outgoing, incoming = np.zeros(1, TRADE), np.zeros(1, TRADE)
        push, pop = tx.bind(outgoing).push, rx.bind(incoming).pop
        price, seen = outgoing["price_ticks"], incoming["price_ticks"]
        assert not pop()
        for i in range(100):
            price[0] = i
            assert push()
            assert pop()
            assert seen[0] == i
        assert [push(), push(), push()] == [True, True, False]
        assert ring.counters().full == 1


def test_a_bound_record_must_fit_and_cannot_be_resized_or_outlive_its_endpoint() -> None:
    with SpscRing.create(TRADE, 2) as ring, ring.producer() as tx, ring.consumer() as rx:
        for wrong in (bytes(15), np.zeros(2, TRADE), np.zeros(2, "<f8"), np.zeros(1, "V16")):
            with pytest.raises(RecordError):
                tx.bind(wrong)
        with pytest.raises(BufferError):
            rx.bind(bytes(16))
        record = bytearray(16)
        bound = tx.bind(record)
        with pytest.raises(BufferError):
            record.append(1)
        tx.close()
        with pytest.raises(ClosedError):
            bound.push()
        for kind in (type(bound), type(rx.bind(bytearray(16)))):
            with pytest.raises(TypeError, match="no constructor"):
                kind()


def in_forked_child(check: Callable[[], None]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_view_kept_across_a_fork_shows_what_was_there_and_never_writes_to_the_parent() -> None:
    ring = SpscRing.create(TRADE, 8)
    tx, rx = ring.producer(), ring.consumer()
    tx.push_many(trades(7))
    before = memoryview(ring.__reduce__()[1][1])  # the whole data part, read-only
    with tx.claim(2) as claim, rx.peek(1) as peek:
        claim.records["price_ticks"] = [1, 2]

        def check() -> None:
            assert list(peek.records["price_ticks"]) == [7]
            assert list(claim.records["price_ticks"]) == [1, 2]
            claim.records["price_ticks"] = [66, 66]  # its own copy
            assert list(claim.records["price_ticks"]) == [66, 66]
            assert bytes(before[:8]) == (1).to_bytes(8, "little")
            with pytest.raises(ForkedError):
                claim.__exit__(None, None, None)
            fresh = ring.counters()  # the handle maps the memory anew, and it is the parent's
            assert (fresh.pushed, fresh.popped) == (1, 0)

        in_forked_child(check)
    assert popped(rx) == [1, 2]


def test_handles_and_new_endpoints_of_a_forked_child_reach_the_parent() -> None:
    lock, ring = Seqlock.create(8), SpscRing.create(8, 8)
    writer = lock.writer()
    rx = ring.consumer()
    writer.write(b"parent's")

    def check() -> None:
        assert lock.reader().read()[0] == b"parent's"
        assert ring.producer().push(b"child's.")

        def grandchild() -> None:
            assert lock.reader().read()[0] == b"parent's"
            assert ring.counters().pushed == 1

        in_forked_child(grandchild)

    in_forked_child(check)
    assert rx.pop() == b"child's."


def test_forks_and_closings_leave_no_mapping_behind() -> None:
    def mappings() -> int:
        with open("/proc/self/maps") as file:  # noqa: PTH123
            return sum("mftcore" in line for line in file)

    gc.collect()
    at_first = mappings()
    ring = SpscRing.create(8, 8)
    tx = ring.producer()
    one = mappings() - at_first

    def check() -> None:
        ring.counters()
        assert mappings() == at_first + 2 * one  # the old pages, private, for the endpoint; the new ones
        tx.close()
        assert mappings() == at_first + one
        ring.close()
        assert mappings() == at_first

    in_forked_child(check)
    tx.close()
    ring.close()
    assert mappings() == at_first
