"""The order book: the master against a dict, the window against the master."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftcore import (
    BOOK_CROSSED,
    BOOK_EMPTY,
    BOOK_ONE_SIDED,
    BOOK_STALE,
    LEVEL,
    MasterBook,
    RecordError,
    RoleTaken,
    SeqlockBook,
)

NOTHING = np.zeros((0, 3), np.int64)
changes = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5), st.integers(0, 5)), max_size=8),
        st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5), st.integers(0, 5)), max_size=8),
    ),
    max_size=20,
)


def rows(levels):
    return np.array(levels, np.int64).reshape(-1, 3)


def book_of(levels=5):
    return SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=levels)


@given(changes)
def test_the_master_agrees_with_a_dict_and_the_window_with_the_master(steps):
    master, twin = MasterBook(), ({}, {})
    with book_of() as book:
        writer, reader = book.writer(), book.reader()
        bids, asks = np.zeros(5, LEVEL), np.zeros(5, LEVEL)
        for snapshot, bid_changes, ask_changes in steps:
            (master.snapshot if snapshot else master.apply)(rows(bid_changes), rows(ask_changes))
            for side, changed in zip(twin, (bid_changes, ask_changes), strict=True):
                if snapshot:
                    side.clear()
                for price, size, outright in changed:
                    if size:
                        side[price] = (price, size, outright)
                    else:
                        side.pop(price, None)
            wanted = [sorted(twin[0].values(), reverse=True), sorted(twin[1].values())]
            assert [master.n_bids, master.n_asks] == [len(side) for side in wanted]
            assert master.total_bid_lots == sum(level[1] for level in wanted[0])
            assert [level.tolist() for level in master.best(60)] == wanted
            writer.publish(master, exchange_time_ns=1, receive_ns=2)
            stamp = reader.read_into(bids, asks)
            assert bids[: stamp.n_bids].tolist() == wanted[0][:5]
            assert asks[: stamp.n_asks].tolist() == wanted[1][:5]
            crossed = bool(wanted[0] and wanted[1] and wanted[0][0][0] >= wanted[1][0][0])
            assert bool(stamp.state & BOOK_CROSSED) == master.crossed == crossed
            assert bool(stamp.state & BOOK_EMPTY) == (not wanted[0] and not wanted[1])
            assert bool(stamp.state & BOOK_ONE_SIDED) == (bool(wanted[0]) != bool(wanted[1]))


def test_a_message_with_a_level_that_cannot_be_changes_nothing():
    master = MasterBook()
    master.snapshot(rows([(10, 1, 1)]), rows([(11, 1, 1)]))
    for bad in [(12, -1, 0), (2**53, 1, 0), (12, 2**53, 0), (12, 1, -1)]:
        with pytest.raises(RecordError, match="nothing was changed"):
            master.apply(rows([(9, 4, 4), bad]), NOTHING)
        with pytest.raises(RecordError):
            master.snapshot(NOTHING, rows([bad]))
        assert master.best(5)[0].tolist() == [(10, 1, 1)]


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((2, 2), np.int64), np.zeros((2, 3)), np.zeros((1, 3), np.int32)])
def test_arrays_of_another_shape_or_type_are_refused(bad):
    with pytest.raises(RecordError, match="int64"):
        MasterBook().apply(bad, NOTHING)


def test_an_overflow_is_counted_until_the_next_snapshot_and_the_best_are_kept():
    master = MasterBook(4)
    master.snapshot(rows([(price, 1, 1) for price in range(1, 8)]), NOTHING)
    assert master.overflowed == 3
    assert [level[0] for level in master.best(9)[0].tolist()] == [7, 6, 5, 4]
    master.snapshot(NOTHING, NOTHING)
    assert master.overflowed == 0


def test_removals_of_what_is_not_there_are_counted_and_harmless():
    master = MasterBook()
    master.apply(rows([(5, 0, 0)]), rows([(5, 0, 0)]))
    assert (master.removed_absent, master.n_bids) == (2, 0)


def best_of(stamp):
    return stamp.bid_ticks, stamp.bid_lots, stamp.ask_ticks, stamp.ask_lots, stamp.state


def test_mark_keeps_the_window_and_adds_the_flag():
    master = MasterBook()
    master.snapshot(rows([(10, 1, 1)]), rows([(11, 2, 2)]))
    with book_of() as book:
        writer, reader = book.writer(), book.reader()
        assert reader.top().state == BOOK_EMPTY
        writer.publish(master, exchange_time_ns=5, receive_ns=6)
        assert best_of(reader.top()) == (10, 1, 11, 2, 0)
        writer.mark(BOOK_STALE)
        assert best_of(reader.top()) == (10, 1, 11, 2, BOOK_STALE)
        stamp = reader.read_into(np.zeros(2, LEVEL), np.zeros(0, LEVEL))
        assert (stamp.n_bids, stamp.n_asks, stamp.exchange_time_ns, stamp.receive_ns) == (1, 0, 5, 6)
        writer.publish(master, exchange_time_ns=7, receive_ns=8)
        assert reader.top().state == 0


def test_roles_names_and_descriptions():
    name = f"test-book-{os.getpid()}"
    with SeqlockBook.create("ETH-PERPETUAL", 0.05, 0.01, levels=7, name=name) as book:
        writer = book.writer()
        with pytest.raises(RoleTaken):
            book.writer()
        with SeqlockBook.attach(name) as other:
            found = (other.instrument, other.tick_size, other.lot_size, other.levels)
            assert found == ("ETH-PERPETUAL", 0.05, 0.01, 7)
        writer.close()


@pytest.mark.parametrize(
    ("tick", "lot", "levels"), [(0, 1, 5), (1, -1, 5), (float("nan"), 1, 5), (1, 1, 0), (1, 1, 5000)]
)
def test_a_senseless_book_is_refused(tick, lot, levels):
    with pytest.raises(RecordError):
        SeqlockBook.create("X", tick, lot, levels=levels)
