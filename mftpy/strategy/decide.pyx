"""`Quoter`: what should rest, decided from book, account, time and a model called by its address."""

from libc.string cimport memset

from mftcore.book cimport mft_level_t
from mftpy.strategy cimport structs as s

import numpy

from mftcore import LEVEL, RecordError
from mftpy import decisions, records
from mftpy.records import Reason
from mftpy.strategy.parameters import PARAMETERS


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
        self.observe_book_c(self.bids, min(<int64_t>n_bids, self.length_bids), self.asks,
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
        for refusal in range(1, 16):
            if self.counts_of[64 + refusal]:
                found[f"MODEL_REFUSED_{refusal}"] = self.counts_of[64 + refusal]
        return found

    cdef int take_book(self, object bids, object asks) except -1:
        """Find the levels in two arrays; those of the last call are known already."""
        if bids is not self.bids_array:
            self.bids = levels_in(bids)
            self.bids_array, self.length_bids = bids, len(bids)
        if asks is not self.asks_array:
            self.asks = levels_in(asks)
            self.asks_array, self.length_asks = asks, len(asks)
        return 0

    cdef void observe_trade_c(self, const s.trade_t *trade, int64_t now_ns) noexcept nogil:
        pass

    cdef void observe_book_c(self, const mft_level_t *bids, int64_t n_bids, const mft_level_t *asks, int64_t n_asks,
                             const s.book_stamp_t *stamp, int64_t now_ns) noexcept nogil:
        self.bids, self.n_bids = bids, n_bids
        self.asks, self.n_asks = asks, n_asks
        self.stamp = stamp[0]

    cdef int decide_c(self, int64_t now_ns) noexcept nogil:
        memset(self.c_decision, 0, sizeof(s.decision_t))
        return 0
