"""`Estimates`: what the estimators are told, and what decisions take from them."""

from libc.stdint cimport int64_t

from mftpy.strategy cimport structs as s

import numpy

from mftcore import RecordError
from mftpy import records
from mftpy.strategy.parameters import PARAMETERS

cdef enum:
    SIGMA = 0
    BID_A = 1
    BID_K = 2
    ASK_A = 3
    ASK_K = 4

cdef int64_t EVERY_NS = 250_000_000
cdef int64_t OLDEST_NS = 1_000_000_000  # of what is seen first; older stamps are some clock's mistake


cdef void *memory_of(object array) except NULL:
    return <void *><size_t>array.ctypes.data


cdef class Estimates:
    """Sigma, A and k of a run, estimated by compiled code that is called by its address.

    Nothing here reads a clock or allocates. What is to be estimated is written into the parameters of the `Quoter`.

    Parameters
    ----------
    estimator : mftpy.model.estimator.Estimator
        Its records are what is worked on.
    code : mftpy.model.estimator_by_address.EstimatorCode
        The estimators' functions by address.
    model : mftpy.settings.Model
        Says which of sigma, A and k are to be estimated; the others are estimated all the same, and shown.
    tick_size, lot_size : float
        Of the instrument.

    Attributes
    ----------
    record : ndarray of records.ESTIMATES, shape (1,)
        As of the last estimate.
    every_ns : int
        Time between two estimates.
    failures : int
        Calls that raised an exception, which none of them should.
    """

    def __init__(self, estimator, code, model, double tick_size, double lot_size):
        self.estimator, self.kept_alive = estimator, code
        self.volatility, self.intensity = memory_of(estimator.volatility), memory_of(estimator.intensity)
        self.sampling, self.observing = memory_of(estimator.sampling), memory_of(estimator.observing)
        self.blending, self.rows = memory_of(estimator.blending), <s.estimate_t *>memory_of(estimator.estimates)
        if estimator.estimates.nbytes != s.ESTIMATED * sizeof(s.estimate_t):
            raise RecordError("the estimates of this estimator are of another version: build mftpy anew")
        self.observe_mid = <observe_mid_t><void *><size_t>code.observe_mid.address
        self.observe_print = <observe_print_t><void *><size_t>code.observe_print.address
        self.begin_anew = <restart_t><void *><size_t>code.restart.address
        self.estimate_all = <estimate_all_t><void *><size_t>code.estimate.address
        self.use_sigma = isinstance(model.sigma_usd_sqrt_s, str)
        self.use_A, self.use_k = isinstance(model.A_per_s, str), isinstance(model.k_per_usd, str)
        self.tick_size, self.lot_size = tick_size, lot_size
        self.record = records.blank(records.ESTIMATES)
        self.c_record = <s.estimates_t *>memory_of(self.record)
        self.every_ns = EVERY_NS

    def on_trade(self, trade, account, int64_t now_ns):
        """Take note of one public trade (`records.TRADE`); whether it was ours, the account's own prices say."""
        self.on_trade_c(
            <const s.trade_t *>checked(trade, records.TRADE), <const s.account_t *>checked(account, records.ACCOUNT), now_ns
        )

    def on_mid(self, double mid_ticks, account, int64_t at_ns, int64_t now_ns):
        """Take note of the middle of the others' best prices, 0 for none, since `at_ns`, and of our nearest prices."""
        self.on_mid_c(mid_ticks, <const s.account_t *>checked(account, records.ACCOUNT), at_ns, now_ns)

    def restart(self):
        """Begin anew with the next mid, after a time of which not everything was seen; what is known stays."""
        self.restart_c()

    def update(self, double index_price, parameters, int64_t now_ns):
        """Estimate anew, if it is time; True when `record` is new."""
        return self.update_c(index_price, <s.parameters_t *>checked(parameters, PARAMETERS), now_ns) != 0

    cdef int64_t later(self, int64_t at_ns, int64_t now_ns) noexcept nogil:
        """Order by time, whatever a clock or a record says: never in the future, never before what was seen."""
        self.seen_ns = max(self.seen_ns if self.seen_ns else now_ns - OLDEST_NS, min(at_ns, now_ns))
        return self.seen_ns

    cdef void on_trade_c(self, const s.trade_t *trade, const s.account_t *mine, int64_t now_ns) noexcept nogil:
        cdef int64_t i, own = 0
        cdef int64_t n_own = max(0, min(mine.n_own, <int64_t>s.OWN))
        for i in range(n_own):
            if mine.own_side[i] == -trade.taker_side and mine.own_ticks[i] == trade.price_ticks and mine.own_lots[i] > 0:
                own = 1
        self.failures += self.observe_print(
            self.intensity, self.observing, self.later(trade.receive_ns, now_ns), trade.price_ticks * self.tick_size,
            trade.size_lots * self.lot_size, trade.taker_side, own, trade.in_snapshot,
        )

    cdef void on_mid_c(self, double mid_ticks, const s.account_t *mine, int64_t at_ns, int64_t now_ns) noexcept nogil:
        cdef int64_t i, ticks, bid = 0, ask = 0
        cdef int64_t n_own = max(0, min(mine.n_own, <int64_t>s.OWN))
        cdef double mid = mid_ticks * self.tick_size
        at_ns = self.later(at_ns, now_ns)
        for i in range(n_own):
            ticks = mine.own_ticks[i]
            if mine.own_lots[i] <= 0 or ticks <= 0:
                continue
            if mine.own_side[i] == s.BUY:
                bid = max(bid, ticks)
            elif mine.own_side[i] == s.SELL and (ask == 0 or ticks < ask):
                ask = ticks
        if mid > 0.0:
            self.price = mid
        self.failures += self.observe_mid(
            self.volatility, self.sampling, self.intensity, self.observing, at_ns, mid, bid * self.tick_size,
            ask * self.tick_size,
        )

    cdef void restart_c(self) noexcept nogil:
        self.c_record.restarts += 1
        self.failures += self.begin_anew(self.volatility, self.intensity)

    cdef void lost_trades_c(self, int64_t count) noexcept nogil:
        """How deep the trades of this interval reached is not known, so it does not count."""
        self.c_record.lost_trades += count
        self.restart_c()

    cdef int update_c(self, double index_price, s.parameters_t *p, int64_t now_ns) noexcept nogil:
        cdef s.estimates_t *r = self.c_record
        cdef int row
        cdef double price = self.price if self.price > 0.0 else index_price
        if not price > 0.0 or (now_ns < self.next_ns and self.next_ns - now_ns <= self.every_ns):
            return 0  # a clock that was set back does not stop it
        self.next_ns = now_ns + self.every_ns
        if self.estimate_all(
            self.volatility, self.sampling, self.intensity, self.observing, self.blending, max(now_ns, self.seen_ns),
            price, self.rows,
        ) != 0:
            self.failures += 1
            return 0  # what was estimated before stands
        if self.use_sigma:
            p.sigma, p.sigma_standing = self.rows[SIGMA].value, self.rows[SIGMA].standing
        if self.use_A:
            p.A_bid, p.A_ask = self.rows[BID_A].value, self.rows[ASK_A].value
        if self.use_k:
            p.k_bid, p.k_ask = self.rows[BID_K].value, self.rows[ASK_K].value
        if self.use_A or self.use_k:  # the less reliable one of those in use
            p.bid_standing = max(
                self.rows[BID_A].standing if self.use_A else 0, self.rows[BID_K].standing if self.use_k else 0
            )
            p.ask_standing = max(
                self.rows[ASK_A].standing if self.use_A else 0, self.rows[ASK_K].standing if self.use_k else 0
            )
        r.time_ns, r.price = now_ns, price
        for row in range(s.ESTIMATED):
            r.value[row], r.error[row], r.prior[row] = self.rows[row].value, self.rows[row].error, self.rows[row].prior
            r.effective[row], r.weight_hours[row] = self.rows[row].effective, self.rows[row].weight_hours
            r.standing[row], r.doubt[row] = self.rows[row].standing, self.rows[row].doubt
        r.used[SIGMA] = p.sigma
        r.used[BID_A], r.used[BID_K] = p.A_bid, p.k_bid
        r.used[ASK_A], r.used[ASK_K] = p.A_ask, p.k_ask
        return 1


cdef void *checked(object array, object dtype) except NULL:
    if not isinstance(array, numpy.ndarray) or array.dtype != dtype or array.shape != (1,):
        raise RecordError(f"this must be an array of one record of {', '.join(dtype.names[:3])} and so on")
    return memory_of(array)
