# cython: cdivision=True
"""From the model's answer to whole ticks and lots: what is believed, how prices are moved, what a side may fill.

A side's prices are turned so that more is nearer to the market on either side: a bid as it is, an ask by its negative.
Flooring then is away from the market for both, and one function serves both to the last bit.
"""

from libc.math cimport exp, isfinite
from libc.stdint cimport int64_t

from mftpy.strategy.net_book cimport MOST
from mftpy.strategy.structs cimport (
    CLAMP_LEVEL_STEP,
    CLAMP_MAX_DISTANCE,
    CLAMP_MIN_DISTANCE,
    CLAMP_OPPOSITE_BEST,
    CLAMP_ROUNDING,
    SLOTS,
    clamps_t,
    output_t,
    parameters_t,
)

ctypedef struct quotes_t:       # of one side, best first
    int64_t n
    int64_t ticks[SLOTS]
    int64_t lots[SLOTS]


cdef inline double floored(double value) noexcept nogil:
    """`floor`, for numbers that an integer of 64 bits holds, without the call that it is on older processors."""
    cdef double whole = <double><int64_t>value
    return whole - 1.0 if whole > value else whole


cdef inline int usable_side(int64_t n, const double *prices, const double *sizes, double most_price,
                            double most_size) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if not (0.0 < prices[i] < most_price and 0.0 <= sizes[i] < most_size):
            return 0
    return 1


cdef inline int usable(const output_t *out, double tick, double lot) noexcept nogil:
    """Whether a model's answer is one: counts in range, every number finite and within sense, the bid below the ask."""
    if not (0 <= out.n_bids <= SLOTS and 0 <= out.n_asks <= SLOTS):
        return 0
    if not (isfinite(out.skew) and isfinite(out.model_half) and isfinite(out.fee) and isfinite(out.horizon_s)):
        return 0
    cdef double most_price = <double>MOST * tick, most_size = <double>MOST * lot
    if not (usable_side(out.n_bids, out.bid_price, out.bid_size, most_price, most_size)
            and usable_side(out.n_asks, out.ask_price, out.ask_size, most_price, most_size)):
        return 0
    return not (out.n_bids and out.n_asks and out.bid_price[0] >= out.ask_price[0])


cdef inline void clamp_side(int64_t side, int64_t n, const double *prices, double fair_ticks, int64_t opposite_ticks,
                            const parameters_t *p, quotes_t *quotes, clamps_t *moved) noexcept nogil:
    """Round and clamp the prices of one side; `opposite_ticks` is the others' best on the other side, 0 for none.

    Each change is written down in ticks of the price; all but the rounding are whole. Adding 0 makes
    the negative zero of an ask a plain one.
    """
    cdef double sign = <double>side, fair = sign * fair_ticks, opposite = sign * <double>opposite_ticks
    cdef double least = floored(fair - <double>p.min_distance_ticks), raw, at, before, nearer = 0.0, last = 0.0
    cdef int64_t i, ticks
    quotes.n = 0
    for i in range(n):
        raw = sign * (prices[i] / p.tick_size)
        at = floored(raw)
        moved[i][CLAMP_ROUNDING] = sign * (at - raw) + 0.0
        before = at
        at = min(at, least)
        moved[i][CLAMP_MIN_DISTANCE] = sign * (at - before) + 0.0
        if i == 0 and p.max_distance_ticks > 0:
            nearer = max(0.0, floored(fair - <double>p.max_distance_ticks) - at)
        at += nearer
        moved[i][CLAMP_MAX_DISTANCE] = sign * nearer + 0.0
        if opposite_ticks > 0:
            before = at
            at = min(at, opposite - 1.0)
            moved[i][CLAMP_OPPOSITE_BEST] = sign * (at - before) + 0.0
        if i > 0:
            before = at
            at = min(at, last - <double>p.level_step_ticks)
            moved[i][CLAMP_LEVEL_STEP] = sign * (at - before) + 0.0
        last = at
        ticks = <int64_t>(sign * at)
        if ticks < 1 or ticks > MOST:
            return              # nor any level behind it
        quotes.ticks[i] = ticks
        quotes.lots[i] = 0
        quotes.n = i + 1


cdef inline int64_t whole_lots(double coins, double lot) noexcept nogil:
    return <int64_t>floored(coins / lot + 1e-6)  # the lot that the division would lose at the exact sizes


cdef inline int64_t growing_lots(int64_t clip_lots, int64_t position_lots, double shrink) noexcept nogil:
    """Size of a quote that would make the position larger: ``clip exp(-shrink |position| / clip)``, rounded down."""
    if clip_lots < 1:
        return 0
    cdef double held = <double>(position_lots if position_lots > 0 else -position_lots) / <double>clip_lots
    return <int64_t>floored(<double>clip_lots * exp(-shrink * held) + 1e-9)


cdef inline int64_t bounded(int64_t lots) noexcept nogil:
    return min(max(lots, -MOST), MOST)


cdef inline int64_t least_room(const double *sizes, const parameters_t *p) noexcept nogil:
    """With less room than this a side is at its limit."""
    return max(p.min_order_lots, 1) if p.size_shrink > 0.0 or sizes[0] > 0.0 else p.clip_lots


cdef inline void size_side(int growing, int64_t position_lots, int64_t room_lots, int reducing, const double *sizes,
                           const parameters_t *p, quotes_t *quotes) noexcept nogil:
    """Sizes of one side's levels, which together fill no more than `room_lots`.

    Only the side that would make the position larger shrinks. Whole clips are not cut to what is left of the room, unless
    sizes are odd anyway: the model's own, shrunk ones, or the last of what reduces a position. A level that is too small
    for an order ends its side.
    """
    cdef int64_t i, wanted, n = quotes.n
    cdef int odd
    quotes.n = 0
    for i in range(n):
        odd = reducing or p.size_shrink > 0.0 or sizes[i] > 0.0
        if sizes[i] > 0.0:
            wanted = whole_lots(sizes[i], p.lot_size)
        elif growing and p.size_shrink > 0.0:
            wanted = growing_lots(p.clip_lots, position_lots, p.size_shrink)
        else:
            wanted = p.clip_lots
        if wanted > room_lots:
            wanted = room_lots if odd else 0
        if wanted < max(p.min_order_lots, 1):
            return
        quotes.lots[i] = wanted
        quotes.n = i + 1
        room_lots -= wanted
