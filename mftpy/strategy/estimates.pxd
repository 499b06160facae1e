"""`Estimates`: sigma, A and k while the loop runs, by the estimators' compiled code, called by address, without the GIL."""

from libc.stdint cimport int64_t

from mftpy.strategy.structs cimport account_t, estimate_t, estimates_t, parameters_t, trade_t

ctypedef int64_t (*observe_mid_t)(void *volatility, const void *sampling, void *intensity, const void *observing,
                                  int64_t now_ns, double mid, double own_bid, double own_ask) noexcept nogil
ctypedef int64_t (*observe_print_t)(void *intensity, const void *observing, int64_t now_ns, double price, double size,
                                    int64_t taker_side, int64_t is_own, int64_t in_snapshot) noexcept nogil
ctypedef int64_t (*restart_t)(void *volatility, void *intensity) noexcept nogil
ctypedef int64_t (*estimate_all_t)(const void *volatility, const void *sampling, const void *intensity,
                                   const void *observing, const void *blending, int64_t now_ns, double price, estimate_t *out) noexcept nogil


cdef class Estimates:
    cdef estimates_t *c_record
    cdef readonly object record         # the same for Python: array of one records.ESTIMATES
    cdef public int64_t every_ns        # between two estimates
    cdef readonly int64_t failures      # calls that raised an exception, which none of them should

    # private
    cdef object estimator               # owns the memory below
    cdef object kept_alive              # owns the code
    cdef void *volatility
    cdef void *sampling
    cdef void *intensity
    cdef void *observing
    cdef void *blending
    cdef estimate_t *rows
    cdef observe_mid_t observe_mid
    cdef observe_print_t observe_print
    cdef restart_t begin_anew
    cdef estimate_all_t estimate_all
    cdef bint use_sigma
    cdef bint use_A
    cdef bint use_k
    cdef double tick_size
    cdef double lot_size
    cdef double price                   # newest that is one; 0: none yet
    cdef int64_t seen_ns
    cdef int64_t next_ns                # of the next estimate

    cdef int64_t later(self, int64_t at_ns, int64_t now_ns) noexcept nogil
    cdef void on_trade_c(self, const trade_t *trade, const account_t *mine, int64_t now_ns) noexcept nogil
    # a mid of 0: none; `at_ns` is when it became so, at most `now_ns`
    cdef void on_mid_c(self, double mid_ticks, const account_t *mine, int64_t at_ns, int64_t now_ns) noexcept nogil
    cdef void restart_c(self) noexcept nogil
    cdef void lost_trades_c(self, int64_t count) noexcept nogil
    # 1 when it is time: `record` and what is to be estimated of `p` are new
    cdef int update_c(self, double index_price, parameters_t *p, int64_t now_ns) noexcept nogil
