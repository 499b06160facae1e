"""What a decision was made of and what came of it: the records of the journals, and what a model is given and answers.

As in `mftpy.records` all members are eight bytes wide. Prices are in ticks and sizes in lots where the name says so; in
the records of the model they are floats in quote currency and coins, the units that users configure and think in.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from mftpy.records import SLOTS_PER_SIDE


class FairSource(IntEnum):
    """What a decision's fair price was taken from."""

    NONE = 0
    MID = 1
    MICRO = 2
    INDEX = 3


class Clamp(IntEnum):
    """What may move a price or cut a size after the model; places in the arrays of `DECISION` that say by how much."""

    ROUNDING = 0
    MIN_DISTANCE = 1
    MAX_DISTANCE = 2
    OPPOSITE_BEST = 3
    LEVEL_STEP = 4
    HELD = 5


CLAMPS: Final = len(Clamp)

MODEL_LEVELS: Final = 10
"""Levels of the book a side that a model is shown."""

PARAMETERS_OF_USER: Final = 8
"""Numbers of the user's own that a model may be given: ``model.parameters``."""

MODEL_INPUT: Final = np.dtype(
    [
        ("time_ns", "<i8"),
        ("fair", "<f8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("micro", "<f8"),
        ("index", "<f8"),
        ("imbalance", "<f8"),
        ("position", "<f8"),
        ("max_position", "<f8"),
        ("average_price", "<f8"),
        ("clip", "<f8"),
        ("gamma", "<f8"),
        ("sigma", "<f8"),
        ("A_bid", "<f8"),
        ("A_ask", "<f8"),
        ("k_bid", "<f8"),
        ("k_ask", "<f8"),
        ("fee", "<f8"),
        ("horizon_s", "<f8"),
        ("drift", "<f8"),
        ("tick", "<f8"),
        ("lot", "<f8"),
        ("level_step", "<f8"),
        ("levels", "<i8"),
        ("n_bids", "<i8"),
        ("n_asks", "<i8"),
        ("bid_price", "<f8", (MODEL_LEVELS,)),
        ("bid_size", "<f8", (MODEL_LEVELS,)),
        ("ask_price", "<f8", (MODEL_LEVELS,)),
        ("ask_size", "<f8", (MODEL_LEVELS,)),
        ("parameter", "<f8", (PARAMETERS_OF_USER,)),
    ]
)
"""What a model is given: ``x`` of ``quote(x, out)``. Prices in quote currency, sizes in coins, other units as in
`mftpy.model.avellaneda_stoikov`.

Everything about the book is about the others: our own live and in-flight orders are taken out. ``bid``, ``ask``,
``micro`` and ``index`` are 0 where there is none; ``imbalance`` is ``(bid size - ask size) / (bid size + ask size)`` at
the best prices, 0 where a side is missing. ``fee`` is per coin at the fair price. ``horizon_s`` is -1 for the
stationary one. ``levels`` is how many quotes a side are wanted, ``level_step`` the least distance between two of them.
``time_ns`` is the time of the decision, CLOCK_MONOTONIC.
"""

MODEL_OUTPUT: Final = np.dtype(
    [
        ("n_bids", "<i8"),
        ("n_asks", "<i8"),
        ("refusal", "<i8"),
        ("skew", "<f8"),
        ("model_half", "<f8"),
        ("fee", "<f8"),
        ("horizon_s", "<f8"),
        ("bid_price", "<f8", (SLOTS_PER_SIDE,)),
        ("bid_size", "<f8", (SLOTS_PER_SIDE,)),
        ("ask_price", "<f8", (SLOTS_PER_SIDE,)),
        ("ask_size", "<f8", (SLOTS_PER_SIDE,)),
    ]
)
"""What a model answers: ``out`` of ``quote(x, out)``; zeros at first, which is no quote.

Prices best first, unrounded, in quote currency; the first ``n_bids`` and ``n_asks`` count. A size in coins, or 0 for
the configured one. ``refusal`` is a `Refusal` of `mftpy.model.avellaneda_stoikov`, for a model that has a reason to
give no quote. ``skew``, ``model_half``, ``fee`` and ``horizon_s`` explain the first level where they add up to it
(``fair - skew -+ (model_half + fee)``); a model may leave them 0.
"""

DECISION: Final = np.dtype(
    [
        ("decision_id", "<u8"),
        ("decided_ns", "<i8"),
        ("mode", "<i8"),
        ("command", "<i8"),
        ("reasons", "<i8"),
        ("refusal", "<i8"),
        ("failures", "<i8"),
        ("passed_on", "<i8"),
        ("book_version", "<u8"),
        ("book_state", "<i8"),
        ("book_receive_ns", "<i8"),
        ("book_exchange_time_ns", "<i8"),
        ("transport_ns", "<i8"),
        ("account_version", "<u8"),
        ("account_fills", "<i8"),
        ("position_lots", "<i8"),
        ("worst_long_lots", "<i8"),
        ("worst_short_lots", "<i8"),
        ("outside_long_lots", "<i8"),
        ("outside_short_lots", "<i8"),
        ("possible_buy_lots", "<i8"),
        ("possible_sell_lots", "<i8"),
        ("average_price", "<f8"),
        ("cash", "<f8"),
        ("fair_source", "<i8"),
        ("fair_ticks", "<f8"),
        ("net_bid_ticks", "<i8"),
        ("net_ask_ticks", "<i8"),
        ("net_bid_lots", "<i8"),
        ("net_ask_lots", "<i8"),
        ("index_price", "<f8"),
        ("basis", "<f8"),
        ("sigma_standing", "<i8"),
        ("bid_standing", "<i8"),
        ("ask_standing", "<i8"),
        ("tick_size", "<f8"),
        ("lot_size", "<f8"),
        ("x", MODEL_INPUT),
        ("out", MODEL_OUTPUT),
        ("bid_clamp_ticks", "<f8", (SLOTS_PER_SIDE, CLAMPS)),
        ("ask_clamp_ticks", "<f8", (SLOTS_PER_SIDE, CLAMPS)),
        ("bid_room_lots", "<i8"),
        ("ask_room_lots", "<i8"),
        ("n_bids", "<i8"),
        ("n_asks", "<i8"),
        ("bid_ticks", "<i8", (SLOTS_PER_SIDE,)),
        ("bid_lots", "<i8", (SLOTS_PER_SIDE,)),
        ("ask_ticks", "<i8", (SLOTS_PER_SIDE,)),
        ("ask_lots", "<i8", (SLOTS_PER_SIDE,)),
        ("threshold_ticks", "<i8"),
        ("hold_bids", "<i8"),
        ("hold_asks", "<i8"),
    ]
)
"""One decision, from what it was made to what should rest; strategy to its journal, for `mftpy explain`.

``out.bid_price[i] / tick_size`` plus the sum of ``bid_clamp_ticks[i]`` (a place for each `Clamp`) is ``bid_ticks[i]``;
the first of them, the rounding, is what floor took away, the others are whole ticks. Asks likewise. ``*_standing`` is
the `Standing` of the estimate in use, -1 for a number from the configuration. ``possible_*_lots`` is what a print at or
through our price may have filled. ``room`` is what a side's quotes may fill in all. ``passed_on``: it differed enough
from the last one that was, and execution was woken.
"""


class Outcome(IntEnum):
    """What execution did about a slot of a target, or why nothing was sent."""

    INSERTED = 1
    AMENDED = 2
    CANCELLED = 3
    RESTS_ALREADY = 4
    WAITS_FOR_ANSWER = 5
    THROTTLED = 6
    REFUSED_BY_LIMITS = 7
    PAUSED_AFTER_REFUSAL = 8
    HELD_POSSIBLY_FILLED = 9
    PULLED = 10
    FILLED = 11
    ENDED = 12


ACTION: Final = np.dtype(
    [
        ("decision_id", "<u8"),
        ("time_ns", "<i8"),
        ("outcome", "<i8"),
        ("side", "<i8"),
        ("level", "<i8"),
        ("price_ticks", "<i8"),
        ("lots", "<i8"),
        ("client_order_id", "<u8"),
        ("sent_ns", "<i8"),
    ]
)
"""What execution did about one slot of a target, or why nothing: an `Outcome`. Execution to its journal.

``lots`` is what the order is to have still open; of `Outcome.FILLED`, what was filled since it was last told.
``client_order_id`` is 0 where there is no order, ``sent_ns`` where nothing was sent. `Outcome.FILLED` and
`Outcome.ENDED` (cancelled, refused or lost at the exchange, not by a cancel of ours) are what became of an order;
``decision_id`` is then the last decision that changed its slot.
"""
