"""The exact solution against published vectors and fifty digits, its limits and symmetries, and bad numbers."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mftpy.model import avellaneda_stoikov, glft, glft_exact
from mftpy.model.avellaneda_stoikov import Refusal, stationary_horizon_s
from mftpy.model.avellaneda_stoikov import quote as quote_2008
from mftpy.model.compiled import sources_key
from mftpy.model.glft_exact import MAX_CLIPS, quote

FIGURES = (0.01, 1.0, 0.3, 0.9, 0.3, 0.0)  # gamma, clip, sigma, A, k, fee: the figures of 2013
EXPERIMENT = (0.1, 1.0, 2.0, 140.0, 1.5, 0.0)  # the experiment of 2008
BTC = (0.04, 0.01, 8.0, 0.55, 0.25, 0.0)


def distances(bound, parameters, horizon_s, drift=0.0):
    """Distances of bid and ask by position; an infinite horizon for None."""
    bids, asks = np.empty(2 * bound + 1), np.empty(2 * bound + 1)
    endless = horizon_s is None
    refusal = glft_exact.distances(*parameters, 0.0 if endless else horizon_s, endless, drift, bids, asks)
    assert Refusal(refusal) is Refusal.NONE
    return bids, asks


# published vectors


@pytest.mark.parametrize(
    ("n", "delta_bid"),
    [(-20, 1.959200), (-10, 2.632802), (-5, 2.972522), (0, 3.313045), (5, 3.653479), (10, 3.992933), (20, 4.665542)],
)
def test_the_figures_of_2013_are_met(n, delta_bid):
    bids, asks = distances(30, FIGURES, 600.0)
    assert bids[30 + n] == pytest.approx(delta_bid, abs=0.5e-6, rel=0)
    assert asks[30 - n] == pytest.approx(delta_bid, abs=0.5e-6, rel=0)


@pytest.mark.parametrize(
    ("n", "delta_bid"), [(-5, 0.410452), (-1, 0.619143), (0, 0.671628), (1, 0.724070), (5, 0.931780)]
)
def test_the_parameters_of_2008_are_met(n, delta_bid):
    assert distances(30, EXPERIMENT, 1.0)[0][30 + n] == pytest.approx(delta_bid, abs=0.5e-6, rel=0)
    answer = quote(100.0, float(n), *EXPERIMENT, 1.0, 30)
    assert 100.0 - answer.bid == pytest.approx(delta_bid, abs=0.5e-6, rel=0)


# fifty digits


def coefficients(parameters, drift):
    """Alpha, beta and eta of the equation, in Decimal."""
    gamma, clip, sigma, A, k, fee = map(Decimal, parameters)
    g = gamma * clip
    x = g / k
    eta = A * (-k * fee).exp() * (-(1 + 1 / x) * (1 + x).ln()).exp()
    return k * g * sigma * sigma / 2, k * Decimal(drift), eta


def solved_with_fifty_digits(bound, parameters, horizon_s, drift=0.0):
    """ln(v_n / v_{n+1}) / k + ln(1 + g/k)/g + fee, from the plain power series of exp(-M tau)."""
    with localcontext() as context:
        context.prec = 50
        alpha, beta, eta = coefficients(parameters, drift)
        diagonal = [alpha * n * n - beta * n for n in range(-bound, bound + 1)]
        most = max(diagonal)
        term = [Decimal(1)] * len(diagonal)
        total = term[:]
        tau = Decimal(horizon_s)
        for j in range(1, 100_000):
            wide = [0, *term, 0]
            term = [
                ((most - d) * wide[i + 1] + eta * (wide[i] + wide[i + 2])) * tau / j for i, d in enumerate(diagonal)
            ]
            total = [a + b for a, b in zip(total, term, strict=True)]
            if all(b * 10**40 < a for a, b in zip(total, term, strict=True)):
                break
        return to_distances(total, parameters)


def to_distances(v, parameters):
    gamma, clip, _, _, k, fee = map(Decimal, parameters)
    g = gamma * clip
    c1 = (1 + g / k).ln() / g + fee
    return [c1 + (a / b).ln() / k for a, b in pairwise(v)]


def eigenvector_with_fifty_digits(bound, parameters, drift=0.0):
    """The same for an infinite horizon: inverse iteration, each step one elimination."""
    with localcontext() as context:
        context.prec = 50
        alpha, beta, eta = coefficients(parameters, drift)
        diagonal = [alpha * n * n - beta * n for n in range(-bound, bound + 1)]
        shift = min(diagonal) - 2 * eta  # below the smallest eigenvalue: nothing cancels
        v = [Decimal(1)] * len(diagonal)
        for _ in range(2000):
            c, d = [], []
            for i, value in enumerate(diagonal):
                pivot = value - shift - (eta * c[-1] if i else 0)
                c.append(eta / pivot)
                d.append((v[i] + (eta * d[-1] if i else 0)) / pivot)
            fresh = d[:]
            for i in range(len(fresh) - 2, -1, -1):
                fresh[i] += c[i] * fresh[i + 1]
            lowest = shift + min(a / b for a, b in zip(v, fresh, strict=True))  # the eigenvalue is not below (Collatz)
            settled = all(abs(a / fresh[0] * v[0] / b - 1) < Decimal("1e-25") for a, b in zip(fresh, v, strict=True))
            v = [value / max(fresh) for value in fresh]
            if settled:
                return to_distances(v, parameters)
            shift += (lowest - shift) * Decimal("0.99")
        raise AssertionError("inverse iteration has not settled")


def agree(found, expected, rel=1e-12):
    worst = max(abs(Decimal(float(a)) / b - 1) for a, b in zip(found[:-1], expected, strict=True))
    return worst < Decimal(rel)


@pytest.mark.parametrize(
    ("bound", "parameters", "horizon_s", "drift"),
    [
        (100, FIGURES, 600.0, 0.0),
        (100, (0.04, 0.01, 8.0, 0.55, 0.25, 6.17), 20.0, 0.0),
        (50, EXPERIMENT, 1.0, 0.0),
        (30, EXPERIMENT, 0.005, 0.0),
        (20, BTC, 50.0, 0.3),
        (5, (2.0, 1.0, 20.0, 0.1, 3.0, -0.2), 0.3, -40.0),
        (1, FIGURES, 3.0, 0.0),
    ],
)
def test_every_quote_is_right_to_1e_12_with_a_finite_horizon(bound, parameters, horizon_s, drift):
    bids, _ = distances(bound, parameters, horizon_s, drift)
    assert agree(bids, solved_with_fifty_digits(bound, parameters, horizon_s, drift))


@pytest.mark.parametrize(
    ("bound", "parameters", "drift"),
    [
        (100, FIGURES, 0.0),
        (100, (0.04, 0.01, 8.0, 0.55, 0.25, 6.17), 0.0),
        (100, (0.5, 0.1, 14.0, 0.3, 0.15, 0.0), 0.0),
        (30, EXPERIMENT, 0.0),
        (20, BTC, 0.3),
        (5, (2.0, 1.0, 20.0, 0.1, 3.0, -0.2), -40.0),
        (1, FIGURES, 0.0),
    ],
)
def test_every_quote_is_right_to_1e_12_with_an_endless_horizon(bound, parameters, drift):
    bids, _ = distances(bound, parameters, None, drift)
    assert agree(bids, eigenvector_with_fifty_digits(bound, parameters, drift))


@pytest.mark.parametrize("wrong", ["2 x alpha", "sigma in place of its square", "eta / 2", "no drift"])
def test_a_wrong_coefficient_is_seen_by_the_comparison_with_fifty_digits(wrong, monkeypatch):
    right = coefficients

    def changed(parameters, drift):
        alpha, beta, eta = right(parameters, drift)
        sigma = Decimal(parameters[2])
        return {
            "2 x alpha": (2 * alpha, beta, eta),
            "sigma in place of its square": (alpha / sigma, beta, eta),
            "eta / 2": (alpha, beta, eta / 2),
            "no drift": (alpha, 0 * beta, eta),
        }[wrong]

    monkeypatch.setitem(globals(), "coefficients", changed)
    bids, _ = distances(10, BTC, 50.0, 0.3)
    assert not agree(bids, solved_with_fifty_digits(10, BTC, 50.0, 0.3))


def test_where_v_itself_is_no_float_the_quotes_still_have_their_digits():
    parameters = (50.0, 1.0, 3.0, 0.3, 0.15, 0.0)
    bids, _ = distances(100, parameters, None)
    assert 0.15 * np.sum(bids[100:-1] - math.log1p(50 / 0.15) / 50) > 1000  # ln(v_0 / v_100), and exp(-1000) is 0
    assert agree(bids, eigenvector_with_fifty_digits(100, parameters))


# limits


@pytest.mark.parametrize("parameters", [FIGURES, EXPERIMENT, BTC, (1.0, 1.0, 2.0, 1.0, 0.5, 0.0)])
def test_a_long_horizon_comes_to_the_limit_of_the_endless_one(parameters):
    # the last of these settles at what rounding leaves
    for one, other in zip(distances(100, parameters, 1e6), distances(100, parameters, None), strict=True):
        assert np.array_equal(one, other)
    near, far = (distances(10, FIGURES, horizon_s)[0][:-1] for horizon_s in (60.0, 600.0))
    limit = distances(10, FIGURES, None)[0][:-1]
    assert np.max(np.abs(far - limit)) < np.max(np.abs(near - limit)) < 1.0


def test_without_time_left_there_is_no_skew_and_the_spread_is_the_logarithm():
    bids, asks = distances(5, EXPERIMENT, 0.0)
    half = math.log1p(0.1 / 1.5) / 0.1
    assert np.all(np.abs(bids[:-1] - half) < 1e-15)
    assert np.all(np.abs(asks[1:] - half) < 1e-15)


def test_the_formula_of_2008_is_its_first_order_in_the_time_left():
    bids, asks = distances(30, EXPERIMENT, 1e-6)
    for n in range(-5, 6):
        terms = quote_2008(100.0, float(n), 0.1, 1.0, 2.0, 1.5, 0.0, 1e-6)
        assert bids[30 + n] == pytest.approx(100.0 - terms.bid, abs=2e-10)
        assert asks[30 + n] == pytest.approx(terms.ask - 100.0, abs=2e-10)


@pytest.mark.parametrize("drift", [0.0, 0.002])
def test_the_closed_form_is_its_limit_for_weak_skew_drift_included(drift):
    parameters = (1e-5, 1.0, 0.3, 0.9, 0.3, 0.0)
    bids, asks = distances(200, parameters, None, drift * 1e-3)
    for n in range(-10, 11):
        terms = glft.quote(1000.0, float(n), *parameters, 1e-5, drift * 1e-3)
        assert bids[200 + n] == pytest.approx(1000.0 - terms.bid, abs=4e-6)
        assert asks[200 + n] == pytest.approx(terms.ask - 1000.0, abs=4e-6)


def test_the_spread_varies_slightly_with_the_position():
    bids, asks = distances(30, EXPERIMENT, 1.0)
    spread = bids + asks
    assert spread[35] / spread[30] == pytest.approx(1 - 0.0008, abs=0.5e-4)


# symmetries

gammas = st.floats(1e-4, 1)
clips = st.floats(0.01, 2)
sigmas = st.floats(0.1, 20)
intensities = st.floats(0.05, 100)
decays = st.floats(0.05, 3)
fees = st.floats(-1, 5)
bounds = st.integers(1, 12)
horizons = st.one_of(st.none(), st.floats(0, 100))
drifts = st.floats(-1, 1)


def parameters_of(gamma, clip, sigma, A, k, fee):
    assume(k * fee < 5 and 0.5 * k * gamma * clip * sigma * sigma / A < 1e3)
    return (gamma, clip, sigma, A, k, fee)


def same(one, other, scale=1.0):
    for a, b in zip(one, other, strict=True):
        inside = np.isfinite(a)
        assert np.array_equal(inside, np.isfinite(b))
        size = max(np.max(np.abs(a[inside])), 1.0 / scale)
        assert np.max(np.abs(a[inside] - b[inside])) <= 1e-12 * size


@settings(max_examples=25, deadline=None)
@given(gammas, clips, sigmas, intensities, decays, fees, bounds, horizons, drifts)
def test_the_mirror_image_is_the_mirror_image(gamma, clip, sigma, A, k, fee, bound, horizon_s, drift):
    parameters = parameters_of(gamma, clip, sigma, A, k, fee)
    bids, asks = distances(bound, parameters, horizon_s, drift)
    mirrored_bids, mirrored_asks = distances(bound, parameters, horizon_s, -drift)
    same((bids, asks), (mirrored_asks[::-1], mirrored_bids[::-1]), k)


@settings(max_examples=25, deadline=None)
@given(gammas, clips, sigmas, intensities, decays, fees, bounds, horizons, drifts)
def test_units_of_size_time_and_price_do_not_matter(gamma, clip, sigma, A, k, fee, bound, horizon_s, drift):
    parameters = parameters_of(gamma, clip, sigma, A, k, fee)
    here = distances(bound, parameters, horizon_s, drift)
    same(here, distances(bound, (gamma * clip, 1.0, sigma, A, k, fee), horizon_s, drift), k)
    minutes = None if horizon_s is None else horizon_s / 60
    in_minutes = (gamma, clip, sigma * math.sqrt(60), A * 60, k, fee)
    same(here, distances(bound, in_minutes, minutes, drift * 60), k)
    tick = 0.1
    in_ticks = distances(bound, (gamma * tick, clip, sigma / tick, A, k * tick, fee / tick), horizon_s, drift / tick)
    same(here, [side * tick for side in in_ticks], k)


@settings(max_examples=25, deadline=None)
@given(gammas, clips, sigmas, intensities, decays, fees, bounds, horizons)
def test_a_longer_position_lowers_both_quotes(gamma, clip, sigma, A, k, fee, bound, horizon_s):
    bids, asks = distances(bound, parameters_of(gamma, clip, sigma, A, k, fee), horizon_s)
    slack = 1e-12 * max(np.max(np.abs(bids[:-1])), 1.0 / k)
    assert np.all(np.diff(bids[:-1]) >= -slack)
    assert np.all(np.diff(asks[1:]) <= slack)


def test_the_fee_is_paid_by_the_quote_and_thins_the_fills():
    bids, asks = distances(10, (0.04, 0.01, 8.0, 0.55, 0.25, 6.17), 20.0)
    thinner = distances(10, (0.04, 0.01, 8.0, 0.55 * math.exp(-0.25 * 6.17), 0.25, 0.0), 20.0)
    same((bids, asks), (thinner[0] + 6.17, thinner[1] + 6.17))


def test_a_rising_price_raises_both_quotes():
    flat, rising = (distances(10, BTC, 20.0, drift) for drift in (0.0, 0.01))
    assert np.all(rising[0][:-1] < flat[0][:-1])
    assert np.all(rising[1][1:] > flat[1][1:])


@pytest.mark.parametrize("drift", [1.0, 1e3, 1e15, 1e30])
@pytest.mark.parametrize("horizon_s", [None, 5.0])
def test_a_drift_beyond_the_bound_pulls_to_the_bound(drift, horizon_s):
    bids, asks = distances(5, BTC, horizon_s, drift)
    fallen = distances(5, BTC, horizon_s, -drift)
    assert np.allclose(bids[:-1], fallen[1][:0:-1], rtol=1e-12)
    assert np.all(bids[:-1] < distances(5, BTC, horizon_s, drift / 2)[0][:-1])
    assert np.all(asks[1:] > distances(5, BTC, horizon_s, drift / 2)[1][1:])
    expected = eigenvector_with_fifty_digits(5, BTC, drift) if horizon_s is None else None
    assert expected is None or agree(bids, expected)


def test_code_on_disk_is_keyed_by_the_formulas_that_it_calls():
    key = sources_key(avellaneda_stoikov)
    for function in (glft.quote, glft_exact.distances):
        assert key in [cell.cell_contents for cell in function.py_func.__closure__]


# the quote


def test_at_the_bound_only_the_side_that_leads_inwards_is_quoted():
    for n, (bid, ask) in {10: (False, True), -10: (True, False), 9: (True, True)}.items():
        answer = quote(61700.0, 0.01 * n, *BTC, 20.0, 10)
        assert (answer.bid is not None, answer.ask is not None) == (bid, ask)


def test_the_quote_is_the_distance_from_the_fair_price():
    bids, asks = distances(10, BTC, 20.0, 0.01)
    answer = quote(61700.0, 0.03, *BTC, 20.0, 10, 0.01)
    assert answer == (Refusal.NONE, 61700.0 - bids[13], 61700.0 + asks[13])
    endless = distances(10, BTC, None)
    assert quote(61700.0, 0.03, *BTC, None, 10)[1:] == (61700.0 - endless[0][13], 61700.0 + endless[1][13])


GOOD = {"fair": 61700.0, "position": 0.03} | dict(
    zip(("gamma", "clip", "sigma", "A", "k", "fee", "horizon"), (*BTC, 20.0), strict=True)
)
NONE = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in GOOD for value in NONE]
    + [(name, value) for name in ("fair", "gamma", "clip", "sigma", "A", "k") for value in (0.0, -0.0, -1.0)]
    + [("horizon", -1.0), ("position", 0.11), ("position", -0.11), ("position", 0.035), ("position", 1e300)],
)
def test_a_bad_input_gives_no_quote_and_is_named(name, value):
    answer = quote(*(GOOD | {name: value}).values(), 10)
    assert answer.refusal.name == name.upper()
    assert (answer.bid, answer.ask) == (None, None)
    assert answer.refusal.sentence


@pytest.mark.parametrize("drift", NONE)
def test_a_drift_that_is_none_is_refused(drift):
    assert quote(*GOOD.values(), 10, drift).refusal is Refusal.DRIFT


def test_a_horizon_that_the_solution_cannot_follow_is_refused():
    """The drift makes no clip and one clip about equally costly, and all others immensely so."""
    parameters, drift = (0.04, 0.01, 8e6, 0.55, 0.25, 0.0), 0.04 * 0.01 * 8e6**2 / 2 * (1 - 1e-10)
    assert quote(61700.0, 0.0, *parameters, 1e9, 3, drift).refusal is Refusal.HORIZON
    assert quote(61700.0, 0.0, *parameters, None, 3, drift).refusal is Refusal.NONE
    assert quote(61700.0, 0.0, *parameters, 1e-6, 3, drift).refusal is Refusal.NONE


@pytest.mark.parametrize("bound", [-1, 0, MAX_CLIPS + 1])
def test_a_bound_outside_its_range_is_refused(bound):
    assert quote(*GOOD.values(), bound).refusal is Refusal.BOUND


@pytest.mark.parametrize(("bids", "asks"), [(1, 1), (4, 4), (5, 7), (0, 0), (2 * MAX_CLIPS + 3,) * 2])
def test_arrays_that_are_no_range_of_positions_are_refused(bids, asks):
    refusal = glft_exact.distances(*BTC, 20.0, False, 0.0, np.empty(bids), np.empty(asks))
    assert Refusal(refusal) is Refusal.BOUND


positive = st.floats(0, exclude_min=True, allow_infinity=False)
finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(positive, positive, positive, positive, positive, finite, finite)
def test_whatever_comes_in_an_endless_horizon_gives_numbers_or_a_refusal(gamma, clip, sigma, A, k, fee, drift):
    bids, asks = np.full(21, -7.0), np.full(21, -7.0)
    refusal = glft_exact.distances(gamma, clip, sigma, A, k, fee, 0.0, True, drift, bids, asks)
    if refusal:
        assert Refusal(refusal) is Refusal.RESULT
        assert np.all(bids == -7.0)
        assert np.all(asks == -7.0)
    else:
        assert np.all(np.isfinite(bids[:-1]))
        assert np.all(np.isfinite(asks[1:]))


def test_the_stationary_horizon_stands_for_the_endless_one():
    """The oracle against the default model: within a hundredth of the half spread near the middle."""
    horizon_s = stationary_horizon_s(*BTC)
    bids, _ = distances(50, BTC, None)
    for n in range(-5, 6):
        terms = quote_2008(61700.0, 0.01 * n, 0.04, 0.01, 8.0, 0.25, 0.0, horizon_s)
        assert bids[50 + n] == pytest.approx(61700.0 - terms.bid, abs=0.0425)
