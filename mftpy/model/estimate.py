"""What the quotes are made with: sigma, and A and k of each side, each with its error, its prior and its standing.

Each is estimated from the data and a prior that counts as so many hours of data. The prior, and the bounds between
which a value is kept, are in basis points of the price, so that they serve a coin at 60,000 as well as one at 2,000.
Data ages, so a market that falls silent goes back to its prior.

=========  ==================  =============================================================================
standing   doubt               value
=========  ==================  =============================================================================
PRIOR      NO_DATA             the prior
WARMING    TOO_FEW             data and prior together
LIVE       NONE                data and prior together
REJECTED   STALE               data and prior together; no new data for `stale_s`
REJECTED   ERROR_TOO_LARGE     A, k: the prior. Sigma: the larger of prior and both together, as a market that
                               has just jumped is not calmer than it was thought to be
REJECTED   NO_MOVEMENT         sigma: data and prior together, though the data says exactly 0
REJECTED   OUTSIDE_BOUNDS      the bound that is nearest. With k at its bound, A is the best one for that k. A, k:
                               data and prior together, if only the data alone fits no k at all
REJECTED   NO_PRICE            0, which the model refuses
=========  ==================  =============================================================================

A and k of a side are one fit: what is said against k is said against A. Whatever the standing, values are finite, and,
but for NO_PRICE, inside their bounds.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mftpy.model import intensity as intensity_module
from mftpy.model import intensity_fit, volatility
from mftpy.model.compiled import compiled, sources_key
from mftpy.model.intensity_fit import estimate_intensity
from mftpy.model.standing import BID_A, BID_K, SIGMA, Doubt, Standing
from mftpy.model.volatility import estimate_sigma, usable_price

ESTIMATE: Final = np.dtype(
    [
        ("value", "<f8"),
        ("error", "<f8"),
        ("measured", "<f8"),
        ("measured_error", "<f8"),
        ("prior", "<f8"),
        ("effective", "<f8"),
        ("weight_hours", "<f8"),
        ("covariance", "<f8"),
        ("standing", "<i8"),
        ("doubt", "<i8"),
    ]
)
"""One estimate; five of them in the order of `NAMES`, in price units.

``value`` is what to use, ``error`` its standard error, prior included (0 where it is a bound or an unweighted prior);
``measured`` is what the data says alone, 0 when it says nothing. ``effective`` is the number of samples, or of
intervals that were reached, and ``weight_hours`` the hours of data, both weighted by age. ``covariance``, in the rows
of A, is that of ln A and k.
"""

BLENDING: Final = np.dtype(
    [
        ("sigma_prior_bp", "<f8"),
        ("sigma_prior_s", "<f8"),
        ("sigma_least_bp", "<f8"),
        ("sigma_most_bp", "<f8"),
        ("least_samples", "<f8"),
        ("A_prior", "<f8"),
        ("k_prior_bp", "<f8"),
        ("intensity_prior_s", "<f8"),
        ("A_least", "<f8"),
        ("A_most", "<f8"),
        ("k_least_bp", "<f8"),
        ("k_most_bp", "<f8"),
        ("least_reached", "<f8"),
        ("most_relative_error", "<f8"),
        ("stale_ns", "<i8"),
    ]
)
"""Priors, their weights, bounds, and when to doubt; from `mftpy.settings.Estimation`."""

_PRIOR: Final = int(Standing.PRIOR)
_WARMING: Final = int(Standing.WARMING)
_LIVE: Final = int(Standing.LIVE)
_REJECTED: Final = int(Standing.REJECTED)
_NONE: Final = int(Doubt.NONE)
_NO_DATA: Final = int(Doubt.NO_DATA)
_TOO_FEW: Final = int(Doubt.TOO_FEW)
_STALE: Final = int(Doubt.STALE)
_ERROR_TOO_LARGE: Final = int(Doubt.ERROR_TOO_LARGE)
_NO_MOVEMENT: Final = int(Doubt.NO_MOVEMENT)
_OUTSIDE_BOUNDS: Final = int(Doubt.OUTSIDE_BOUNDS)
_NO_PRICE: Final = int(Doubt.NO_PRICE)


@compiled
def doubted(weight: float, age_ns: int, stale_ns: int, effective: float, least: float) -> int:
    """What can be said against an estimate by the amount and the age of its data."""
    if not weight > 0.0:
        return _NO_DATA
    if age_ns > stale_ns:
        return _STALE
    if not effective >= least:
        return _TOO_FEW
    return _NONE


@compiled
def standing_of(doubt: int) -> int:
    """The standing that goes with a doubt."""
    if doubt == _NONE:
        return _LIVE
    if doubt == _NO_DATA:
        return _PRIOR
    if doubt == _TOO_FEW:
        return _WARMING
    return _REJECTED


@compiled
def put(
    out: NDArray[np.void],
    at: int,
    value: float,
    error: float,
    measured: float,
    measured_error: float,
    prior: float,
    effective: float,
    weight_s: float,
    covariance: float,
    doubt: int,
) -> None:
    """Fill one row."""
    row = out[at]
    row.value = value
    row.error = error
    row.measured = measured
    row.measured_error = measured_error
    row.prior = prior
    row.effective = effective
    row.weight_hours = weight_s / 3600.0
    row.covariance = covariance
    row.standing = standing_of(doubt)
    row.doubt = doubt


def _make_put_sigma(sources: int) -> Any:
    """Return the compiled function; `sources` is part of the key of its cached code (see `sources_key`)."""

    def put_sigma(
        state: NDArray[np.void],
        sampling: NDArray[np.void],
        blending: NDArray[np.void],
        now_ns: int,
        price: float,
        out: NDArray[np.void],
    ) -> None:
        _ = sources
        p = blending[0]
        bp = 1e-4 * price
        prior = p.sigma_prior_bp * bp
        alone = estimate_sigma(state, sampling, now_ns, 0.0, 0.0)
        both = estimate_sigma(state, sampling, now_ns, prior, p.sigma_prior_s)
        age_ns = now_ns - state[0].aged_ns
        doubt = doubted(alone.weight_s, age_ns, p.stale_ns, alone.effective, p.least_samples)
        value = both.sigma
        error = both.standard_error
        if doubt == _NO_DATA:
            value = prior
        elif doubt == _NONE and alone.sigma == 0.0:
            doubt = _NO_MOVEMENT
        elif doubt == _NONE and not alone.standard_error <= p.most_relative_error * alone.sigma:
            doubt = _ERROR_TOO_LARGE
            value = max(prior, value)
        inside = min(max(value, p.sigma_least_bp * bp), p.sigma_most_bp * bp)
        if inside != value:
            value = inside
            error = 0.0
            if doubt != _NO_MOVEMENT:
                doubt = _OUTSIDE_BOUNDS
        put(
            out, SIGMA, value, error, alone.sigma, alone.standard_error, prior, alone.effective, alone.weight_s, 0.0,
            doubt,
        )  # fmt: skip

    return compiled(put_sigma)


put_sigma: Final = _make_put_sigma(sources_key(volatility))


def _make_put_intensity(sources: int) -> Any:
    """Return the compiled function; `sources` is part of the key of its cached code (see `sources_key`)."""

    def put_intensity(
        state: NDArray[np.void],
        observing: NDArray[np.void],
        blending: NDArray[np.void],
        side: int,
        now_ns: int,
        price: float,
        out: NDArray[np.void],
    ) -> None:
        _ = sources
        p = blending[0]
        per_px = 1e4 / price  # k per basis point times this is k per unit of price
        prior_s = p.intensity_prior_s
        alone = estimate_intensity(state, observing, side, now_ns, price, p.A_prior, p.k_prior_bp, 0.0, 0.0)
        both = estimate_intensity(state, observing, side, now_ns, price, p.A_prior, p.k_prior_bp, prior_s, 0.0)
        age_ns = now_ns - state[0].open_ns
        doubt = doubted(alone.weight_s, age_ns, p.stale_ns, alone.effective, p.least_reached)
        A = both.A
        A_error = both.A_error
        k = both.k
        k_error = both.k_error
        covariance = both.covariance
        most = p.most_relative_error
        if doubt == _NONE and not (alone.found and both.found):
            doubt = _OUTSIDE_BOUNDS
        elif doubt == _NONE and not (alone.k_error <= most * alone.k and alone.A_error <= most * alone.A):
            doubt = _ERROR_TOO_LARGE
        if doubt in (_NO_DATA, _ERROR_TOO_LARGE) or not both.found:
            A = p.A_prior
            k = p.k_prior_bp
            A_error = k_error = covariance = 0.0
            if doubt == _NO_DATA and both.found:
                A_error = both.A_error
                k_error = both.k_error
                covariance = both.covariance
        inside = min(max(k, p.k_least_bp), p.k_most_bp)
        if inside != k:
            doubt = _OUTSIDE_BOUNDS
            k = inside
            k_error = covariance = 0.0
            given = estimate_intensity(state, observing, side, now_ns, price, p.A_prior, p.k_prior_bp, prior_s, k)
            if given.found:
                A = given.A
                A_error = given.A_error
        put(
            out, BID_K + 2 * side, k * per_px, k_error * per_px, alone.k * per_px, alone.k_error * per_px,
            p.k_prior_bp * per_px, alone.effective, alone.weight_s, 0.0, doubt,
        )  # fmt: skip
        inside = min(max(A, p.A_least), p.A_most)
        if inside != A:
            doubt = _OUTSIDE_BOUNDS
            A = inside
            A_error = covariance = 0.0
        put(
            out, BID_A + 2 * side, A, A_error, alone.A, alone.A_error, p.A_prior, alone.effective, alone.weight_s,
            covariance * per_px, doubt,
        )  # fmt: skip

    return compiled(put_intensity)


put_intensity: Final = _make_put_intensity(sources_key(intensity_module, intensity_fit))


def _make_estimate(sources: int) -> Any:
    """Return the compiled function; `sources` is part of the key of its cached code (see `sources_key`)."""

    def estimate(
        volatility: NDArray[np.void],
        sampling: NDArray[np.void],
        intensity: NDArray[np.void],
        observing: NDArray[np.void],
        blending: NDArray[np.void],
        now_ns: int,
        price: float,
        out: NDArray[np.void],
    ) -> None:
        _ = sources
        if now_ns < 0 or not usable_price(price):
            for at in range(5):
                put(out, at, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, _NO_PRICE)
            return
        put_sigma(volatility, sampling, blending, now_ns, price, out)
        for side in range(2):
            put_intensity(intensity, observing, blending, side, now_ns, price, out)

    return compiled(estimate)


estimate: Final = _make_estimate(sources_key(volatility, intensity_module, intensity_fit))
"""Estimate everything: ``(volatility, sampling, intensity, observing, blending, now_ns, price, out)``.

Arrays of one record of `VOLATILITY`, `SAMPLING`, `INTENSITY`, `OBSERVING`, `BLENDING`; `out` has five of `ESTIMATE`. It
changes nothing but `out`, and may be called at any time; some microseconds.
"""


@compiled
def fill_rate(estimates: NDArray[np.void], side: int, distance: float) -> tuple[float, float]:
    """Expected fills per second of a quote at a distance from the mid, and the standard error of that.

    Parameters
    ----------
    estimates : ndarray of ESTIMATE, shape (5,)
    side : int
        0 for our bid, 1 for our ask.
    distance : float
        In price units.
    """
    A = estimates[BID_A + 2 * side]
    k = estimates[BID_K + 2 * side]
    rate = A.value * math.exp(-k.value * distance)
    if not (A.value > 0.0 and math.isfinite(rate)):
        return 0.0, 0.0
    relative = A.error / A.value
    variance = relative * relative + distance * distance * k.error * k.error - 2.0 * distance * A.covariance
    return rate, rate * math.sqrt(max(0.0, variance))
