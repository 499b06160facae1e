"""Arithmetic volatility of the mid, from the mid as it comes.

The mid is sampled at a step of about a second, not at every change: a sweep arrives as many small moves of one sign,
and the sum of their squares understates the variance several times. Each sample adds its squared move and its time;
what is older counts less, by the time that has passed, and both sums age alike, so that their quotient has no memory of
where it began::

    sigma^2 = sum(w dp^2) / sum(w dt),  w = 2^(-age / half-life)

A sample is the mid that was valid at the end of a step, which is the one before the change that shows that the step has
ended: the change itself may be the beginning of a sweep. When several steps have ended without a change, the move
counts over all of them. What must not count is a move over a time in which nobody looked: after a silence longer than
the gap, or `restart`, the next mid begins anew, and neither the move nor the time is used.

Times are nanoseconds of one clock, prices in quote currency per coin, sigma in that per square-root second. All
functions are compiled, allocate nothing, and take the same time however much has been seen.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy.model.compiled import compiled

VOLATILITY: Final = np.dtype(
    [
        ("sample_ns", "<i8"),
        ("seen_ns", "<i8"),
        ("aged_ns", "<i8"),
        ("price", "<f8"),
        ("newest", "<f8"),
        ("sum_dp2", "<f8"),
        ("sum_dt", "<f8"),
        ("sum_dp4", "<f8"),
        ("sum_dp2_dt", "<f8"),
        ("sum_dt2", "<f8"),
        ("samples", "<i8"),
        ("gaps", "<i8"),
        ("missing", "<i8"),
        ("backwards", "<i8"),
    ]
)
"""What is kept of the past; zeros before anything was seen.

``price`` is the mid at ``sample_ns``, from which the next move is taken, 0 when there is none; ``newest`` the last one
seen. The sums are as of
``aged_ns``; those of fourth order have squared weights. The counts are of samples, of gaps that began anew, of mids
that were none, and of those that came earlier than the one before.
"""

SAMPLING: Final = np.dtype([("step_ns", "<i8"), ("gap_ns", "<i8"), ("half_life_s", "<f8")])
"""How it is sampled: least time between samples, silence after which it begins anew, half-life of the weights."""

MOST_PRICE: Final = 1e15  # keeps fourth powers of moves, and the sums of them, far from overflow
LEAST_PRICE: Final = 1e-15


class Volatility(NamedTuple):
    """An estimate of sigma.

    Attributes
    ----------
    sigma : float
        Price per square-root second; 0 when nothing is known, or nothing moved.
    standard_error : float
        Of sigma. From the squared moves as they are where they scatter more than those of a Brownian motion would, from
        the latter otherwise; moves that are independent of each other are assumed.
    effective : float
        To how many equally weighted samples of equal length those counted are worth; without the prior.
    weight_s : float
        Seconds of data, each weighted by its age; without the prior.
    """

    sigma: float
    standard_error: float
    effective: float
    weight_s: float


@compiled
def usable_price(price: float) -> bool:
    """Whether a price is a positive, finite number of a size that can be reckoned with."""
    return math.isfinite(price) and LEAST_PRICE <= price <= MOST_PRICE


@compiled
def restart(state: NDArray[np.void]) -> None:
    """Begin anew with the next mid: after a resync, or whenever the mids since the last one are not known."""
    row = state[0]
    if row.price != 0.0:
        row.price = 0.0
        row.gaps += 1


@compiled
def sample_mid(state: NDArray[np.void], sampling: NDArray[np.void], now_ns: int, mid: float) -> None:
    """Take note of the mid; call it with every change of the book, or oftener.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
    sampling : ndarray of SAMPLING, shape (1,)
    now_ns : int
        Not negative. A time earlier than the one before is passed over; one earlier by more than the gap begins anew.
    mid : float
        0, NaN or any other number that is no price when there is none: it is passed over, and when that lasts longer
        than the gap it is a gap.
    """
    row = state[0]
    rule = sampling[0]
    if now_ns < 0 or not usable_price(mid):
        row.missing += 1
        return
    if now_ns < row.seen_ns:
        row.backwards += 1
        if row.seen_ns - now_ns <= rule.gap_ns:
            return
        row.aged_ns = max(0, row.aged_ns - (row.seen_ns - now_ns))  # another clock: what is known keeps its age
        restart(state)
    elif now_ns - row.seen_ns > rule.gap_ns:
        restart(state)
    row.seen_ns = now_ns
    if row.price == 0.0:
        row.price = mid
        row.newest = mid
        row.sample_ns = now_ns
        return
    steps = (now_ns - row.sample_ns) // rule.step_ns
    if steps > 0:
        ended_ns = row.sample_ns + steps * rule.step_ns
        kept = 2.0 ** (-1e-9 * (ended_ns - row.aged_ns) / rule.half_life_s)
        dt = 1e-9 * (ended_ns - row.sample_ns)
        dp2 = (row.newest - row.price) * (row.newest - row.price)
        row.sum_dp2 = kept * row.sum_dp2 + dp2
        row.sum_dt = kept * row.sum_dt + dt
        row.sum_dp4 = kept * kept * row.sum_dp4 + dp2 * dp2
        row.sum_dp2_dt = kept * kept * row.sum_dp2_dt + dp2 * dt
        row.sum_dt2 = kept * kept * row.sum_dt2 + dt * dt
        row.aged_ns = ended_ns
        row.price = row.newest
        row.sample_ns = ended_ns
        row.samples += 1
    row.newest = mid


@compiled
def estimate_sigma(
    state: NDArray[np.void], sampling: NDArray[np.void], now_ns: int, prior_sigma: float, prior_s: float
) -> Volatility:
    """Estimate sigma from what was seen and a prior that counts as so many seconds of data.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
    sampling : ndarray of SAMPLING, shape (1,)
    now_ns : int
        Data ages up to here, and with it loses weight against the prior.
    prior_sigma : float
        Price per square-root second.
    prior_s : float
        0 for the data alone.
    """
    row = state[0]
    rule = sampling[0]
    kept = 2.0 ** (-1e-9 * max(0, now_ns - row.aged_ns) / rule.half_life_s)
    weight_s = kept * row.sum_dt
    effective = 0.0
    if row.sum_dt2 > 0.0:
        effective = row.sum_dt * row.sum_dt / row.sum_dt2
    total_s = weight_s + prior_s
    if not total_s > 0.0:
        return Volatility(0.0, 0.0, effective, weight_s)
    variance = (kept * row.sum_dp2 + prior_s * prior_sigma * prior_sigma) / total_s
    scatter = max(
        row.sum_dp4 - 2.0 * variance * row.sum_dp2_dt + variance * variance * row.sum_dt2,
        2.0 * variance * variance * row.sum_dt2,
    )
    scatter = kept * kept * scatter + 2.0 * variance * variance * prior_s * 1e-9 * rule.step_ns
    sigma = math.sqrt(variance)
    standard_error = 0.0
    if sigma > 0.0:
        standard_error = 0.5 * math.sqrt(scatter) / (total_s * sigma)
    return Volatility(sigma, standard_error, effective, weight_s)
