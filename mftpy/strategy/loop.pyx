"""`StrategyLoop`: one turn reads what there is to read, decides, publishes; between turns it waits. See ``loop.pxd``.

A turn touches no Python object, allocates nothing, makes no system call but those that wake others, and decides by the
time that it is given; it looks at the clock to stamp what it publishes.
"""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.book cimport MFT_BOOK_EMPTY, BookReader, mft_level_t, mft_window_bytes, mft_window_t
from mftcore.endpoint cimport (
    MFT_LONGEST_SLEEP_NS,
    Endpoint,
    mft_bell_arm,
    mft_bell_disarm,
    mft_bell_ring_fd,
    mft_bell_t,
    mft_bells_sleep,
    mft_idle_spin,
    mft_idle_yield,
)
from mftcore.journal cimport mft_journal_append, mft_journal_ring
from mftcore.ring cimport (
    mft_ring_counters,
    mft_ring_counters_t,
    mft_ring_has_records,
    mft_ring_pop_many,
    mft_ring_ring_room,
)
from mftcore.segment cimport MFT_OK, mft_now_ns, mft_watch_alive
from mftcore.seqlock cimport (
    SeqlockReader,
    SeqlockWriter,
    mft_seqlock_read,
    mft_seqlock_ring,
    mft_seqlock_t,
    mft_seqlock_version,
    mft_seqlock_write,
    mft_stamp_t,
)
from mftpy.strategy cimport structs as s

import os

import numpy

from mftcore import LEVEL, KernelError, LayoutError, RecordError
from mftpy import records
from mftpy.decisions import FairSource
from mftpy.links import BOOK_LEVELS

cdef enum:
    PARK = 0
    YIELD = 1
    SPIN = 2

cdef enum:
    FAULT_RING = 1                      # indices of the trades' ring are out of their bounds
    FAULT_BELL = 2                      # execution's bell cannot be rung

WAIT_MODES = {"park": PARK, "yield": YIELD, "spin": SPIN}

cdef uint64_t NEVER = <uint64_t>-1      # no version of anything
cdef int64_t TIMER_NS = 50_000_000
cdef int64_t SHORTEST_TIMER_NS = 1_000_000
cdef uint64_t NOT_WHOLE = s.REASON_BOOK_NOT_READY | s.REASON_BOOK_STALE | s.REASON_BOOK_FROZEN


cdef inline bint newest(const mft_seqlock_t *lock, void *record, uint64_t bytes, mft_stamp_t *seen) noexcept nogil:
    """Have the newest value in `record`, which holds that of `seen`; False when it could not be read whole."""
    if mft_seqlock_version(lock) == seen.version:
        return True
    if mft_seqlock_read(lock, record, bytes, seen) == MFT_OK:
        return True
    seen.version = NEVER  # what was copied may be anything
    return False


cdef class StrategyLoop:
    """A strategy's loop over the shared structures of a run: claims their ends, takes turns, waits between them.

    Parameters
    ----------
    links : mftpy.links.Links
    quoter : Quoter
    estimates : Estimates or None
        None: nothing is estimated.
    status : ndarray of records.STATUS, shape (1,)
        Of this process; counted in, and published after each turn.
    status_writer : mftcore.SeqlockWriter
        Of that status.
    journal : mftcore.JournalWriter, optional
        Gets every decision. One that it refuses is counted and not waited for.
    wait_mode : str
        ``park`` sleeps in the kernel until the strategy's bell is rung; ``yield`` polls and gives the core away; ``spin``
        polls.

    Attributes
    ----------
    unstable : int
        Turns that were given up since what they read was written over while they read it. They are taken again at once.
    journal_refused : int
        Decisions that the journal had no room for.
    orphaned : bool
        Set it when nobody commands any more: every turn is then as if told to exit.
    timer_ns : int
        A turn is taken at least so often, whether anything has happened or not.

    Raises
    ------
    RoleTaken
        Another process has one of the ends.
    """

    def __init__(self, links, Quoter quoter not None, Estimates estimates, *, status, SeqlockWriter status_writer not None,
                 JournalWriter journal=None, wait_mode="park"):
        if status.dtype != records.STATUS or status.shape != (1,):
            raise RecordError("the status must be an array of one records.STATUS")
        if wait_mode not in WAIT_MODES:
            raise RecordError(f"a wait mode is one of {', '.join(WAIT_MODES)}, not {wait_mode!r}")
        self.quoter, self.estimates, self.journal = quoter, estimates, journal
        self.wait_mode = WAIT_MODES[wait_mode]
        self.wakes_for_prices = quoter.c_parameters.fair_source == <int64_t>int(FairSource.INDEX)
        self.timer_ns = TIMER_NS
        self.taken_book = self.decided_book = NEVER
        self.seen_book.version = self.seen_account.version = self.seen_ticker.version = NEVER
        self.seen_control.version = self.seen_status.version = NEVER
        if quoter.c_parameters.min_interval_ns > 0:  # what was held back goes out when the interval has passed
            self.timer_ns = min(TIMER_NS, max(SHORTEST_TIMER_NS, quoter.c_parameters.min_interval_ns))
        self.status_array, self.status = status, <s.status_t *><size_t>status.ctypes.data
        self.status_writer = status_writer
        self.levels = numpy.zeros((2, BOOK_LEVELS), LEVEL)
        self.bids = <mft_level_t *><size_t>self.levels.ctypes.data
        self.asks = self.bids + <int>BOOK_LEVELS
        self.bell, self.execution_bell = links.strategy_bell, links.execution_bell
        self.book, self.account, self.ticker = links.book.reader(), links.account.reader(), links.ticker.reader()
        self.control, self.market_data = links.control.reader(), links.market_data.reader()
        if self.book.levels > <int>BOOK_LEVELS:
            raise RecordError(f"a book of {self.book.levels} levels a side is larger than {BOOK_LEVELS}")
        self.trades = links.trades.consumer()
        self.target, self.estimates_writer = links.target.writer(), links.estimates.writer()
        self.ends = [self.book, self.account, self.ticker, self.control, self.market_data, self.trades, self.target,
                     self.estimates_writer, status_writer]
        if journal is not None:
            self.ends.append(journal)
        for end, dtype in (
            (self.account, records.ACCOUNT), (self.ticker, records.TICKER), (self.control, records.CONTROL),
            (self.market_data, records.STATUS), (self.trades, records.TRADE), (self.target, records.TARGET),
            (self.estimates_writer, records.ESTIMATES), (status_writer, records.STATUS),
        ):
            if end.dtype != dtype:  # sizes are what turns rely on
                raise LayoutError("a structure of this run holds other records than the strategy knows; build mftpy anew")

    def attach(self, Estimates estimates):
        """Begin to estimate, or to estimate with others; between turns, from the thread that takes them."""
        self.estimates, self.watching = estimates, False

    def turn(self, int64_t now_ns):
        """Take one turn at a time of the caller's.

        Returns
        -------
        bool
            False when it was given up, since something was written over while it was read: take it again.

        Raises
        ------
        ClosedError, ForkedError, RoleBusy
            As for every call of an endpoint.
        LayoutError, KernelError
            The ring of trades is damaged; execution's bell cannot be rung.
        """
        cdef int rc
        self.enter()
        try:
            with nogil:
                rc = self.turn_c(now_ns)
        finally:
            self.leave()
        self.check_fault()
        return rc == 1

    def run(self, int64_t until_ns):
        """Take turns, the first at once, and wait for news between them, until `until_ns` (CLOCK_MONOTONIC) has passed.

        Other threads of Python run meanwhile, and what they do does not hold a turn up. Returns earlier when the command
        changes. Raises as `turn`.
        """
        self.enter()
        try:
            with nogil:
                self.run_c(until_ns)
        finally:
            self.leave()
        self.check_fault()

    @property
    def counts(self):
        """dict: decisions, and how many under each reason."""
        return self.quoter.counts

    def close(self):
        """Give the ends back, but for what the caller gave: status writer and journal. Twice does nothing."""
        for end in self.ends:
            if end is not self.status_writer and end is not self.journal:
                end.close()

    # ---- around the part without the GIL ----

    cdef int enter(self) except -1:
        cdef Endpoint end
        cdef int entered = 0
        self.bell.check()
        self.execution_bell.check()
        try:
            for end in self.ends:
                end.enter()
                entered += 1
        except BaseException:
            for end in self.ends[:entered]:
                end.leave()
            raise
        self.bell.segment.pin()  # a bell that is closed meanwhile stays mapped
        self.execution_bell.segment.pin()
        return 0

    cdef void leave(self) noexcept:
        cdef Endpoint end
        for end in self.ends:
            end.leave()
        self.bell.segment.unpin()
        self.execution_bell.segment.unpin()

    cdef int check_fault(self) except -1:
        cdef int fault = self.fault
        self.fault = 0
        if fault == FAULT_RING:
            raise LayoutError("the ring of trades is damaged: something else writes to the memory of this run")
        if fault == FAULT_BELL:
            raise KernelError(self.bell_error, f"execution's bell cannot be rung: {os.strerror(self.bell_error)}")
        return 0

    # ---- waiting ----

    cdef bint has_news(self) noexcept nogil:
        return (
            self.again
            or mft_seqlock_version(&self.book.lock) != self.seen_book.version
            or mft_seqlock_version(&self.account.lock) != self.seen_account.version
            or mft_seqlock_version(&self.control.lock) != self.seen_control.version
            or mft_ring_has_records(&self.trades.ring) != 0
            or (self.wakes_for_prices and mft_seqlock_version(&self.ticker.lock) != self.seen_ticker.version)
        )

    cdef int64_t wait_c(self, int64_t until_ns) noexcept nogil:
        """Wait for news or for a time; returns what time it is then."""
        cdef mft_bell_t *bell = self.bell.shared
        cdef uint32_t armed
        cdef int64_t now_ns, left_ns
        while not self.has_news():
            now_ns = mft_now_ns()
            left_ns = until_ns - now_ns
            if left_ns <= 0:
                return now_ns
            if self.wait_mode == SPIN:
                mft_idle_spin()
            elif self.wait_mode == YIELD:
                mft_idle_yield()
            else:
                armed = mft_bell_arm(bell)
                if not self.has_news():  # once more: who published before the arm saw no sleeper and did not ring
                    mft_bells_sleep(&bell, &armed, 1, min(left_ns, MFT_LONGEST_SLEEP_NS))
                mft_bell_disarm(bell, armed)
        return mft_now_ns()

    cdef int run_c(self, int64_t until_ns) noexcept nogil:
        cdef int64_t now_ns = mft_now_ns(), command = self.command.command
        while True:
            if self.turn_c(now_ns) < 0:
                return -1
            if self.command.command != command or now_ns >= until_ns:
                return 0
            now_ns = self.wait_c(min(until_ns, now_ns + self.timer_ns))
            if now_ns >= until_ns and not self.has_news():
                return 0

    # ---- a turn ----

    cdef int read_c(self, int64_t now_ns) noexcept nogil:
        """Have all records as they are now, each whole: 1. 0 when one was written over during 64 tries."""
        if not (
            newest(&self.control.lock, &self.command, sizeof(s.control_t), &self.seen_control)
            and newest(&self.book.lock, self.book.window, mft_window_bytes(self.book.levels), &self.seen_book)
            and newest(&self.account.lock, self.quoter.c_account, sizeof(s.account_t), &self.seen_account)
            and newest(&self.ticker.lock, self.quoter.c_ticker, sizeof(s.ticker_t), &self.seen_ticker)
            and newest(&self.market_data.lock, &self.market_data_status, sizeof(s.status_t), &self.seen_status)
        ):
            return 0
        if self.taken_book != self.seen_book.version:
            self.take_book_c()
        self.stamp.writer_alive = mft_watch_alive(
            &self.book.watch, &self.book.segment.seg, self.book.peer, self.book.self_word, now_ns
        ) == 1
        self.quoter.account_version = self.seen_account.version
        self.quoter.transport_ns = self.market_data_status.transport_ns
        self.quoter.command, self.quoter.mode = self.command.command, self.command.mode
        if self.orphaned:
            self.quoter.command = s.COMMAND_EXIT
        self.quoter.observe_book_c(self.bids, self.n_bids, self.asks, self.n_asks, &self.stamp, now_ns)
        if self.watching and (
            self.seen_book.epoch != self.book_epoch or self.market_data_status.resyncs != self.resyncs
        ):
            self.watching = False  # it was lost and found again between two turns
            if self.estimates is not None:
                self.estimates.restart_c()
        self.book_epoch, self.resyncs = self.seen_book.epoch, self.market_data_status.resyncs
        return 1

    cdef void take_book_c(self) noexcept nogil:
        """Take a window that was read apart: sides, and what came with it."""
        cdef mft_window_t *window = self.book.window
        cdef int64_t i, levels = self.book.levels
        if self.seen_book.version == 0:
            window.top.state, window.top.n_bids, window.top.n_asks = MFT_BOOK_EMPTY, 0, 0
        # read once, then bounded: what stands in shared memory is never trusted as a length
        self.n_bids = min(<int64_t>window.top.n_bids, levels)
        self.n_asks = min(<int64_t>window.top.n_asks, levels)
        for i in range(self.n_bids):
            self.bids[i] = window.levels[2 * i]
        for i in range(self.n_asks):
            self.asks[i] = window.levels[2 * i + 1]
        self.stamp.version, self.stamp.published_ns = self.seen_book.version, self.seen_book.written_ns
        self.stamp.state, self.stamp.receive_ns = window.top.state, window.top.receive_ns
        self.stamp.exchange_time_ns = window.exchange_time_ns
        self.taken_book = self.seen_book.version

    cdef int take_trades_c(self, int64_t now_ns) noexcept nogil:
        """Take all trades: at least those that came with the book that was read, since they were pushed before it."""
        cdef mft_ring_counters_t counters
        cdef int64_t count, i
        cdef int batch
        for batch in range(BATCHES):
            count = mft_ring_pop_many(&self.trades.ring, self.drained, BATCH)
            if count < 0:
                self.fault = FAULT_RING
                return -1
            if count == 0:
                break
            self.status.trades += <uint64_t>count
            for i in range(count):
                self.quoter.observe_trade_c(&self.drained[i], now_ns)
                if self.estimates is not None:
                    self.estimates.on_trade_c(&self.drained[i], self.quoter.c_account, now_ns)
        mft_ring_ring_room(&self.trades.ring)
        mft_ring_counters(&self.trades.ring, &counters)
        if counters.full != self.lost:
            if self.estimates is not None:
                self.estimates.lost_trades_c(<int64_t>(counters.full - self.lost))
            self.lost = counters.full
            self.status.dropped = counters.full
        return 0

    cdef int turn_c(self, int64_t now_ns) noexcept nogil:
        cdef int passed_on, new_estimates = 0
        cdef int64_t written_ns
        if not self.read_c(now_ns):
            self.unstable += 1
            self.again = True  # no completed turn: were it never to come to one, the others would see that
            return 0
        self.again = False
        if self.take_trades_c(now_ns) < 0:
            return -1
        if self.estimates is not None:
            new_estimates = self.estimates.update_c(
                self.quoter.c_ticker.index_price, self.quoter.c_parameters, now_ns
            )
        passed_on = self.quoter.decide_c(now_ns)
        written_ns = mft_now_ns()
        self.pass_on_c(passed_on, now_ns, written_ns)
        if new_estimates:
            mft_seqlock_write(
                &self.estimates_writer.lock, self.estimates.c_record, self.estimates_writer.epoch, written_ns
            )
            mft_seqlock_ring(&self.estimates_writer.lock)
        if self.estimates is not None:
            self.estimate_c(now_ns, self.stamp.receive_ns if self.decided_book != self.taken_book else now_ns)
        self.decided_book = self.taken_book
        self.status.decisions += 1
        self.status.published += 1
        self.status.turns += 1
        self.status.turn_ns = now_ns
        mft_seqlock_write(&self.status_writer.lock, self.status, self.status_writer.epoch, written_ns)
        mft_seqlock_ring(&self.status_writer.lock)
        return -1 if self.fault else 1

    cdef void pass_on_c(self, int passed_on, int64_t now_ns, int64_t written_ns) noexcept nogil:
        cdef s.target_t *target = self.quoter.c_target
        cdef int64_t holds = target.hold_bids | target.hold_asks << 1
        cdef uint64_t sequence
        mft_seqlock_write(&self.target.lock, target, self.target.epoch, written_ns)
        mft_seqlock_ring(&self.target.lock)
        # also for a fill that has become known, since execution's inserts wait for that, and for what must not be touched
        if passed_on or target.account_fills != self.told_fills or holds != self.told_holds:
            self.told_fills, self.told_holds = target.account_fills, holds
            if mft_bell_ring_fd(self.execution_bell.shared, self.execution_bell.fd) < 0:
                self.fault, self.bell_error = FAULT_BELL, errno
        if self.journal is not None:
            if mft_journal_append(
                &self.journal.j, 0, now_ns, self.quoter.c_decision, sizeof(s.decision_t), &sequence
            ) == MFT_OK:
                mft_journal_ring(&self.journal.j)
            else:
                self.journal_refused += 1

    cdef void estimate_c(self, int64_t now_ns, int64_t since_ns) noexcept nogil:
        """Tell the estimators of the mid that this decision was made with; after it, since it is in nobody's way there."""
        if self.quoter.c_decision.reasons & <int64_t>NOT_WHOLE:
            if self.watching:
                self.watching = False
                self.estimates.restart_c()
            return
        self.watching = True
        self.estimates.on_mid_c(self.quoter.net_mid_ticks, self.quoter.c_account, since_ns, now_ns)
