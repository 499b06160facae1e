"""Every record that crosses a process boundary, as NumPy dtypes.

All members are eight bytes wide and little-endian, so that a record is a whole number of 64-bit words, which is what
`mftcore.Seqlock` copies. Prices are in ticks, sizes in lots, times in nanoseconds of CLOCK_MONOTONIC unless the name
says ``exchange_time`` (Unix time of the exchange). Money and model terms are floats in quote currency.
"""

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOTS_PER_SIDE: Final = 8
"""Quote slots a side that the records have room for; the number of levels quoted is configured."""

OWN_ORDERS: Final = 4 * SLOTS_PER_SIDE
"""Own orders the account record has room for: each slot may hold a dying and a new order."""


class Side(IntEnum):
    """Which side of the book an order rests on; also the sign of the position that its fills build."""

    BUY = 1
    SELL = -1


class Command(IntEnum):
    """What the supervisor asks of all processes, in the control record."""

    RUN = 0
    STOP_QUOTING = 1
    EXIT = 2


class Mode(IntEnum):
    """How much may be quoted; in the control record, and of the strategy's own when the model keeps failing."""

    RUN = 0
    REDUCING = 1
    HALTED = 2


class State(IntEnum):
    """Where a process is; in its status record."""

    STARTING = 0
    CONNECTING = 1
    RECONCILING = 2
    READY = 3
    STOPPING = 4
    STOPPED = 5
    FAILED = 6


class Reason(IntFlag):
    """Why there is no quote, or only one side of it; the bits of a target's ``reasons``."""

    NONE = 0
    BOOK_NOT_READY = 1
    BOOK_STALE = 2
    NO_FAIR_PRICE = 4
    MODEL_REFUSED = 8
    CROSSED_AFTER_CLAMP = 16
    AT_LONG_LIMIT = 32
    AT_SHORT_LIMIT = 64
    STOPPING = 128
    ACCOUNT_NOT_READY = 256
    BOOK_FROZEN = 512
    REDUCING = 1024
    HALTED = 2048
    MODEL_FAILED = 4096
    BID_POSSIBLY_FILLED = 8192
    ASK_POSSIBLY_FILLED = 16384


CONTROL: Final = np.dtype([("command", "<i8"), ("deadline_ns", "<i8"), ("mode", "<i8")])
"""Written by the supervisor alone; ``mode`` is a `Mode`."""

TRADE: Final = np.dtype(
    [
        ("price_ticks", "<i8"),
        ("size_lots", "<i8"),
        ("taker_side", "<i8"),
        ("exchange_time_ns", "<i8"),
        ("receive_ns", "<i8"),
        ("in_snapshot", "<i8"),
    ]
)
"""One public trade, market data to strategy; ``in_snapshot``: it happened before the snapshot that told of it."""

TICKER: Final = np.dtype(
    [
        ("mark_price", "<f8"),
        ("index_price", "<f8"),
        ("funding_rate", "<f8"),
        ("collar_low", "<f8"),
        ("collar_high", "<f8"),
        ("exchange_time_ns", "<i8"),
        ("receive_ns", "<i8"),
    ]
)
"""Newest mark and index, market data to strategy and view; NaN where not yet known."""

TARGET: Final = np.dtype(
    [
        ("decision_id", "<u8"),
        ("book_version", "<u8"),
        ("receive_ns", "<i8"),
        ("published_ns", "<i8"),
        ("decided_ns", "<i8"),
        ("cause_version", "<u8"),
        ("cause_receive_ns", "<i8"),
        ("reasons", "<i8"),
        ("n_bids", "<i8"),
        ("n_asks", "<i8"),
        ("net_bid_ticks", "<i8"),
        ("net_ask_ticks", "<i8"),
        ("position_lots", "<i8"),
        ("account_fills", "<i8"),
        ("hold_bids", "<i8"),
        ("hold_asks", "<i8"),
        ("threshold_ticks", "<i8"),
        ("fair", "<f8"),
        ("skew", "<f8"),
        ("model_half", "<f8"),
        ("fee", "<f8"),
        ("bid_unrounded", "<f8"),
        ("ask_unrounded", "<f8"),
        ("horizon_s", "<f8"),
        ("bid_ticks", "<i8", (SLOTS_PER_SIDE,)),
        ("bid_lots", "<i8", (SLOTS_PER_SIDE,)),
        ("ask_ticks", "<i8", (SLOTS_PER_SIDE,)),
        ("ask_lots", "<i8", (SLOTS_PER_SIDE,)),
    ]
)
"""What should rest, strategy to execution, and the terms that explain it.

``fair - skew - (model_half + fee) = bid_unrounded`` and ``fair - skew + (model_half + fee) = ask_unrounded``, before
the bid is floored and the ask ceiled to ticks and both are clamped behind the opposite best.

``cause_*`` name the last book update that made a target differ enough to be passed on, and when it was received; the
targets after it repeat them, so that whoever reads only the newest one still sees it. The account is no such cause.

``account_fills`` is the number of fills that the decision knew of: execution inserts nothing by a target that does not
know of the last fill. ``hold_bids`` and ``hold_asks`` are 1 while a print may have filled our quote on that side: what
rests there may be cancelled, but nothing is inserted or amended. ``threshold_ticks``: a resting price is left alone
while it differs by less; smaller than configured when quotes are renewed for their age.
"""

ACCOUNT: Final = np.dtype(
    [
        ("ready", "<i8"),
        ("position_lots", "<i8"),
        ("average_price", "<f8"),
        ("cash", "<f8"),
        ("fees", "<f8"),
        ("funding", "<f8"),
        ("edge", "<f8"),
        ("traded_cash", "<f8"),
        ("start_value", "<f8"),
        ("worst_long_lots", "<i8"),
        ("worst_short_lots", "<i8"),
        ("outside_long_lots", "<i8"),
        ("outside_short_lots", "<i8"),
        ("fills", "<i8"),
        ("last_event_ns", "<i8"),
        ("n_own", "<i8"),
        ("own_side", "<i8", (OWN_ORDERS,)),
        ("own_ticks", "<i8", (OWN_ORDERS,)),
        ("own_lots", "<i8", (OWN_ORDERS,)),
    ]
)
"""Position, money and our own live and in-flight orders; written by execution alone.

``worst_*`` is the position, in that direction, if every order of ours filled; ``outside_*`` that part of it that no
quote slot holds: orders believed gone that rest after all, and fills that were told and have not come.

``own_*`` holds every price at which an order of ours may be part of the public book at this moment: an order whose
amend is in flight appears at its old and at its new price.
"""

FILL: Final = np.dtype(
    [
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("size_lots", "<i8"),
        ("position_lots", "<i8"),
        ("fair", "<f8"),
        ("maker", "<i8"),
        ("exchange_time_ns", "<i8"),
        ("receive_ns", "<i8"),
    ]
)
"""One fill of ours, execution to supervisor, for the view and the report."""

ESTIMATED: Final = 5
"""Sigma, A and k of our bid, A and k of our ask: in the order of `mftpy.model.standing.NAMES`."""

ESTIMATES: Final = np.dtype(
    [
        ("time_ns", "<i8"),
        ("price", "<f8"),
        ("value", "<f8", (ESTIMATED,)),
        ("error", "<f8", (ESTIMATED,)),
        ("prior", "<f8", (ESTIMATED,)),
        ("effective", "<f8", (ESTIMATED,)),
        ("weight_hours", "<f8", (ESTIMATED,)),
        ("standing", "<i8", (ESTIMATED,)),
        ("doubt", "<i8", (ESTIMATED,)),
        ("used", "<f8", (ESTIMATED,)),
        ("restarts", "<i8"),
        ("lost_trades", "<i8"),
    ]
)
"""What is estimated and what of it is used; strategy to view and summary.

Rows as of `mftpy.model.estimate.ESTIMATE`, in price units at ``price``. ``used`` is what decisions are made with: the
value, or the number from the configuration. ``restarts`` counts the times after which observing began anew, since the
book or trades were not seen whole; ``lost_trades``, the trades that found no room in the ring.
"""

STATUS: Final = np.dtype(
    [
        ("pid", "<i8"),
        ("state", "<i8"),
        ("turns", "<u8"),
        ("turn_ns", "<i8"),
        ("received", "<u8"),
        ("published", "<u8"),
        ("trades", "<u8"),
        ("decisions", "<u8"),
        ("inserted", "<u8"),
        ("amended", "<u8"),
        ("cancelled", "<u8"),
        ("rejected", "<u8"),
        ("throttled", "<u8"),
        ("dropped", "<u8"),
        ("resyncs", "<u8"),
        ("compilations", "<u8"),
        ("transport_ns", "<i8"),
        ("messages_per_s", "<f8"),
        ("message_limit_per_s", "<f8"),
    ]
)
"""What a process has done so far. ``turns`` is bumped by a completed turn of its loop and by nothing else.
``transport_ns`` is when anything last came from the exchange, a pong included; 0 for a process without a connection."""


def blank(dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Return one zeroed record as an array of length 1, to be filled in place and written as a whole."""
    return np.zeros(1, dtype)
