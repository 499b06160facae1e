"""A and k of the rate ``A exp(-k d)`` by maximum likelihood, from the sums of `intensity`.

With takers that reach the distance d at the rate ``A exp(-k d)``, the deepest of an interval of length D lies below d
with the probability ``exp(-A D exp(-k d))``. On the range [x0, x1) each interval contributes one of

====================  ==============================================================================================
nothing reached x0    ``exp(-A D (exp(-k x0) - exp(-k x1)))``
deepest at x          ``A D k exp(-k x) exp(-A D (exp(-k x) - exp(-k x1)))``; with ``A D`` small and given that x0 was
                      reached, the exponential distribution truncated at x1
deepest beyond x1     left out: the tail is heavier than exponential, and not what is quoted on
====================  ==============================================================================================

and, where an order of ours rested in the range, at whose price the book was not what it is without us:

====================  ==============================================================================================
nothing reached x0    ``exp(-A D exp(-k x0))``
deepest at x          ``A D k exp(-k x) exp(-A D exp(-k x))``
deepest is a fill of  right-censored: without our order it would have gone at least as far,
ours at x             ``1 - exp(-A D exp(-k x))``, here ``A D exp(-k x) exp(-A D exp(-k x) / 2)``, which is the same to
                      the second order
deepest beyond x1     the same, at x1
====================  ==============================================================================================

Prints lie on ticks: with a tick h, "deepest at x" means between x and x + h, and x0 is the first price in the range.

For a given k the best A is the number of intervals reached over ``sum(exp(-k x))``, and the likelihood of k that is
left is concave, so a few Newton steps, kept between bounds, find its maximum. The sum over x is kept as `BINS` counts:
the terms with ``exp(-k x)`` are a correction for more than one taker in an interval, and the place within a bin does
not matter to it.

Standard errors are those of the observed information. They take intervals to be independent of each other; real takers
come in clusters, so the true errors are larger.

Distances are in basis points of the mid. Source of the model: Avellaneda and Stoikov 2008, section 2.5.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy.model import intensity
from mftpy.model.compiled import compiled, sources_key
from mftpy.model.intensity import BINS, range_from, usable_price

_STEEPEST: Final = 200.0  # largest k times the far end of the range: its exponential is far from overflow
_FLATTEST: Final = 1e-6
_STEPS: Final = 60
_TOLERANCE: Final = 1e-10


class Intensity(NamedTuple):
    """An estimate of one side's A and k.

    Attributes
    ----------
    A, A_error : float
        Per second, at distance 0; extrapolated from the range.
    k, k_error : float
        Per basis point.
    covariance : float
        Of ln A and k: at the distance d, ``ln(A exp(-k d))`` has the variance
        ``(A_error / A)^2 + d^2 k_error^2 - 2 d covariance``.
    effective : float
        To how many equally weighted intervals that were reached those counted are worth; without the prior.
    weight_s : float
        Seconds of data, each weighted by its age; without the prior.
    found : bool
        False when there is no maximum at a k that can be used; all errors are 0 then, and so are A and k.
    """

    A: float
    A_error: float
    k: float
    k_error: float
    covariance: float
    effective: float
    weight_s: float
    found: bool


@compiled
def density_slopes(k: float, tick_bp: float) -> tuple[float, float]:
    """First derivative, and the second with its sign changed, of the logarithm of a reach's density by k."""
    if tick_bp * k < 1e-9:
        return 1.0 / k, 1.0 / (k * k)
    ratio = 1.0 / math.expm1(k * tick_bp)
    return tick_bp * ratio, tick_bp * tick_bp * ratio * (1.0 + ratio)


@compiled
def exposure(
    state: NDArray[np.void], side: int, k: float, kept: float, origin: float, bin_bp: float, prior: float, at: float
) -> tuple[float, float, float]:
    """Return ``sum(exp(-k (x - origin)))`` over what was watched, and its first two derivatives by k."""
    row = state[0]
    total = first = second = 0.0
    quiet = row.quiet[side]
    if quiet > 0.0:
        x = row.quiet_from[side] / quiet - origin
        term = kept * quiet * math.exp(-k * x)
        total, first, second = total + term, first - x * term, second + x * x * term
    ended = row.ended[side]
    if ended > 0.0:
        x = row.ended_at[side] / ended - origin
        term = -kept * ended * math.exp(-k * x)
        total, first, second = total + term, first - x * term, second + x * x * term
    for b in range(BINS):
        if row.hits[side, b] > 0.0:
            x = (b + 0.5) * bin_bp - origin
            term = kept * row.hits[side, b] * math.exp(-k * x)
            total, first, second = total + term, first - x * term, second + x * x * term
    if prior > 0.0:
        x = at - origin
        term = prior * math.exp(-k * x)
        total, first, second = total + term, first - x * term, second + x * x * term
    return total, first, second


def _make_estimate_intensity(sources: int) -> Any:
    """Return the compiled estimate; `sources` is part of the key of its cached code (see `sources_key`)."""

    def estimate_intensity(
        state: NDArray[np.void],
        observing: NDArray[np.void],
        side: int,
        now_ns: int,
        mid: float,
        prior_A: float,
        prior_k: float,
        prior_s: float,
        given_k: float,
    ) -> Intensity:
        """Estimate A and k of a side from what was seen and a prior that counts as so many seconds of data.

        The prior enters as the observations that are expected of it, so that alone it gives back its own A and k.

        Parameters
        ----------
        state : ndarray of INTENSITY, shape (1,)
        observing : ndarray of OBSERVING, shape (1,)
        side : int
            0 for our bid, 1 for our ask.
        now_ns : int
            Data ages up to here, and with it loses weight against the prior.
        mid : float
            For the size of a tick in basis points.
        prior_A : float
            Per second.
        prior_k : float
            Per basis point.
        prior_s : float
            0 for the data alone.
        given_k : float
            When above 0: k is not estimated but this, and A the best one for it.
        """
        _ = sources
        row = state[0]
        rule = observing[0]
        nothing = Intensity(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False)
        if not usable_price(mid):
            return nothing
        interval_s = 1e-9 * rule.requote_ns
        kept = 2.0 ** (-1e-9 * (now_ns - row.landmark_ns) / rule.half_life_s)
        if not (kept > 0.0 and math.isfinite(kept)):
            kept = 0.0
        weight_s = kept * row.watched[side] * interval_s
        effective = 0.0
        if row.reached2[side] > 0.0:
            effective = row.reached[side] * row.reached[side] / row.reached2[side]
        nothing = Intensity(0.0, 0.0, 0.0, 0.0, 0.0, effective, weight_s, False)
        tick_bp = rule.tick_size / mid * 1e4
        bin_bp = rule.to_bp / BINS
        prior_at = range_from(observing, side, mid) / mid * 1e4
        origin = prior_at
        if row.quiet[side] > 0.0:
            origin = row.quiet_from[side] / row.quiet[side]
        prior_intervals = prior_s / interval_s
        prior_reached = 0.0
        prior_reach = 0.0
        if prior_s > 0.0:
            prior_reached = prior_s * prior_A * math.exp(-prior_k * prior_at)
            prior_reach = prior_reached * (prior_at + density_slopes(prior_k, tick_bp)[0])
        reached = kept * row.reached[side] + prior_reached
        exact = kept * row.exact[side] + prior_reached
        reach = kept * row.reach[side] + prior_reach - reached * origin
        squared = kept * kept * row.reached2[side] + prior_reached
        if not (reached > 0.0 and exact > 0.0):
            return nothing
        # the maximum, by Newton's steps for 1/k-like curves, halving the bracket when a step leaves it
        low = _FLATTEST / rule.to_bp
        high = _STEEPEST / rule.to_bp
        k = exact / reach if reach > 0.0 else high
        if given_k > 0.0:
            k = min(max(given_k, low), high)
            low = k
            high = k
        k = min(max(k, low), high)
        information = 0.0
        total = first = second = 0.0
        for _ in range(_STEPS):
            density, curvature = density_slopes(k, tick_bp)
            total, first, second = exposure(state, side, k, kept, origin, bin_bp, prior_intervals, prior_at)
            if not total > 0.0:
                return nothing
            slope = exact * density - reach - reached * first / total
            information = exact * curvature + reached * (second / total - first / total * (first / total))
            if low == high:
                break
            if slope > 0.0:
                low = k
            else:
                high = k
            step = 0.0
            if information > 0.0:
                step = slope / information
            following = k + step
            if step == 0.0 or not low < following < high:
                following = 0.5 * (low + high) if slope != 0.0 else k
            if abs(following - k) <= _TOLERANCE * k:
                break
            k = following
        if given_k <= 0.0 and (k * rule.to_bp <= 2.0 * _FLATTEST or k * rule.to_bp >= 0.999 * _STEEPEST):
            return nothing
        log_A = math.log(reached / (total * interval_s)) + k * origin
        A = math.exp(log_A)
        if not (math.isfinite(A) and A > 0.0):
            return nothing
        unequal = squared / reached  # the weights scatter the estimate more than their sum says
        if given_k > 0.0:
            return Intensity(A, A * math.sqrt(unequal / reached), k, 0.0, 0.0, effective, weight_s, True)
        if not information > 0.0:
            return nothing
        moved = first / total - origin  # how ln A goes with k
        k_variance = unequal / information
        A_variance = unequal / reached + moved * moved * k_variance
        return Intensity(
            A, A * math.sqrt(A_variance), k, math.sqrt(k_variance), -moved * k_variance, effective, weight_s, True
        )

    return compiled(estimate_intensity)


estimate_intensity: Final = _make_estimate_intensity(sources_key(intensity))
