# cython: cdivision=True
"""The public book without our own orders.

Our quotes are in the book that we read. Were they counted, our skew would move our own mid on a thin book: the fair price,
the imbalance, what the model is shown, and how near to the opposite side we may quote, are taken from what the others have.
"""

from libc.stdint cimport int64_t

from mftcore.book cimport mft_level_t
from mftpy.strategy.structs cimport MODEL_LEVELS, OWN, account_t

cdef extern from *:
    """
    #define MFTPY_MOST ((int64_t)1 << 53)  /* up to here a float holds every whole number */
    """
    const int64_t MOST "MFTPY_MOST"

ctypedef struct net_side_t:
    int64_t n                   # levels where others are, of those looked at
    int64_t ticks[MODEL_LEVELS]
    int64_t lots[MODEL_LEVELS]
    int64_t thin                # the others have less in all than is asked for
    int64_t broken              # a price that is none


cdef inline int64_t own_count(const account_t *mine) noexcept nogil:
    return min(max(mine.n_own, 0), OWN)


cdef inline int64_t own_lots_at(int64_t ticks, int64_t side, const account_t *mine) noexcept nogil:
    """Lots of ours that may be part of a level: the sum over our live and in-flight orders at that price and side."""
    cdef int64_t i, total = 0
    for i in range(own_count(mine)):
        if mine.own_ticks[i] == ticks and mine.own_side[i] == side:
            total += min(max(mine.own_lots[i], 0), MOST)
    return total


cdef inline int64_t own_lots_reached(int64_t ticks, int64_t side, const account_t *mine) noexcept nogil:
    """Lots of ours that a print at this price may have filled: those at it or better for whoever took."""
    cdef int64_t i, total = 0
    for i in range(own_count(mine)):
        if mine.own_side[i] == side and (mine.own_ticks[i] >= ticks if side > 0 else mine.own_ticks[i] <= ticks):
            total += min(max(mine.own_lots[i], 0), MOST)
    return total


cdef inline void net_side(const mft_level_t *levels, int64_t n_levels, int64_t side, const account_t *mine,
                          int64_t thin_lots, net_side_t *found) noexcept nogil:
    """Find the others' levels of one side, best first.

    A level that is only ours is not there. So is one where others have no more than an order of ours that is still in
    flight: which of the two it is cannot be known, and our own order must not be taken for the market.
    """
    cdef int64_t i, net, total = 0
    found.n = 0
    found.thin = 1
    found.broken = 0
    for i in range(n_levels):
        if levels[i].size_lots <= 0:
            continue
        net = min(levels[i].size_lots, MOST) - own_lots_at(levels[i].price_ticks, side, mine)
        if net <= 0:
            continue
        if levels[i].price_ticks < 1 or levels[i].price_ticks > MOST:
            found.broken = 1
            return
        if found.n < MODEL_LEVELS:
            found.ticks[found.n] = levels[i].price_ticks
            found.lots[found.n] = net
            found.n += 1
        total += net
        if total >= thin_lots:
            found.thin = 0
            if found.n == MODEL_LEVELS:
                return
