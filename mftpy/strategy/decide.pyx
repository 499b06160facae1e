# cython: cdivision=True
"""`Quoter`: what should rest, decided from book, account, time and a model called by its address."""

from libc.math cimport fabs, isfinite
from libc.string cimport memcpy, memset

from mftcore.book cimport MFT_BOOK_EMPTY, MFT_BOOK_ONE_SIDED, MFT_BOOK_STALE, mft_level_t
from mftpy.strategy cimport structs as s
from mftpy.strategy.clamps cimport bounded, clamp_side, least_room, quotes_t, size_side, usable
from mftpy.strategy.fair cimport basis_of, crossed, fair_of, fair_t, mid_of, observe_basis
from mftpy.strategy.net_book cimport net_side, net_side_t, own_lots_reached
from mftpy.strategy.passing cimport hold_sides, observe_print, pass_on, settle, write_side
from mftpy.strategy.shown cimport show

import numpy

from mftcore import LEVEL, RecordError
from mftpy import decisions, records
from mftpy.model.avellaneda_stoikov import Refusal
from mftpy.records import Reason
from mftpy.strategy.parameters import PARAMETERS

cdef enum:  # reasons that leave the model's terms as they are
    ANSWERED = (s.REASON_CROSSED_AFTER_CLAMP | s.REASON_AT_LONG_LIMIT | s.REASON_AT_SHORT_LIMIT | s.REASON_REDUCING
                | s.REASON_BID_POSSIBLY_FILLED | s.REASON_ASK_POSSIBLY_FILLED)


cdef void *record_in(object array, object dtype, str what) except NULL:
    """Return where the one record of an array lies; refuse what is no such array."""
    if not isinstance(array, numpy.ndarray) or array.dtype != dtype or array.shape != (1,) or not array.flags.writeable:
        raise RecordError(f"{what} must be a writable array of one such record")
    return <void *><size_t>array.ctypes.data


cdef const mft_level_t *levels_in(object array) except? NULL:
    if not isinstance(array, numpy.ndarray) or array.dtype != LEVEL or array.ndim != 1 or not array.flags.c_contiguous:
        raise RecordError("levels of a book must be a contiguous array of mftcore.LEVEL")
    return <const mft_level_t *><size_t>array.ctypes.data


cdef class Quoter:
    """Decides what should rest, and whether it differs enough from what was last passed on.

    The same code is called by the loop in C (see ``decide.pxd``) and here by the study, the tests and the replay: the same
    inputs at the same times give the same bytes of `decision`, wherever they are given.

    Parameters
    ----------
    parameters : ndarray of PARAMETERS, shape (1,)
        From `mftpy.strategy.parameters.parameters`; may be changed in place between decisions.
    model_address : int
        Of a C function ``int64_t model(const input_t *x, output_t *out)``; see `mftpy.decisions.MODEL_INPUT`.
    keep_alive : object, optional
        Whatever owns the code at that address.

    Attributes
    ----------
    account : ndarray of records.ACCOUNT, shape (1,)
        The account as it is; to be written before a decision.
    ticker : ndarray of records.TICKER, shape (1,)
        Likewise; NaN at first, which is no index.
    account_version, transport_ns, mode, command : int
        Likewise: the version that the account was read at, when market data last heard anything from the exchange (0 for
        never), `records.Mode` and `records.Command` of the control record.
    parameters : ndarray of PARAMETERS, shape (1,)
    decision : ndarray of decisions.DECISION, shape (1,)
        The newest decision: everything it was made of and what came of it.
    target : ndarray of records.TARGET, shape (1,)
        What should rest by it; goes to execution.
    net_mid_ticks : float
        Middle of the others' best prices at the newest decision; 0 where they do not make a market.
    latched : bool
        The model has failed so often in a row that for the rest of the run only what reduces the position is quoted.

    Raises
    ------
    mftcore.RecordError
        `parameters` is no such record.
    ValueError
        `model_address` is 0.
    """

    def __init__(self, parameters, model_address, keep_alive=None):
        cdef size_t address = model_address
        if address == 0:
            raise ValueError("the address of a model must not be 0")
        self.c_parameters = <s.parameters_t *>record_in(parameters, PARAMETERS, "parameters")
        self.parameters = parameters
        self.model = <s.model_t><void *>address
        self.kept_alive = keep_alive
        self.account = records.blank(records.ACCOUNT)
        self.c_account = <s.account_t *>record_in(self.account, records.ACCOUNT, "account")
        self.ticker = records.blank(records.TICKER)
        for name in ("mark_price", "index_price", "funding_rate", "collar_low", "collar_high"):
            self.ticker[name] = numpy.nan
        self.c_ticker = <s.ticker_t *>record_in(self.ticker, records.TICKER, "ticker")
        self.decision = records.blank(decisions.DECISION)
        self.c_decision = <s.decision_t *>record_in(self.decision, decisions.DECISION, "decision")
        self.target = records.blank(records.TARGET)
        self.c_target = <s.target_t *>record_in(self.target, records.TARGET, "target")

    def observe_trade(self, trade, now_ns):
        """Tell of one public trade.

        Parameters
        ----------
        trade : ndarray of records.TRADE, shape (1,)
        now_ns : int
        """
        self.observe_trade_c(<const s.trade_t *>record_in(trade, records.TRADE, "a trade"), now_ns)

    def observe_book(self, bids, asks, n_bids, n_asks, now_ns, *, version=1, exchange_time_ns=0, receive_ns=None,
                     published_ns=None, state=0, writer_alive=True):
        """Tell what a reading of the book gave; the arrays are read again by every `decide` until the next call.

        Parameters
        ----------
        bids, asks : ndarray of mftcore.LEVEL
            Best first; the first `n_bids` and `n_asks` count.
        now_ns : int
        version, exchange_time_ns, receive_ns, published_ns, state, writer_alive
            As in `mftcore.BookStamp`; received and published now when not given.
        """
        cdef s.book_stamp_t stamp
        self.take_book(bids, asks)
        stamp.version = version
        stamp.exchange_time_ns = exchange_time_ns
        stamp.receive_ns = now_ns if receive_ns is None else receive_ns
        stamp.published_ns = now_ns if published_ns is None else published_ns
        stamp.state = state
        stamp.writer_alive = writer_alive
        self.observe_book_c(self.bids_found, min(<int64_t>n_bids, self.length_bids), self.asks_found,
                            min(<int64_t>n_asks, self.length_asks), &stamp, now_ns)

    def decide(self, now_ns):
        """Decide anew; `decision` and `target` hold what came of it.

        Returns
        -------
        bool
            True when it is passed on: it differs enough from the last one that was.
        """
        return self.decide_c(now_ns) != 0

    @property
    def counts(self):
        """Decisions made, and how many of them under each reason and each refusal of the model; only what occurred."""
        found = {"decisions": self.counts_of[63]}
        for reason in Reason:
            if reason and self.counts_of[int(reason).bit_length() - 1]:
                found[reason.name] = self.counts_of[int(reason).bit_length() - 1]
        for refusal in Refusal:
            if refusal and self.counts_of[64 + refusal]:
                found[f"MODEL_REFUSED_{refusal.name}"] = self.counts_of[64 + refusal]
        return found

    cdef int take_book(self, object bids, object asks) except -1:
        """Find the levels in two arrays; those of the last call are known already."""
        if bids is not self.bids_array:
            self.bids_found = levels_in(bids)
            self.bids_array, self.length_bids = bids, len(bids)
        if asks is not self.asks_array:
            self.asks_found = levels_in(asks)
            self.asks_array, self.length_asks = asks, len(asks)
        return 0

    cdef void observe_trade_c(self, const s.trade_t *trade, int64_t now_ns) noexcept nogil:
        self.latest_ns = max(self.latest_ns, now_ns)
        if trade.in_snapshot or trade.price_ticks < 1:
            return
        cdef int64_t longest_ns = self.c_parameters.possibly_filled_ns
        if trade.taker_side == s.SELL:
            observe_print(&self.bid_hold, s.BUY, trade.price_ticks, self.c_account, longest_ns, self.latest_ns)
        elif trade.taker_side == s.BUY:
            observe_print(&self.ask_hold, s.SELL, trade.price_ticks, self.c_account, longest_ns, self.latest_ns)

    cdef void observe_book_c(self, const mft_level_t *bids, int64_t n_bids, const mft_level_t *asks, int64_t n_asks,
                             const s.book_stamp_t *stamp, int64_t now_ns) noexcept nogil:
        self.latest_ns = max(self.latest_ns, now_ns)
        self.bids, self.n_bids = bids, n_bids
        self.asks, self.n_asks = asks, n_asks
        self.stamp = stamp[0]
        if stamp.receive_ns != self.changed_receive_ns:
            self.changed_receive_ns = stamp.receive_ns
            self.index_then = self.fresh_index()

    cdef int decide_c(self, int64_t now_ns) noexcept nogil:
        cdef s.decision_t *d = self.c_decision
        cdef const s.account_t *mine = self.c_account
        cdef const s.parameters_t *p = self.c_parameters
        cdef double index
        cdef int64_t reasons
        cdef int passed
        cdef fair_t fair
        # a clock that goes backwards makes nothing fresh again
        self.latest_ns = max(self.latest_ns, now_ns)
        memset(d, 0, sizeof(s.decision_t))
        memset(self.c_target, 0, sizeof(s.target_t))
        self.bid_quotes.n = self.ask_quotes.n = 0
        self.net_mid_ticks = 0.0
        self.decisions += 1
        d.decision_id = self.decisions
        d.decided_ns = now_ns
        d.command = self.command
        d.mode = self.mode if s.MODE_RUN <= self.mode <= s.MODE_HALTED else s.MODE_HALTED
        if self.latched:
            d.mode = max(d.mode, s.MODE_REDUCING)
        d.book_version, d.book_state = self.stamp.version, self.stamp.state
        d.book_receive_ns, d.book_exchange_time_ns = self.stamp.receive_ns, self.stamp.exchange_time_ns
        d.transport_ns = self.transport_ns
        d.account_version, d.account_fills = self.account_version, mine.fills
        d.position_lots, d.average_price, d.cash = mine.position_lots, mine.average_price, mine.cash
        d.worst_long_lots, d.worst_short_lots = mine.worst_long_lots, mine.worst_short_lots
        d.outside_long_lots, d.outside_short_lots = mine.outside_long_lots, mine.outside_short_lots
        d.sigma_standing, d.bid_standing, d.ask_standing = p.sigma_standing, p.bid_standing, p.ask_standing
        d.tick_size, d.lot_size, d.threshold_ticks = p.tick_size, p.lot_size, p.threshold_ticks
        self.settle_holds()
        index = self.fresh_index()
        reasons = self.refused(index)
        if reasons == 0:
            fair = self.look(index)
            if fair.source == s.FAIR_NONE:
                reasons = s.REASON_NO_FAIR_PRICE
        else:
            observe_basis(&self.basis, 0, 0.0, p.basis_half_life_ns, self.latest_ns)
        if self.command != s.COMMAND_RUN:
            reasons = s.REASON_STOPPING
        elif d.mode == s.MODE_HALTED:
            reasons = s.REASON_HALTED
        if reasons == 0:
            show(d, mine, p, &self.net_bids, &self.net_asks, index)
            reasons = self.ask_model()
            if reasons == 0:
                reasons = self.price_and_size(fair.ticks)
        passed = pass_on(&self.passed, d, p, &self.bid_quotes, &self.ask_quotes, self.latest_ns)
        self.write_results(reasons, passed)
        return passed

    cdef double fresh_index(self) noexcept nogil:
        """The index price; 0 when there is none, or none that is fresh."""
        cdef const s.ticker_t *t = self.c_ticker
        cdef int64_t age_ns = self.latest_ns - t.receive_ns, stale_ns = self.c_parameters.stale_ns
        if t.receive_ns <= 0 or age_ns > stale_ns or age_ns < -stale_ns:
            return 0.0
        return t.index_price if isfinite(t.index_price) and t.index_price > 0.0 else 0.0

    cdef int64_t refused(self, double index) noexcept nogil:
        """Why account or book cannot be quoted on, whatever is in them; 0 when they can."""
        cdef const s.parameters_t *p = self.c_parameters
        cdef const s.book_stamp_t *b = &self.stamp
        cdef int64_t silent_ns = self.latest_ns - self.transport_ns
        if self.c_account.ready == 0:
            return s.REASON_ACCOUNT_NOT_READY
        if b.version == 0:
            return s.REASON_BOOK_NOT_READY
        # a stamp from the future, beyond what two readers of one clock may differ by, is as bad as an old one
        if not b.writer_alive or b.state & MFT_BOOK_STALE or self.transport_ns <= 0 or silent_ns > p.stale_ns:
            return s.REASON_BOOK_STALE
        if silent_ns < -p.stale_ns or b.receive_ns - self.latest_ns > p.stale_ns:
            return s.REASON_BOOK_STALE
        if b.state & ~(MFT_BOOK_EMPTY | MFT_BOOK_ONE_SIDED):  # these two are for the fair price to tell
            return s.REASON_BOOK_NOT_READY
        if index > 0.0 and self.index_then == 0.0:
            self.index_then = index
        if (index > 0.0 and self.latest_ns - b.receive_ns > p.frozen_book_ns
                and fabs(index - self.index_then) > p.frozen_book * self.index_then):
            return s.REASON_BOOK_FROZEN
        return 0

    cdef fair_t look(self, double index) noexcept nogil:
        """Take our own orders out of the book, and the fair price from what is left."""
        cdef const s.parameters_t *p = self.c_parameters
        cdef s.decision_t *d = self.c_decision
        cdef net_side_t *bids = &self.net_bids
        cdef net_side_t *asks = &self.net_asks
        cdef double mid
        cdef fair_t fair
        net_side(self.bids, self.n_bids, s.BUY, self.c_account, p.thin_lots, bids)
        net_side(self.asks, self.n_asks, s.SELL, self.c_account, p.thin_lots, asks)
        mid = mid_of(bids, asks, p.thin_spread)
        self.net_mid_ticks = mid
        observe_basis(&self.basis, mid > 0.0 and index > 0.0, mid * p.tick_size - index, p.basis_half_life_ns,
                      self.latest_ns)
        fair = fair_of(bids, asks, mid, index, &self.basis, p)
        d.index_price, d.basis = index, basis_of(&self.basis)
        if not crossed(bids, asks):
            if bids.n:
                d.net_bid_ticks, d.net_bid_lots = bids.ticks[0], bids.lots[0]
            if asks.n:
                d.net_ask_ticks, d.net_ask_lots = asks.ticks[0], asks.lots[0]
        d.fair_source, d.fair_ticks = fair.source, fair.ticks
        return fair

    cdef int64_t ask_model(self) noexcept nogil:
        """Call the model and judge what it says; 0 when its quotes may be used."""
        cdef s.decision_t *d = self.c_decision
        cdef s.output_t *out = &d.out
        cdef int64_t i
        self.shown = d.x  # what it does to that is its own affair: the decision tells what it was given
        if self.model(&self.shown, out) != 0:
            memset(out, 0, sizeof(s.output_t))
        elif out.refusal != 0:
            d.refusal = out.refusal
            return s.REASON_MODEL_REFUSED
        elif usable(out, d.tick_size, d.lot_size):
            self.failures = 0
            for i in range(out.n_bids, s.SLOTS):  # what lies behind the count means nothing
                out.bid_price[i] = out.bid_size[i] = 0.0
            for i in range(out.n_asks, s.SLOTS):
                out.ask_price[i] = out.ask_size[i] = 0.0
            return 0
        self.failures += 1
        if self.failures >= self.c_parameters.failures_to_reducing:
            self.latched = True
        return s.REASON_MODEL_FAILED

    cdef void settle_holds(self) noexcept nogil:
        cdef s.decision_t *d = self.c_decision
        cdef int64_t longest_ns = self.c_parameters.possibly_filled_ns
        settle(&self.bid_hold, s.BUY, self.c_account, longest_ns, self.latest_ns)
        settle(&self.ask_hold, s.SELL, self.c_account, longest_ns, self.latest_ns)
        d.hold_bids, d.hold_asks = self.bid_hold.active, self.ask_hold.active
        if d.hold_bids:
            d.possible_buy_lots = own_lots_reached(self.bid_hold.price_ticks, s.BUY, self.c_account)
        if d.hold_asks:
            d.possible_sell_lots = own_lots_reached(self.ask_hold.price_ticks, s.SELL, self.c_account)

    cdef int64_t price_and_size(self, double fair_ticks) noexcept nogil:
        """From the model's answer to what is wanted, within every limit; returns the reasons for what is missing."""
        cdef const s.parameters_t *p = self.c_parameters
        cdef s.decision_t *d = self.c_decision
        cdef const s.output_t *out = &d.out
        cdef int64_t position_lots = bounded(d.position_lots), most_lots = bounded(p.max_position_lots), reasons = 0
        cdef int reducing = d.mode == s.MODE_REDUCING
        cdef int64_t n_bids, n_asks
        cdef quotes_t *bids = &self.bid_quotes
        cdef quotes_t *asks = &self.ask_quotes
        clamp_side(s.BUY, min(out.n_bids, p.levels), out.bid_price, fair_ticks, d.net_ask_ticks, p, bids,
                   d.bid_clamp_ticks)
        clamp_side(s.SELL, min(out.n_asks, p.levels), out.ask_price, fair_ticks, d.net_bid_ticks, p, asks,
                   d.ask_clamp_ticks)
        n_bids, n_asks = bids.n, asks.n
        memcpy(d.bid_ticks, bids.ticks, <size_t>n_bids * sizeof(int64_t))  # until what is passed on takes their place
        memcpy(d.ask_ticks, asks.ticks, <size_t>n_asks * sizeof(int64_t))
        d.bid_room_lots = most_lots - position_lots - bounded(max(d.outside_long_lots, 0)) - d.possible_buy_lots
        d.ask_room_lots = most_lots + position_lots - bounded(max(d.outside_short_lots, 0)) - d.possible_sell_lots
        if d.bid_room_lots < least_room(out.bid_size, p):
            reasons |= s.REASON_AT_LONG_LIMIT
        if d.ask_room_lots < least_room(out.ask_size, p):
            reasons |= s.REASON_AT_SHORT_LIMIT
        if reducing:
            reasons |= s.REASON_REDUCING
            d.bid_room_lots = min(d.bid_room_lots,
                                  -position_lots - bounded(max(d.outside_long_lots, 0)) - d.possible_buy_lots)
            d.ask_room_lots = min(d.ask_room_lots,
                                  position_lots - bounded(max(d.outside_short_lots, 0)) - d.possible_sell_lots)
        if n_bids and n_asks and bids.ticks[0] >= asks.ticks[0]:
            bids.n = asks.n = 0
            return reasons | s.REASON_CROSSED_AFTER_CLAMP
        size_side(position_lots > 0, position_lots, d.bid_room_lots, reducing, out.bid_size, p, bids)
        size_side(position_lots < 0, position_lots, d.ask_room_lots, reducing, out.ask_size, p, asks)
        if d.hold_bids or d.hold_asks:
            hold_sides(&self.passed, d, n_bids, n_asks, bids, asks)
            if d.hold_bids:
                reasons |= s.REASON_BID_POSSIBLY_FILLED
                if bids.n:
                    reasons &= ~s.REASON_AT_LONG_LIMIT
            if d.hold_asks:
                reasons |= s.REASON_ASK_POSSIBLY_FILLED
                if asks.n:
                    reasons &= ~s.REASON_AT_SHORT_LIMIT
        return reasons

    cdef void write_results(self, int64_t reasons, int passed) noexcept nogil:
        """Fill the rest of the decision, the target, and the counts."""
        cdef s.decision_t *d = self.c_decision
        cdef s.target_t *t = self.c_target
        cdef const s.output_t *out = &d.out
        cdef int64_t i
        d.reasons, d.failures, d.passed_on = reasons, self.failures, passed
        d.n_bids, d.n_asks = self.bid_quotes.n, self.ask_quotes.n
        write_side(&self.bid_quotes, d.bid_ticks, d.bid_lots, d.bid_clamp_ticks)
        write_side(&self.ask_quotes, d.ask_ticks, d.ask_lots, d.ask_clamp_ticks)
        t.decision_id, t.decided_ns, t.reasons = d.decision_id, d.decided_ns, reasons
        t.book_version, t.receive_ns, t.published_ns = d.book_version, d.book_receive_ns, self.stamp.published_ns
        if passed and self.has_decided and self.decided_version != d.book_version:  # else it came before we were there
            self.cause_version, self.cause_receive_ns = d.book_version, d.book_receive_ns
        self.decided_version, self.has_decided = d.book_version, True
        t.cause_version, t.cause_receive_ns = self.cause_version, self.cause_receive_ns
        t.position_lots, t.account_fills = d.position_lots, d.account_fills
        t.hold_bids, t.hold_asks, t.threshold_ticks = d.hold_bids, d.hold_asks, d.threshold_ticks
        t.n_bids, t.n_asks = d.n_bids, d.n_asks
        memcpy(t.bid_ticks, d.bid_ticks, sizeof(t.bid_ticks))
        memcpy(t.bid_lots, d.bid_lots, sizeof(t.bid_lots))
        memcpy(t.ask_ticks, d.ask_ticks, sizeof(t.ask_ticks))
        memcpy(t.ask_lots, d.ask_lots, sizeof(t.ask_lots))
        if reasons & ANSWERED == reasons and d.x.fair > 0.0:
            t.net_bid_ticks, t.net_ask_ticks = d.net_bid_ticks, d.net_ask_ticks
            t.fair, t.skew, t.model_half, t.fee = d.x.fair, out.skew, out.model_half, out.fee
            t.bid_unrounded, t.ask_unrounded, t.horizon_s = out.bid_price[0], out.ask_price[0], out.horizon_s
        for i in range(15):
            self.counts_of[i] += (reasons >> i) & 1
        self.counts_of[63] += 1
        if 0 < d.refusal < 16:
            self.counts_of[64 + d.refusal] += 1
