"""How often trades reach how far from the mid: A and k of the rate ``A exp(-k d)``, each side by itself.

A quote that is renewed once in a requote interval is filled by what trades during the interval, at its distance from
the mid *before*. So time is cut into such intervals, and each side of each interval gives one observation: the distance
of its deepest print from the mid at the interval's beginning. That merges the prints of a sweep, and of sweeps that
follow each other within an interval. Prints nearer than the range, above all those at the touch, where the place in the
queue decides, reach nothing.

The sums that are kept, and what they are enough for, are told in `intensity_fit`. Weights fall by half per half-life.
Distances are in basis points of the mid, so that a market's price may drift, and one prior may serve several markets.

A fill of ours nearer than the range hides whether the range would have been reached: that side of the interval is left
out. Prints lie on ticks: a print at x says that x was reached and the next price was not, and the range begins at the
first price in it.

Source of the method of observation: hftbacktest, "GLFT Market Making Model and Grid Trading"; of the model: Avellaneda
and Stoikov 2008, section 2.5. Side 0 is our bid, which sellers fill; side 1 our ask.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mftpy.model.compiled import compiled

BINS: Final = 32
BID: Final = 0
ASK: Final = 1
BUY: Final = 1
SELL: Final = -1

INTENSITY: Final = np.dtype(
    [
        ("open_ns", "<i8"),
        ("seen_ns", "<i8"),
        ("landmark_ns", "<i8"),
        ("mid", "<f8"),
        ("own", "<f8", (2,)),
        ("open_mid", "<f8"),
        ("from_px", "<f8", (2,)),
        ("to_px", "<f8", (2,)),
        ("deepest_px", "<f8", (2,)),
        ("deepest_own", "<i8", (2,)),
        ("own_in_range", "<i8", (2,)),
        ("quiet", "<f8", (2,)),
        ("quiet_from", "<f8", (2,)),
        ("ended", "<f8", (2,)),
        ("ended_at", "<f8", (2,)),
        ("reached", "<f8", (2,)),
        ("reached2", "<f8", (2,)),
        ("exact", "<f8", (2,)),
        ("reach", "<f8", (2,)),
        ("hits", "<f8", (2, BINS)),
        ("watched", "<f8", (2,)),
        ("intervals", "<i8"),
        ("prints", "<i8"),
        ("unusable", "<i8"),
        ("snapshot_prints", "<i8"),
        ("unwatched", "<i8"),
        ("gaps", "<i8"),
        ("backwards", "<i8"),
        ("beyond", "<i8", (2,)),
        ("censored", "<i8", (2,)),
    ]
)
"""What is kept of the past; zeros before anything was seen.

The open interval: when and at which mid it began, the range in price, the deepest print so far and whether it was a
fill of ours, whether an order of ours lay in the range. Then weighted sums over closed intervals, per side, distances
in basis points: ``quiet`` that were not reached and the sum of their x0; ``ended`` whose likelihood ends at x1, and the
sum of their x1; ``reached`` (``reached2`` with squared weights), of those ``exact``, and the sum of their x; ``hits``,
where they lay; ``watched``, all. Weights are ``2^((t - landmark) / half-life)``. Then counts, of prints that were used,
that were no numbers, that were of a snapshot, that came without an open interval; of gaps and times that ran backwards;
of intervals that reached beyond the range, and of censored ones.
"""

OBSERVING: Final = np.dtype(
    [
        ("requote_ns", "<i8"),
        ("gap_ns", "<i8"),
        ("half_life_s", "<f8"),
        ("from_bp", "<f8"),
        ("to_bp", "<f8"),
        ("touch_ticks", "<f8"),
        ("tick_size", "<f8"),
    ]
)
"""How it is observed: length of an interval, silence that is not counted, half-life, and the range.

The range begins at ``from_bp`` of the mid or at ``touch_ticks``, whichever is further, and ends before ``to_bp``. With
a ``tick_size`` of 0 prices are continuous.
"""

_LEAST_PRICE: Final = 1e-15
_MOST_PRICE: Final = 1e15
_MOST_DOUBLINGS: Final = 20.0  # of the weights, before the landmark is moved up


@compiled
def usable_price(price: float) -> bool:
    """Whether a price is a positive, finite number of a size that can be reckoned with."""
    return math.isfinite(price) and _LEAST_PRICE <= price <= _MOST_PRICE


@compiled
def first_level(side: int, mid: float, distance: float, tick_size: float) -> float:
    """Distance from the mid of the first price of a side that lies at least so far away."""
    if not tick_size > 0.0:
        return distance
    mid_ticks = mid / tick_size
    offset = mid_ticks - math.floor(mid_ticks) if side == BID else math.ceil(mid_ticks) - mid_ticks
    return (offset + math.ceil(distance / tick_size - offset - 1e-6)) * tick_size


@compiled
def range_from(observing: NDArray[np.void], side: int, mid: float) -> float:
    """Where the range begins: the distance of its first price from the mid."""
    rule = observing[0]
    least = max(rule.from_bp * 1e-4 * mid, rule.touch_ticks * rule.tick_size)
    return first_level(side, mid, least, rule.tick_size)


@compiled
def open_interval(state: NDArray[np.void], observing: NDArray[np.void], at_ns: int) -> None:
    """Begin an interval at the newest mid, if there is one."""
    row = state[0]
    rule = observing[0]
    row.open_mid = row.mid
    if row.mid == 0.0:
        return
    row.open_ns = at_ns
    for side in range(2):
        row.from_px[side] = range_from(observing, side, row.mid)
        row.to_px[side] = max(
            row.from_px[side], first_level(side, row.mid, rule.to_bp * 1e-4 * row.mid, rule.tick_size)
        )
        row.deepest_px[side] = 0.0
        row.deepest_own[side] = 0
        row.own_in_range[side] = 0
        if row.own[side] > 0.0:
            distance = row.mid - row.own[side] if side == BID else row.own[side] - row.mid
            slack = 1e-6 * rule.tick_size
            if row.from_px[side] - slack <= distance < row.to_px[side] - slack:
                row.own_in_range[side] = 1


@compiled
def weight_at(state: NDArray[np.void], observing: NDArray[np.void], at_ns: int) -> float:
    """Weight of what is seen at a time. Now and then the landmark moves there, and all sums shrink accordingly."""
    row = state[0]
    doublings = 1e-9 * (at_ns - row.landmark_ns) / observing[0].half_life_s
    if doublings <= _MOST_DOUBLINGS:
        return float(2.0**doublings)
    kept = 2.0**-doublings
    for side in range(2):
        row.quiet[side] *= kept
        row.quiet_from[side] *= kept
        row.ended[side] *= kept
        row.ended_at[side] *= kept
        row.reached[side] *= kept
        row.reached2[side] *= kept * kept
        row.exact[side] *= kept
        row.reach[side] *= kept
        row.watched[side] *= kept
        for b in range(BINS):
            row.hits[side, b] *= kept
    row.landmark_ns = at_ns
    return 1.0


@compiled
def bin_of(distance_bp: float, to_bp: float) -> int:
    """Which of the `BINS` a distance lies in; the last one holds all that is further."""
    return min(BINS - 1, max(0, int(BINS * distance_bp / to_bp)))


@compiled
def count_side(state: NDArray[np.void], observing: NDArray[np.void], side: int, weight: float) -> None:
    """Add one side of the open interval to the sums."""
    row = state[0]
    rule = observing[0]
    bp = 1e4 / row.open_mid
    slack = 1e-6 * rule.tick_size
    deepest = row.deepest_px[side]
    own = row.deepest_own[side] != 0
    untruncated = own or row.own_in_range[side] != 0
    near = deepest < row.from_px[side] - slack or deepest == 0.0
    far = deepest >= row.to_px[side] - slack
    if near and own:
        return
    if not near and far and not untruncated:
        row.beyond[side] += 1
        return
    row.watched[side] += weight
    if not untruncated:
        row.ended[side] += weight
        row.ended_at[side] += weight * row.to_px[side] * bp
    if near:
        row.quiet[side] += weight
        row.quiet_from[side] += weight * row.from_px[side] * bp
        return
    row.reached[side] += weight
    row.reached2[side] += weight * weight
    if own or far:
        distance_bp = min(deepest, row.to_px[side]) * bp
        row.hits[side, bin_of(distance_bp, rule.to_bp)] += 0.5 * weight
        row.censored[side] += 1
    else:
        distance_bp = deepest * bp
        row.hits[side, bin_of(distance_bp + 0.5 * rule.tick_size * bp, rule.to_bp)] += weight
        row.exact[side] += weight
    row.reach[side] += weight * distance_bp


@compiled
def unwatch(state: NDArray[np.void]) -> None:
    """Drop the open interval and begin anew with the next mid: after a resync, or when trades may have been missed."""
    row = state[0]
    if row.open_mid != 0.0:
        row.gaps += 1
    row.open_mid = 0.0
    row.mid = 0.0


@compiled
def advance(state: NDArray[np.void], observing: NDArray[np.void], now_ns: int) -> bool:
    """Close all intervals that have ended, and begin the one that holds `now_ns`; False for a time that is none."""
    row = state[0]
    rule = observing[0]
    if now_ns < 0:
        return False
    if now_ns < row.seen_ns:
        row.backwards += 1
        if row.seen_ns - now_ns <= rule.gap_ns:
            return True  # two feeds with the same clock: a little late, and counted where we are
        row.landmark_ns -= row.seen_ns - now_ns  # another clock: what is known keeps its age
        row.open_ns -= row.seen_ns - now_ns
        unwatch(state)
    elif now_ns - row.seen_ns > rule.gap_ns:
        unwatch(state)
    row.seen_ns = now_ns
    if row.open_mid == 0.0:
        return True
    ended = (now_ns - row.open_ns) // rule.requote_ns
    if ended <= 0:
        return True
    weight = weight_at(state, observing, row.open_ns)
    for side in range(2):
        count_side(state, observing, side, weight)
    row.intervals += 1
    if ended > 1 and row.mid != 0.0:
        open_interval(state, observing, row.open_ns + rule.requote_ns)
        for side in range(2):
            count_side(state, observing, side, weight * (ended - 1))
        row.intervals += ended - 1
        open_interval(state, observing, row.open_ns + (ended - 1) * rule.requote_ns)
    else:
        open_interval(state, observing, row.open_ns + ended * rule.requote_ns)
    return True


@compiled
def observe_mid(
    state: NDArray[np.void], observing: NDArray[np.void], now_ns: int, mid: float, own_bid: float, own_ask: float
) -> None:
    """Take note of the mid and of our own quotes; call it with every change of the book, and by timer.

    Parameters
    ----------
    state : ndarray of INTENSITY, shape (1,)
    observing : ndarray of OBSERVING, shape (1,)
    now_ns : int
        Not negative. A silence longer than the gap counts neither as time nor as intervals without a trade.
    mid : float
        Of the book without our own orders; 0, NaN or any other number that is no price when there is none: no interval
        begins then.
    own_bid, own_ask : float
        Our nearest prices, 0 for none.
    """
    row = state[0]
    if not advance(state, observing, now_ns):
        row.unusable += 1
        return
    row.mid = mid if usable_price(mid) else 0.0
    row.own[BID] = own_bid if usable_price(own_bid) else 0.0
    row.own[ASK] = own_ask if usable_price(own_ask) else 0.0
    if row.landmark_ns == 0:
        row.landmark_ns = now_ns
    untraded = row.deepest_px[BID] == 0.0 and row.deepest_px[ASK] == 0.0
    if row.open_mid == 0.0 or (row.open_ns == now_ns and untraded):  # a mid at the very beginning is the interval's
        open_interval(state, observing, now_ns)


@compiled
def observe_print(
    state: NDArray[np.void],
    observing: NDArray[np.void],
    now_ns: int,
    price: float,
    size: float,
    taker_side: int,
    is_own: int,
    in_snapshot: int,
) -> None:
    """Take note of one trade, in the order of time with `observe_mid`.

    Parameters
    ----------
    state : ndarray of INTENSITY, shape (1,)
    observing : ndarray of OBSERVING, shape (1,)
    now_ns : int
        By the same clock as of `observe_mid`; one that is somewhat earlier counts in the open interval.
    price, size : float
        A size of 0, or a price that is none, is counted as unusable.
    taker_side : int
        1 for a buyer, -1 for a seller; 0 when it is not known: then a print above the mid was a buyer's.
    is_own : int
        1 when we were the maker.
    in_snapshot : int
        1 for a trade from before the subscription; it is counted, and not used.
    """
    row = state[0]
    if in_snapshot != 0:
        row.snapshot_prints += 1
        return
    if not (usable_price(price) and math.isfinite(size) and size > 0.0) or not advance(state, observing, now_ns):
        row.unusable += 1
        return
    if row.open_mid == 0.0:
        row.unwatched += 1
        return
    row.prints += 1
    above = price - row.open_mid
    if taker_side == 0:
        taker_side = BUY if above > 0.0 else SELL
    side = ASK if taker_side > 0 else BID
    distance = above if side == ASK else -above
    slack = 1e-6 * observing[0].tick_size
    if distance > row.deepest_px[side] + slack:
        row.deepest_px[side] = distance
        row.deepest_own[side] = is_own
    elif is_own != 0 and distance >= row.deepest_px[side] - slack:
        row.deepest_own[side] = 1
