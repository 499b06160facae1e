"""`Quoter`: the decision, as the loop calls it, without the GIL.

Set the inputs, call `observe_book` after each reading of the book and `observe_trade` for each public trade, then
`decide`. No clock is read here: every time is the caller's, CLOCK_MONOTONIC.
"""

from libc.stdint cimport int64_t, uint64_t

from mftcore.book cimport mft_level_t
from mftpy.strategy.clamps cimport quotes_t
from mftpy.strategy.fair cimport basis_t, fair_t
from mftpy.strategy.net_book cimport net_side_t
from mftpy.strategy.passing cimport hold_t, passed_t
from mftpy.strategy.structs cimport (
    account_t,
    book_stamp_t,
    decision_t,
    input_t,
    model_t,
    parameters_t,
    target_t,
    ticker_t,
    trade_t,
)


cdef class Quoter:
    # the inputs: the records behind `account`, `ticker` and `parameters`, written by the caller before a decision
    cdef account_t *c_account
    cdef ticker_t *c_ticker
    cdef parameters_t *c_parameters     # sigma, A, k and their standings too: the estimates in use
    cdef public uint64_t account_version
    cdef public int64_t transport_ns    # when market data last heard anything of the exchange; 0: never
    cdef public int64_t mode            # records.Mode, as CONTROL has it
    cdef public int64_t command         # records.Command
    # the results, valid until the next decision
    cdef decision_t *c_decision
    cdef target_t *c_target
    cdef readonly double net_mid_ticks  # middle of a two-sided book of the others, what sigma is sampled from; 0: none
    # the same records for Python: arrays of one
    cdef readonly object account
    cdef readonly object ticker
    cdef readonly object parameters
    cdef readonly object decision
    cdef readonly object target

    # private
    cdef model_t model
    cdef object kept_alive              # whatever owns the code behind `model`
    cdef object bids_array              # those of Python, and where their levels lie
    cdef object asks_array
    cdef const mft_level_t *bids_found
    cdef const mft_level_t *asks_found
    cdef int64_t length_bids
    cdef int64_t length_asks
    cdef const mft_level_t *bids
    cdef const mft_level_t *asks
    cdef int64_t n_bids
    cdef int64_t n_asks
    cdef book_stamp_t stamp
    cdef int64_t latest_ns
    cdef int64_t changed_receive_ns     # of the book that last differed from the one before
    cdef double index_then              # what the index was then; 0: not known yet
    cdef uint64_t decisions
    cdef uint64_t cause_version
    cdef int64_t cause_receive_ns
    cdef uint64_t decided_version
    cdef bint has_decided
    cdef int64_t failures
    cdef readonly bint latched          # REDUCING for the rest of the run
    cdef basis_t basis
    cdef hold_t bid_hold
    cdef hold_t ask_hold
    cdef passed_t passed
    cdef int64_t counts_of[64 + 16]

    cdef net_side_t net_bids
    cdef net_side_t net_asks

    cdef input_t shown                  # to the model, which may write to it

    cdef quotes_t bid_quotes            # what is wanted, and what it has become when it is passed on
    cdef quotes_t ask_quotes

    cdef double fresh_index(self) noexcept nogil
    cdef int64_t refused(self, double index) noexcept nogil
    cdef fair_t look(self, double index) noexcept nogil
    cdef int64_t ask_model(self) noexcept nogil
    cdef void settle_holds(self) noexcept nogil
    cdef int64_t price_and_size(self, double fair_ticks) noexcept nogil
    cdef void write_results(self, int64_t reasons, int passed) noexcept nogil
    cdef int take_book(self, object bids, object asks) except -1
    cdef void observe_trade_c(self, const trade_t *trade, int64_t now_ns) noexcept nogil
    # the levels stay the caller's and must stay where they are until the next call; they are read by `decide_c`
    cdef void observe_book_c(self, const mft_level_t *bids, int64_t n_bids, const mft_level_t *asks, int64_t n_asks,
                             const book_stamp_t *stamp, int64_t now_ns) noexcept nogil
    # 1 when the target differs enough from the one last passed on: it is the one now, and execution is to be woken
    cdef int decide_c(self, int64_t now_ns) noexcept nogil
