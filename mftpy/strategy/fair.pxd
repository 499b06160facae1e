# cython: cdivision=True
"""The fair price: the middle of the others' book, the same weighted by size, or the index plus a slow basis."""

from libc.math cimport exp2, isfinite
from libc.stdint cimport int64_t

from mftpy.strategy.net_book cimport MOST, net_side_t
from mftpy.strategy.structs cimport FAIR_INDEX, FAIR_MICRO, FAIR_MID, FAIR_NONE, parameters_t

cdef extern from *:
    """
    #define MFTPY_LEAST_WEIGHT 1e-100  /* far from where a float loses digits, and beside anything new nothing */
    """
    const double LEAST_WEIGHT "MFTPY_LEAST_WEIGHT"

ctypedef struct basis_t:        # mean of (mid - index) over time, in quote currency
    double weighted
    double weight
    double last                 # the difference that was seen last; 0: none yet
    int64_t last_ns
    int64_t known               # it stands since `last_ns`
    int64_t ever

ctypedef struct fair_t:
    int64_t source              # FAIR_*; NONE: there is no fair price
    double ticks


cdef inline int crossed(const net_side_t *bids, const net_side_t *asks) noexcept nogil:
    """Whether a side holds a price that is none, or the others' best prices cross: such a book says nothing."""
    return bids.broken or asks.broken or (bids.n and asks.n and bids.ticks[0] >= asks.ticks[0])


cdef inline double mid_of(const net_side_t *bids, const net_side_t *asks, double thin_spread) noexcept nogil:
    """Middle of the others' best prices in ticks; 0 when a side is missing or thin, the two cross, or lie too far apart."""
    cdef double mid
    if bids.thin or asks.thin or crossed(bids, asks):
        return 0.0
    mid = 0.5 * <double>(bids.ticks[0] + asks.ticks[0])
    return mid if <double>(asks.ticks[0] - bids.ticks[0]) <= thin_spread * mid else 0.0


cdef inline double micro_of(const net_side_t *bids, const net_side_t *asks) noexcept nogil:
    """Middle weighted by the sizes at the best prices, in ticks: nearer to the side that has less; both must be there."""
    cdef double bid_lots = <double>bids.lots[0], ask_lots = <double>asks.lots[0]
    return (<double>bids.ticks[0] * ask_lots + <double>asks.ticks[0] * bid_lots) / (bid_lots + ask_lots)


cdef inline void observe_basis(basis_t *basis, int known, double difference, double half_life_ns,
                               int64_t now_ns) noexcept nogil:
    """Count what was last seen for the time that it stood, and remember what is seen now.

    A difference is known while the book has two sides and the index is fresh; the time without one adds nothing, but what
    was seen before ages. However old it is, the mean stays what it was: its weight never becomes so small that floats
    would lose the digits of the two that it is made of.
    """
    cdef double left
    if now_ns > basis.last_ns:
        left = max(exp2(-<double>(now_ns - basis.last_ns) / half_life_ns), LEAST_WEIGHT)
        basis.weighted *= left
        basis.weight *= left
        if basis.weight < LEAST_WEIGHT:
            basis.weighted /= LEAST_WEIGHT
            basis.weight /= LEAST_WEIGHT
        if basis.known:
            basis.weighted += (1.0 - left) * basis.last
            basis.weight += 1.0 - left
    basis.last_ns = now_ns
    basis.known = known
    if known:
        basis.last = difference
        basis.ever = 1


cdef inline double basis_of(const basis_t *basis) noexcept nogil:
    """The mean; what was seen last while that is all there is; 0 before."""
    return basis.weighted / basis.weight if basis.weight > 0.0 else basis.last


cdef inline fair_t fair_of(const net_side_t *bids, const net_side_t *asks, double mid, double index, const basis_t *basis,
                           const parameters_t *p) noexcept nogil:
    """Choose. `mid` is from `mid_of`, `index` 0 where there is none that is fresh."""
    cdef fair_t fair
    fair.source = FAIR_NONE
    fair.ticks = 0.0
    if crossed(bids, asks):
        return fair
    if mid > 0.0 and p.fair_source == FAIR_MID:
        fair.source = FAIR_MID
        fair.ticks = mid
    elif mid > 0.0 and p.fair_source == FAIR_MICRO:
        fair.source = FAIR_MICRO
        fair.ticks = micro_of(bids, asks)
    elif (mid > 0.0 or p.fallback) and index > 0.0 and basis.ever:
        fair.source = FAIR_INDEX
        fair.ticks = (index + basis_of(basis)) / p.tick_size
    if not (isfinite(fair.ticks) and fair.ticks > 0.0 and fair.ticks < <double>MOST):
        fair.source = FAIR_NONE
        fair.ticks = 0.0
    return fair
