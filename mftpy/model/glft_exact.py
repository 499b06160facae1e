"""The exact solution of Gueant, Lehalle and Fernandez-Tapia with a bounded inventory: the oracle, too slow for quoting.

With n the position in clips, |n| <= N, and tau the time to the horizon, the value function is
``-exp(-gamma (x + q s)) v_n(tau)^(-g/k)``, where g = gamma clip and

    d v_n / d tau = eta (v_{n-1} + v_{n+1}) - (alpha n^2 - beta n) v_n,      v_n(0) = 1,
    alpha = k g sigma^2 / 2,   beta = k mu,   eta = A exp(-k c) (1 + g/k)^-(1 + k/g),

with v = 0 outside, mu the drift and c the fee. The distances of the quotes from the fair price are

    bid: c + ln(1 + g/k)/g + ln(v_n / v_{n+1})/k,        ask: c + ln(1 + g/k)/g + ln(v_n / v_{n-1})/k.

As tau goes to infinity v becomes the eigenvector of the smallest eigenvalue, up to a factor that the quotes do not see.

Units as in `avellaneda_stoikov`.

Notes
-----
v falls below 1e-40 within a hundred clips, and below what a float can hold within some hundreds: an exponential or an
eigenvector whose error is small beside the largest v is worthless there. Here only the ratios of neighbours are kept,
and they are computed by adding and multiplying numbers that are not negative, so that each has all its digits.

Sources: arXiv 1105.3115 (2013), sections 3 and 4; its section 5.1 for the trend. Steps: the method of uniformisation
(Jensen 1953). When to stop: the spread of ``ln(v_n / its limit)`` never grows in tau (Birkhoff 1957).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy.model import avellaneda_stoikov
from mftpy.model.avellaneda_stoikov import Refusal, log_ratio, usable
from mftpy.model.compiled import compiled, sources_key

MAX_CLIPS: Final = 200
"""Largest bound of the inventory: the time for a solution grows with its third power."""

_GAMMA: Final = int(Refusal.GAMMA)
_CLIP: Final = int(Refusal.CLIP)
_SIGMA: Final = int(Refusal.SIGMA)
_A: Final = int(Refusal.A)
_K: Final = int(Refusal.K)
_FEE: Final = int(Refusal.FEE)
_HORIZON: Final = int(Refusal.HORIZON)
_DRIFT: Final = int(Refusal.DRIFT)
_BOUND: Final = int(Refusal.BOUND)
_RESULT: Final = int(Refusal.RESULT)

_STEP: Final = 128.0  # steps of the time scale: the series' largest term is e^128, far from overflow
_TERMS: Final = 2000  # more than any step needs
_MOST_STEPS: Final = 50_000  # seconds; four times what settles without a drift takes with the widest bound
_SETTLED: Final = 1e-13  # what ln(v / limit) may still vary by when the limit is taken in its place


@compiled
def costs(a: float, b: float, cost: NDArray[np.float64]) -> int:
    """Fill ``cost[n + N]`` with ``a n^2 - b n`` less its smallest value, and return where that is."""
    bound = (len(cost) - 1) // 2
    lowest = int(math.floor(min(max(0.5 * b / a, -bound), bound) + 0.5))  # noqa: RUF046 (a float in nopython code)
    for i in range(len(cost)):
        n = i - bound
        # the difference of two neighbours on a parabola, without cancellation; never negative but by rounding
        cost[i] = max((n - lowest) * (a * (n + lowest) - b), 0.0)
    return lowest + bound


@compiled
def tail(
    cost: NDArray[np.float64], first: int, last: int, step: int, energy: float, log_ratios: NDArray[np.float64]
) -> float:
    """Decay of the eigenvector from one place to the next, by the continued fraction from the bound inwards.

    Parameters
    ----------
    cost : ndarray of float64, shape (2N + 1,)
    first, last : int
        The place at the bound, and the one next to the lowest cost; none when the bound is the lowest.
    step : int
        -1 from the upper bound down, +1 from the lower bound up.
    energy : float
        The trial eigenvalue.
    log_ratios : ndarray of float64, shape (2N + 1,)
        ``log_ratios[i]`` becomes ``ln(v_{i + step} / v_i)``: inwards from i.

    Returns
    -------
    float
        ``1 - v_last / v_{last + step}``, between 0 and 1; 2 when no positive vector has this energy.
    """
    drop = 1.0
    i = first
    while (last - i) * step >= 0:
        y = cost[i] - energy + drop
        if not y > -1.0:
            return 2.0
        log_ratios[i] = math.log1p(y)
        drop = y / (1.0 + y)
        i += step
    return drop


@compiled
def stationary(cost: NDArray[np.float64], lowest: int, work: NDArray[np.float64], log_v: NDArray[np.float64]) -> bool:
    """Solve ``cost_n v_n - (v_{n-1} - 2 v_n + v_{n+1}) = energy v_n`` for the positive vector.

    The energy lies between 0 and 2 (the vector that is 1 at the lowest cost and 0 elsewhere), and the equation at the
    lowest cost fails in one direction below it and in the other above: bisection.

    Parameters
    ----------
    cost : ndarray of float64, shape (2N + 1,)
        From `costs`.
    lowest : int
        Where it is 0.
    work : ndarray of float64, shape (2N + 1,)
        Scratch.
    log_v : ndarray of float64, shape (2N,)
        Becomes ``ln(v_{n+1} / v_n)``.

    Returns
    -------
    bool
        Whether every number is finite.
    """
    top = len(cost) - 1
    low = 0.0
    high = 2.0
    while True:
        energy = 0.5 * (low + high)
        if energy in (low, high):
            break
        above = tail(cost, top, lowest + 1, -1, energy, work)
        below = tail(cost, 0, lowest - 1, 1, energy, work)
        if above < 2.0 and below < 2.0 and above + below > energy:
            low = energy
        else:
            high = energy
    tail(cost, top, lowest + 1, -1, low, work)
    tail(cost, 0, lowest - 1, 1, low, work)
    good = True
    for i in range(top):
        log_v[i] = work[i] if i < lowest else -work[i + 1]
        good = good and math.isfinite(log_v[i])
    return good


@compiled
def unsettled(log_v: NDArray[np.float64], ratios: NDArray[np.float64]) -> float:
    """By how much ``ln(v_n / limit_n)`` varies over n."""
    total = least = most = 0.0
    for i in range(len(ratios)):
        total += math.log(ratios[i]) - log_v[i]
        least = min(least, total)
        most = max(most, total)
    return most - least


@compiled
def advance(
    cost: NDArray[np.float64],
    highest: float,
    time: float,
    ratios: NDArray[np.float64],
    term: NDArray[np.float64],
    total: NDArray[np.float64],
) -> bool:
    """Advance the ratios ``v_{n+1} / v_n`` by a time, in units of 1/eta.

    ``exp(time (highest - cost + neighbours))`` is applied to v as a power series; every number in it is positive. v is
    measured in its value at the beginning: the first term is 1 everywhere.

    Returns
    -------
    bool
        False when a number grew beyond all bounds.
    """
    places = len(cost)
    for i in range(places):
        term[i] = total[i] = 1.0
    for j in range(1, _TERMS):
        before = 0.0
        largest = 0.0
        for i in range(places):
            grown = (highest - cost[i]) * term[i]
            if i > 0:
                grown += before / ratios[i - 1]
            if i < places - 1:
                grown += term[i + 1] * ratios[i]
            before = term[i]
            term[i] = grown * (time / j)
            total[i] += term[i]
            largest = max(largest, term[i] / total[i])
        if not math.isfinite(largest):
            return False
        if largest < 1e-18 and j > time * highest:
            for i in range(places - 1):
                ratios[i] *= total[i + 1] / total[i]
            return True
    return False


@compiled
def evolve(cost: NDArray[np.float64], lowest: int, time: float, log_v: NDArray[np.float64]) -> int:
    """Fill `log_v` with ``ln(v_{n+1} / v_n)`` at a time in units of 1/eta, from v = 1; returns a `Refusal`."""
    places = len(cost)
    work = np.empty(places)
    term = np.empty(places)
    if not stationary(cost, lowest, work, log_v):
        return _RESULT
    ratios = np.empty(places - 1)
    for i in range(places - 1):
        ratios[i] = 1.0
    highest = max(cost[0], cost[places - 1]) + 2.0
    step = _STEP / highest
    left = time
    closest = math.inf
    stuck = 0
    steps = 0
    while left > 0.0:
        steps += 1
        if steps > _MOST_STEPS:  # two positions of about equal cost and a huge one elsewhere
            return _HORIZON
        if not advance(cost, highest, min(step, left), ratios, term, work):
            return _RESULT
        left -= step
        off = unsettled(log_v, ratios)
        # it cannot grow but by rounding: then the limit is nearer to v than the ratios are
        stuck = stuck + 1 if off >= closest else 0
        closest = min(closest, off)
        if off <= _SETTLED or (stuck >= 100 and off < 1e-9):
            return 0
    for i in range(places - 1):
        log_v[i] = math.log(ratios[i])
    return 0


def _make_distances(sources: int) -> Callable[..., int]:
    def distances(
        gamma: float,
        clip: float,
        sigma: float,
        A: float,
        k: float,
        fee: float,
        horizon_s: float,
        endless: bool,
        drift: float,
        bid_distance: NDArray[np.float64],
        ask_distance: NDArray[np.float64],
    ) -> int:
        """Distances of the optimal quotes from the fair price, for every position within the bound.

        Parameters
        ----------
        gamma, clip, sigma, A, k : float
            Positive.
        fee, drift : float
            Finite.
        horizon_s : float
            Time left, not negative.
        endless : bool
            In place of `horizon_s`: the limit of an infinite horizon.
        bid_distance, ask_distance : ndarray of float64, shape (2N + 1,)
            Filled: USD per coin at position n clips in element n + N, N between 1 and `MAX_CLIPS`; may be negative;
            infinite for the side that would leave the bound. Left as they are when refused.

        Returns
        -------
        int
            A `Refusal`.
        """
        _ = sources
        if not usable(gamma):
            return _GAMMA
        if not usable(clip):
            return _CLIP
        if not usable(sigma):
            return _SIGMA
        if not usable(A):
            return _A
        if not usable(k):
            return _K
        if not math.isfinite(fee):
            return _FEE
        if not (endless or (math.isfinite(horizon_s) and horizon_s >= 0.0)):
            return _HORIZON
        if not math.isfinite(drift):
            return _DRIFT
        places = len(bid_distance)
        if places != len(ask_distance) or places % 2 == 0 or not 3 <= places <= 2 * MAX_CLIPS + 1:
            return _BOUND
        x = gamma * clip / k
        exponent = (1.0 + x) * log_ratio(x) + k * fee  # of A/eta
        a = 0.5 * k * gamma * clip * sigma * sigma / A * math.exp(exponent)
        b = k * drift / A * math.exp(exponent)
        time = horizon_s * A * math.exp(-exponent)
        largest = a * places * places + abs(b) * places
        if not (usable(a) and math.isfinite(0.5 * b / a) and math.isfinite(largest) and math.isfinite(time)):
            return _RESULT
        cost = np.empty(places)
        lowest = costs(a, b, cost)
        log_v = np.empty(places - 1)
        if endless:
            if not stationary(cost, lowest, np.empty(places), log_v):
                return _RESULT
        else:
            refusal = evolve(cost, lowest, time, log_v)
            if refusal != 0:
                return refusal
        flat = log_ratio(x) / k + fee
        if not math.isfinite(flat):
            return _RESULT
        for i in range(places):
            bid_distance[i] = flat - log_v[i] / k if i < places - 1 else np.inf
            ask_distance[i] = flat + log_v[i - 1] / k if i > 0 else np.inf
        return 0

    return compiled(distances)


distances: Final = _make_distances(sources_key(avellaneda_stoikov))


class ExactQuote(NamedTuple):
    """Unrounded prices of the exact solution.

    Attributes
    ----------
    refusal : Refusal
        When it is not `Refusal.NONE` there is no quote.
    bid, ask : float or None
        None on the side that would leave the bound.
    """

    refusal: Refusal
    bid: float | None
    ask: float | None


def quote(
    fair: float,
    position_coins: float,
    gamma: float,
    clip: float,
    sigma: float,
    A: float,
    k: float,
    fee: float,
    horizon_s: float | None,
    max_clips: int,
    drift: float = 0.0,
) -> ExactQuote:
    """Quote around a fair price; milliseconds to seconds of work.

    Parameters
    ----------
    fair, position_coins, gamma, clip, sigma, A, k, fee, drift : float
        As for `glft.quote`; the position must be a whole number of clips (to 1e-9 of one).
    horizon_s : float or None
        Time left; None for the limit of an infinite horizon.
    max_clips : int
        N: bound of the inventory, 1 to `MAX_CLIPS`.
    """
    if not (math.isfinite(fair) and fair > 0.0):
        return ExactQuote(Refusal.FAIR, None, None)
    if not 1 <= max_clips <= MAX_CLIPS:
        return ExactQuote(Refusal.BOUND, None, None)
    bids, asks = np.empty(2 * max_clips + 1), np.empty(2 * max_clips + 1)
    refusal = distances(
        gamma, clip, sigma, A, k, fee, 0.0 if horizon_s is None else horizon_s, horizon_s is None, drift, bids, asks
    )
    if refusal:
        return ExactQuote(Refusal(refusal), None, None)
    clips = position_coins / clip
    if not (math.isfinite(clips) and abs(clips) < max_clips + 0.5 and abs(clips - round(clips)) <= 1e-9):
        return ExactQuote(Refusal.POSITION, None, None)
    n = round(clips)
    bid = None if n == max_clips else fair - float(bids[n + max_clips])
    ask = None if n == -max_clips else fair + float(asks[n + max_clips])
    return ExactQuote(Refusal.NONE, bid, ask)
