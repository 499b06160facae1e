"""`StrategyLoop`: a strategy's turns and the waiting between them, without the GIL."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.book cimport BookReader, mft_level_t
from mftcore.doorbell cimport Doorbell
from mftcore.journal_writer cimport JournalWriter
from mftcore.ring cimport SpscConsumer
from mftcore.seqlock cimport SeqlockReader, SeqlockWriter, mft_stamp_t
from mftpy.strategy.decide cimport Quoter
from mftpy.strategy.estimates cimport Estimates
from mftpy.strategy.structs cimport book_stamp_t, control_t, status_t, trade_t

cdef enum:
    BATCH = 256                         # trades that are taken at once
    BATCHES = 64                        # in one turn: a full ring of them


cdef class StrategyLoop:
    cdef readonly Quoter quoter
    cdef readonly Estimates estimates   # None: nothing is estimated
    cdef readonly uint64_t unstable     # turns that were given up since a record was written over while it was read
    cdef readonly uint64_t journal_refused
    cdef public bint orphaned           # nobody commands any more: every turn is as if told to exit
    cdef public int64_t timer_ns        # a turn is taken at least so often

    # private: the ends, which keep their memory mapped
    cdef BookReader book
    cdef SeqlockReader account
    cdef SeqlockReader ticker
    cdef SeqlockReader control
    cdef SeqlockReader market_data
    cdef SpscConsumer trades
    cdef SeqlockWriter target
    cdef SeqlockWriter estimates_writer
    cdef SeqlockWriter status_writer
    cdef Doorbell bell
    cdef Doorbell execution_bell
    cdef JournalWriter journal          # None: decisions are not kept
    cdef list ends
    cdef object status_array
    cdef status_t *status
    cdef mft_level_t *bids
    cdef mft_level_t *asks
    cdef object levels
    cdef int wait_mode
    cdef bint wakes_for_prices          # the fair price is the index: a new one is news
    cdef int fault                      # 0, or what Python is to raise
    cdef int bell_error
    # what was read
    cdef control_t command
    cdef status_t market_data_status
    cdef trade_t drained[BATCH]
    cdef book_stamp_t stamp
    cdef int64_t n_bids
    cdef int64_t n_asks
    cdef mft_stamp_t seen_book          # of the values that are here
    cdef mft_stamp_t seen_account
    cdef mft_stamp_t seen_ticker
    cdef mft_stamp_t seen_control
    cdef mft_stamp_t seen_status
    cdef uint64_t taken_book            # version that was taken apart
    cdef uint64_t decided_book          # version that was decided upon
    cdef bint again                     # the last turn was given up: there is news, whatever the versions say
    cdef uint64_t book_epoch
    cdef uint64_t resyncs
    cdef uint64_t lost
    cdef bint watching                  # the book was to be trusted at the last turn
    cdef int64_t told_fills             # of the targets for which execution's bell was rung last
    cdef int64_t told_holds

    cdef int enter(self) except -1
    cdef void leave(self) noexcept
    cdef int check_fault(self) except -1
    cdef int turn_c(self, int64_t now_ns) noexcept nogil        # 1: decided; 0: given up, and to be taken again; -1: fault
    cdef int run_c(self, int64_t until_ns) noexcept nogil
    cdef bint has_news(self) noexcept nogil
    cdef int64_t wait_c(self, int64_t until_ns) noexcept nogil
    cdef int read_c(self, int64_t now_ns) noexcept nogil
    cdef int take_trades_c(self, int64_t now_ns) noexcept nogil
    cdef void take_book_c(self) noexcept nogil
    cdef void estimate_c(self, int64_t now_ns, int64_t since_ns) noexcept nogil
    cdef void pass_on_c(self, int passed_on, int64_t now_ns, int64_t written_ns) noexcept nogil
