"""The records of `mftpy.records` and `mftpy.decisions` as C sees them: the same names in the same order, eight bytes each.

`tests/py/test_structs.py` compares names, order, sizes and types with the NumPy dtypes, and the numbers of the
enumerations with theirs.
"""

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    SLOTS = 8                   # records.SLOTS_PER_SIDE
    OWN = 32                    # records.OWN_ORDERS
    MODEL_LEVELS = 10
    USER_PARAMETERS = 8         # decisions.PARAMETERS_OF_USER
    CLAMPS = 6
    ESTIMATED = 5               # records.ESTIMATED: sigma, A and k of our bid, A and k of our ask

cdef enum:
    BUY = 1
    SELL = -1

cdef enum:
    COMMAND_RUN = 0
    COMMAND_STOP_QUOTING = 1
    COMMAND_EXIT = 2

cdef enum:
    MODE_RUN = 0
    MODE_REDUCING = 1
    MODE_HALTED = 2

cdef enum:
    REASON_BOOK_NOT_READY = 1
    REASON_BOOK_STALE = 2
    REASON_NO_FAIR_PRICE = 4
    REASON_MODEL_REFUSED = 8
    REASON_CROSSED_AFTER_CLAMP = 16
    REASON_AT_LONG_LIMIT = 32
    REASON_AT_SHORT_LIMIT = 64
    REASON_STOPPING = 128
    REASON_ACCOUNT_NOT_READY = 256
    REASON_BOOK_FROZEN = 512
    REASON_REDUCING = 1024
    REASON_HALTED = 2048
    REASON_MODEL_FAILED = 4096
    REASON_BID_POSSIBLY_FILLED = 8192
    REASON_ASK_POSSIBLY_FILLED = 16384

cdef enum:
    FAIR_NONE = 0
    FAIR_MID = 1
    FAIR_MICRO = 2
    FAIR_INDEX = 3

cdef enum:
    CLAMP_ROUNDING = 0
    CLAMP_MIN_DISTANCE = 1
    CLAMP_MAX_DISTANCE = 2
    CLAMP_OPPOSITE_BEST = 3
    CLAMP_LEVEL_STEP = 4
    CLAMP_HELD = 5

ctypedef struct control_t:
    int64_t command
    int64_t deadline_ns
    int64_t mode

ctypedef struct trade_t:
    int64_t price_ticks
    int64_t size_lots
    int64_t taker_side
    int64_t exchange_time_ns
    int64_t receive_ns
    int64_t in_snapshot

ctypedef struct ticker_t:
    double mark_price
    double index_price
    double funding_rate
    double collar_low
    double collar_high
    int64_t exchange_time_ns
    int64_t receive_ns

ctypedef struct target_t:
    uint64_t decision_id
    uint64_t book_version
    int64_t receive_ns
    int64_t published_ns
    int64_t decided_ns
    uint64_t cause_version
    int64_t cause_receive_ns
    int64_t reasons
    int64_t n_bids
    int64_t n_asks
    int64_t net_bid_ticks
    int64_t net_ask_ticks
    int64_t position_lots
    int64_t account_fills
    int64_t hold_bids
    int64_t hold_asks
    int64_t threshold_ticks
    double fair
    double skew
    double model_half
    double fee
    double bid_unrounded
    double ask_unrounded
    double horizon_s
    int64_t bid_ticks[SLOTS]
    int64_t bid_lots[SLOTS]
    int64_t ask_ticks[SLOTS]
    int64_t ask_lots[SLOTS]

ctypedef struct account_t:
    int64_t ready
    int64_t position_lots
    double average_price
    double cash
    double fees
    double funding
    double edge
    double traded_cash
    double start_value
    int64_t worst_long_lots
    int64_t worst_short_lots
    int64_t outside_long_lots
    int64_t outside_short_lots
    int64_t fills
    int64_t last_event_ns
    int64_t n_own
    int64_t own_side[OWN]
    int64_t own_ticks[OWN]
    int64_t own_lots[OWN]

ctypedef struct estimates_t:
    int64_t time_ns
    double price
    double value[ESTIMATED]
    double error[ESTIMATED]
    double prior[ESTIMATED]
    double effective[ESTIMATED]
    double weight_hours[ESTIMATED]
    int64_t standing[ESTIMATED]
    int64_t doubt[ESTIMATED]
    double used[ESTIMATED]
    int64_t restarts
    int64_t lost_trades

ctypedef struct status_t:
    int64_t pid
    int64_t state
    uint64_t turns
    int64_t turn_ns
    uint64_t received
    uint64_t published
    uint64_t trades
    uint64_t decisions
    uint64_t inserted
    uint64_t amended
    uint64_t cancelled
    uint64_t rejected
    uint64_t throttled
    uint64_t dropped
    uint64_t resyncs
    uint64_t compilations
    int64_t transport_ns
    double messages_per_s
    double message_limit_per_s

ctypedef struct input_t:
    int64_t time_ns
    double fair
    double bid
    double ask
    double micro
    double index
    double imbalance
    double position
    double max_position
    double average_price
    double clip
    double gamma
    double sigma
    double A_bid
    double A_ask
    double k_bid
    double k_ask
    double fee
    double horizon_s
    double drift
    double tick
    double lot
    double level_step
    int64_t levels
    int64_t n_bids
    int64_t n_asks
    double bid_price[MODEL_LEVELS]
    double bid_size[MODEL_LEVELS]
    double ask_price[MODEL_LEVELS]
    double ask_size[MODEL_LEVELS]
    double parameter[USER_PARAMETERS]

ctypedef struct output_t:
    int64_t n_bids
    int64_t n_asks
    int64_t refusal
    double skew
    double model_half
    double fee
    double horizon_s
    double bid_price[SLOTS]
    double bid_size[SLOTS]
    double ask_price[SLOTS]
    double ask_size[SLOTS]

ctypedef double clamps_t[CLAMPS]

ctypedef struct decision_t:
    uint64_t decision_id
    int64_t decided_ns
    int64_t mode
    int64_t command
    int64_t reasons
    int64_t refusal
    int64_t failures
    int64_t passed_on
    uint64_t book_version
    int64_t book_state
    int64_t book_receive_ns
    int64_t book_exchange_time_ns
    int64_t transport_ns
    uint64_t account_version
    int64_t account_fills
    int64_t position_lots
    int64_t worst_long_lots
    int64_t worst_short_lots
    int64_t outside_long_lots
    int64_t outside_short_lots
    int64_t possible_buy_lots
    int64_t possible_sell_lots
    double average_price
    double cash
    int64_t fair_source
    double fair_ticks
    int64_t net_bid_ticks
    int64_t net_ask_ticks
    int64_t net_bid_lots
    int64_t net_ask_lots
    double index_price
    double basis
    int64_t sigma_standing
    int64_t bid_standing
    int64_t ask_standing
    double tick_size
    double lot_size
    input_t x
    output_t out
    clamps_t bid_clamp_ticks[SLOTS]
    clamps_t ask_clamp_ticks[SLOTS]
    int64_t bid_room_lots
    int64_t ask_room_lots
    int64_t n_bids
    int64_t n_asks
    int64_t bid_ticks[SLOTS]
    int64_t bid_lots[SLOTS]
    int64_t ask_ticks[SLOTS]
    int64_t ask_lots[SLOTS]
    int64_t threshold_ticks
    int64_t hold_bids
    int64_t hold_asks

ctypedef struct action_t:
    uint64_t decision_id
    int64_t time_ns
    int64_t outcome
    int64_t side
    int64_t level
    int64_t price_ticks
    int64_t lots
    uint64_t client_order_id
    int64_t sent_ns

# not in shared memory: what a Quoter is told, and what estimators and reader of the book say

ctypedef struct parameters_t:   # parameters.PARAMETERS
    double gamma
    double sigma
    double A_bid
    double A_ask
    double k_bid
    double k_ask
    double horizon_s
    double drift
    double maker_fee_rate
    double tick_size
    double lot_size
    double size_shrink
    double thin_spread
    double basis_half_life_ns
    double frozen_book
    int64_t sigma_standing
    int64_t bid_standing
    int64_t ask_standing
    int64_t clip_lots
    int64_t max_position_lots
    int64_t min_order_lots
    int64_t min_distance_ticks
    int64_t max_distance_ticks
    int64_t levels
    int64_t level_step_ticks
    int64_t thin_lots
    int64_t fair_source
    int64_t fallback
    int64_t threshold_ticks
    int64_t failures_to_reducing
    int64_t stale_ns
    int64_t frozen_book_ns
    int64_t min_interval_ns
    int64_t max_lifetime_ns
    int64_t possibly_filled_ns
    double parameter[USER_PARAMETERS]

ctypedef struct estimate_t:     # a row of mftpy.model.estimate.ESTIMATE
    double value
    double error
    double measured
    double measured_error
    double prior
    double effective
    double weight_hours
    double covariance
    int64_t standing
    int64_t doubt

ctypedef struct book_stamp_t:   # what came with a reading of the book
    uint64_t version
    int64_t exchange_time_ns
    int64_t receive_ns
    int64_t published_ns
    int64_t state
    int64_t writer_alive

ctypedef int64_t (*model_t)(const input_t *x, output_t *out) noexcept nogil
"""A model by address: 0, or 1 when an exception was raised in it; `out` then means nothing."""
