# cython: cdivision=True
"""What is passed on, and what stands: prints that may have filled us, thresholds, intervals, lifetimes."""

from libc.stdint cimport int64_t

from mftpy.strategy.clamps cimport quotes_t
from mftpy.strategy.net_book cimport own_lots_reached
from mftpy.strategy.structs cimport (
    BUY,
    CLAMP_HELD,
    SELL,
    SLOTS,
    account_t,
    clamps_t,
    decision_t,
    parameters_t,
)

ctypedef struct passed_t:       # what execution was last woken for
    quotes_t bids
    quotes_t asks
    int64_t at_ns
    int64_t any
    int64_t renewed             # it was for their age: these prices stand, to the tick

ctypedef struct hold_t:         # a print that may have filled a side
    int64_t active
    int64_t price_ticks
    int64_t since_ns
    int64_t fills


cdef inline void settle(hold_t *hold, int64_t side, const account_t *mine, int64_t longest_ns,
                        int64_t now_ns) noexcept nogil:
    """End a hold that is answered: a fill has come since, the orders are gone, or it has lasted long enough.

    Any other event of the account is no answer.
    """
    if hold.active and (mine.fills != hold.fills or now_ns - hold.since_ns >= longest_ns
                        or own_lots_reached(hold.price_ticks, side, mine) == 0):
        hold.active = 0


cdef inline void observe_print(hold_t *hold, int64_t side, int64_t price_ticks, const account_t *mine,
                               int64_t longest_ns, int64_t now_ns) noexcept nogil:
    """Hold a side of ours that a print may have filled. A further print does not make it longer: at a busy price it would
    never end."""
    if own_lots_reached(price_ticks, side, mine) == 0:
        return
    settle(hold, side, mine, longest_ns, now_ns)
    if not hold.active:
        hold.active = 1
        hold.price_ticks = price_ticks
        hold.since_ns = now_ns
        hold.fills = mine.fills
    elif side * price_ticks < side * hold.price_ticks:
        hold.price_ticks = price_ticks


cdef inline int side_differs(const quotes_t *before, const quotes_t *now, int64_t threshold_ticks) noexcept nogil:
    """Another number of levels, another size, or a price by the threshold."""
    cdef int64_t i, apart
    if before.n != now.n:
        return 1
    for i in range(now.n):
        apart = before.ticks[i] - now.ticks[i]
        if before.lots[i] != now.lots[i] or apart >= threshold_ticks or -apart >= threshold_ticks:
            return 1
    return 0


cdef inline int can_stand(const quotes_t *quotes, int64_t side, int64_t opposite_ticks) noexcept nogil:
    """Whether quotes of an earlier decision still lie behind the others' best of the opposite side; 0 for none."""
    return quotes.n == 0 or opposite_ticks == 0 or side * quotes.ticks[0] < side * opposite_ticks


cdef inline quotes_t held_back(const quotes_t *passed, int64_t n, int64_t room_lots) noexcept nogil:
    """What was passed on, as it was: at most `n` levels, and no more than fit into the room, the last ones dropped."""
    cdef quotes_t held
    cdef int64_t i
    held.n = 0
    for i in range(min(n, passed.n)):
        if passed.lots[i] > room_lots:
            break
        room_lots -= passed.lots[i]
        held.ticks[i] = passed.ticks[i]
        held.lots[i] = passed.lots[i]
        held.n = i + 1
    return held


cdef inline quotes_t only_less(const quotes_t *passed, const quotes_t *now) noexcept nogil:
    """Of what is wanted now, what takes away or shrinks: the passed-on prices, no more levels and no larger sizes."""
    cdef quotes_t less
    cdef int64_t i
    less.n = min(passed.n, now.n)
    for i in range(less.n):
        less.ticks[i] = passed.ticks[i]
        less.lots[i] = min(passed.lots[i], now.lots[i])
    return less


cdef inline void hold_sides(const passed_t *passed, const decision_t *d, int64_t n_bids, int64_t n_asks, quotes_t *bids,
                            quotes_t *asks) noexcept nogil:
    """Leave a possibly filled side as it was passed on, as far as model, limits and book still allow it to stand.

    `n_bids` and `n_asks` are the levels that the model has now. What may have been filled is not counted against it a
    second time: that is what rests there.
    """
    if d.hold_bids:
        bids[0] = held_back(&passed.bids, n_bids, d.bid_room_lots + d.possible_buy_lots)
        if not can_stand(bids, BUY, d.net_ask_ticks):
            bids.n = 0
    if d.hold_asks:
        asks[0] = held_back(&passed.asks, n_asks, d.ask_room_lots + d.possible_sell_lots)
        if not can_stand(asks, SELL, d.net_bid_ticks):
            asks.n = 0
    if bids.n and asks.n and bids.ticks[0] >= asks.ticks[0]:  # the held one is where the other now is to be
        if d.hold_bids:
            bids.n = 0
        else:
            asks.n = 0


cdef inline int pass_on(passed_t *passed, decision_t *d, const parameters_t *p, quotes_t *bids, quotes_t *asks,
                        int64_t now_ns) noexcept nogil:
    """Decide whether this goes to execution, and what of it; returns whether it does."""
    cdef int64_t age_ns = now_ns - passed.at_ns
    cdef int differs = (side_differs(&passed.bids, bids, p.threshold_ticks)
                        or side_differs(&passed.asks, asks, p.threshold_ticks))
    cdef int renews = (not differs and p.max_lifetime_ns > 0 and passed.any and age_ns >= p.max_lifetime_ns
                       and (side_differs(&passed.bids, bids, 1) or side_differs(&passed.asks, asks, 1)))
    if (differs or renews) and passed.any and age_ns < p.min_interval_ns:
        bids[0] = only_less(&passed.bids, bids)
        asks[0] = only_less(&passed.asks, asks)
        if not can_stand(bids, BUY, d.net_ask_ticks):
            bids.n = 0
        if not can_stand(asks, SELL, d.net_bid_ticks):
            asks.n = 0
        differs = side_differs(&passed.bids, bids, 1) or side_differs(&passed.asks, asks, 1)
        renews = passed.renewed
    elif differs or renews:
        differs = 1
    elif (passed.renewed and can_stand(&passed.bids, BUY, d.net_ask_ticks)
            and can_stand(&passed.asks, SELL, d.net_bid_ticks)):
        # whoever reads only this one still moves to the prices of the renewal, and no further
        bids[0] = passed.bids
        asks[0] = passed.asks
        renews = 1
    if renews:
        d.threshold_ticks = 1
    if not differs:
        return 0
    passed.renewed = renews
    passed.bids = bids[0]
    passed.asks = asks[0]
    passed.at_ns = now_ns
    passed.any = 1
    return 1


cdef inline void write_side(const quotes_t *quotes, int64_t *ticks, int64_t *lots, clamps_t *moved) noexcept nogil:
    """Put what is to rest in place of the clamped prices; HELD is by how much they differ."""
    cdef int64_t i
    for i in range(SLOTS):
        if i < quotes.n:
            moved[i][CLAMP_HELD] = <double>(quotes.ticks[i] - ticks[i])
            ticks[i], lots[i] = quotes.ticks[i], quotes.lots[i]
        else:
            ticks[i] = 0
