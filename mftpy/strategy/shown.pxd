# cython: cdivision=True
"""What a model is given: the decision's numbers in quote currency and coins."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from mftpy.strategy.fair cimport micro_of
from mftpy.strategy.net_book cimport net_side_t
from mftpy.strategy.structs cimport account_t, decision_t, input_t, parameters_t


cdef inline void show(decision_t *d, const account_t *mine, const parameters_t *p, const net_side_t *bids,
                      const net_side_t *asks, double index) noexcept nogil:
    """Write what the model is given."""
    cdef input_t *x = &d.x
    cdef int64_t i
    x.time_ns = d.decided_ns
    x.fair = d.fair_ticks * p.tick_size
    x.index = index
    x.n_bids, x.n_asks = bids.n, asks.n
    for i in range(bids.n):
        x.bid_price[i] = <double>bids.ticks[i] * p.tick_size
        x.bid_size[i] = <double>bids.lots[i] * p.lot_size
    for i in range(asks.n):
        x.ask_price[i] = <double>asks.ticks[i] * p.tick_size
        x.ask_size[i] = <double>asks.lots[i] * p.lot_size
    x.bid, x.ask = x.bid_price[0], x.ask_price[0]
    if bids.n and asks.n:
        x.micro = micro_of(bids, asks) * p.tick_size
        x.imbalance = <double>(bids.lots[0] - asks.lots[0]) / <double>(bids.lots[0] + asks.lots[0])
    x.position = <double>mine.position_lots * p.lot_size
    x.max_position = <double>p.max_position_lots * p.lot_size
    x.average_price = mine.average_price
    x.clip = <double>p.clip_lots * p.lot_size
    x.gamma, x.sigma = p.gamma, p.sigma
    x.A_bid, x.A_ask, x.k_bid, x.k_ask = p.A_bid, p.A_ask, p.k_bid, p.k_ask
    x.fee = p.maker_fee_rate * x.fair
    x.horizon_s, x.drift = p.horizon_s, p.drift
    x.tick, x.lot = p.tick_size, p.lot_size
    x.level_step = <double>p.level_step_ticks * p.tick_size
    x.levels = p.levels
    memcpy(x.parameter, p.parameter, sizeof(x.parameter))
