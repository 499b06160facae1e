"""MasterBook and SeqlockBook beside two dicts: changes, snapshots, publications, successors, in any order."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mftcore import (
    BOOK_CROSSED,
    BOOK_EMPTY,
    BOOK_ONE_SIDED,
    BOOK_RESYNCING,
    BOOK_STALE,
    LEVEL,
    MasterBook,
    RecordError,
    SeqlockBook,
)

LEVELS = 3
SHAPE_FLAGS = BOOK_CROSSED | BOOK_EMPTY | BOOK_ONE_SIDED
sides = st.lists(st.tuples(st.integers(-4, 12), st.integers(0, 3), st.integers(0, 3)), max_size=6)
Level = tuple[int, int, int]


def rows(levels: list[Level]) -> np.ndarray:
    return np.array(levels, np.int64).reshape(-1, 3)


class BookBesideTwoDicts(RuleBasedStateMachine):
    """The twin of the master is a dict a side, that of the book the window of the last publication."""

    def __init__(self) -> None:
        super().__init__()
        self.master = MasterBook()
        self.book = SeqlockBook.create("BTC-PERPETUAL", 0.5, 0.001, levels=LEVELS)
        self.writer, self.reader = self.book.writer(), self.book.reader()
        self.twin: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.published: list[list[Level]] = [[], []]
        self.version, self.state, self.time_ns = 0, 0, 0

    def _change(self, changes: tuple[list[Level], list[Level]]) -> None:
        for side, changed in zip(self.twin, changes, strict=True):
            for level in changed:
                if level[1]:
                    side[level[0]] = level
                else:
                    side.pop(level[0], None)

    def _sorted(self) -> list[list[Level]]:
        return [sorted(self.twin[0].values(), reverse=True), sorted(self.twin[1].values())]

    @rule(bids=sides, asks=sides)
    def apply(self, bids: list[Level], asks: list[Level]) -> None:
        self.master.apply(rows(bids), rows(asks))
        self._change((bids, asks))

    @rule(bids=sides, asks=sides)
    def snapshot(self, bids: list[Level], asks: list[Level]) -> None:
        self.master.snapshot(rows(bids), rows(asks))
        self.twin = ({}, {})
        self._change((bids, asks))

    @rule(bids=sides, asks=sides, bad=st.sampled_from([(2**53, 1, 1), (1, -1, 1), (1, 1, 2**60)]))
    def refuse_a_whole_message_for_one_level(self, bids: list[Level], asks: list[Level], bad: Level) -> None:
        try:
            self.master.apply(rows(bids), rows([*asks, bad]))
        except RecordError:
            return
        raise AssertionError("a level that no book can hold was taken")

    @rule()
    def clear(self) -> None:
        self.master.clear()
        self.twin = ({}, {})

    @rule(state=st.sampled_from([0, BOOK_STALE, BOOK_RESYNCING]), time_ns=st.integers(1, 2**62))
    def publish(self, state: int, time_ns: int) -> None:
        self.version += 1
        version = self.writer.publish(self.master, exchange_time_ns=time_ns, receive_ns=time_ns + 1, state=state)
        assert version == self.version
        wanted = self._sorted()
        self.published, self.time_ns = [side[:LEVELS] for side in wanted], time_ns
        if not wanted[0] and not wanted[1]:
            state |= BOOK_EMPTY
        elif not wanted[0] or not wanted[1]:
            state |= BOOK_ONE_SIDED
        elif wanted[0][0][0] >= wanted[1][0][0]:
            state |= BOOK_CROSSED
        self.state = state

    @rule()
    def succeed_the_writer(self) -> None:
        before = self.writer.epoch
        self.writer.close()
        self.writer = self.book.writer()
        assert self.writer.epoch == before + 1

    @invariant()
    def the_master_is_the_dicts(self) -> None:
        wanted = self._sorted()
        assert [levels.tolist() for levels in self.master.best(20)] == wanted
        assert [self.master.n_bids, self.master.n_asks] == [len(side) for side in wanted]
        assert [self.master.total_bid_lots, self.master.total_ask_lots] == [sum(x[1] for x in side) for side in wanted]
        assert self.master.best_bid() == (wanted[0][0][:2] if wanted[0] else None)
        assert self.master.best_ask() == (wanted[1][0][:2] if wanted[1] else None)
        assert self.master.crossed == (bool(wanted[0] and wanted[1]) and wanted[0][0][0] >= wanted[1][0][0])

    @invariant()
    def the_book_is_the_last_publication(self) -> None:
        bids, asks = np.zeros(LEVELS, LEVEL), np.zeros(LEVELS, LEVEL)
        assert self.reader.version == self.version
        if not self.version:
            return
        stamp, top = self.reader.read_into(bids, asks), self.reader.top()
        assert (stamp.version, stamp.state, stamp.exchange_time_ns) == (self.version, self.state, self.time_ns)
        assert [bids[: stamp.n_bids].tolist(), asks[: stamp.n_asks].tolist()] == self.published
        assert (top.version, top.state) == (self.version, self.state)
        best = [side[0][:2] if side else (0, 0) for side in self.published]
        assert [(top.bid_ticks, top.bid_lots), (top.ask_ticks, top.ask_lots)] == best

    def teardown(self) -> None:
        self.book.close()


TestBook = BookBesideTwoDicts.TestCase
TestBook.settings = settings(max_examples=40, stateful_step_count=30)
