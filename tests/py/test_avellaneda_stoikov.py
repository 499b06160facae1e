"""The model against the published vectors, its limits, its symmetries, and what it does with numbers that are none."""

import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mftpy.model.avellaneda_stoikov import (
    Refusal,
    log_ratio,
    quote,
    reservation_price,
    stationary_horizon_s,
    stationary_skew,
    total_spread,
)

PAPER = {"gamma": 0.1, "clip": 1.0, "sigma": 2.0, "k": 1.5}
BTC = {"gamma": 0.04, "clip": 0.01, "sigma": 8.0, "k": 0.25}
BTC_A = 0.55
ONE_BP = 6.17

gammas = st.floats(1e-4, 10)
clips = st.floats(1e-4, 10)
sigmas = st.floats(0.1, 100)
intensities = st.floats(0.01, 100)
decays = st.floats(0.01, 10)
fees = st.floats(-5, 20)
clips_held = st.floats(-50, 50)


def at(fair, position_coins, horizon_s, *, gamma, clip, sigma, k, fee=0.0):
    """Quote with the parameters by name."""
    return quote(fair, position_coins, gamma, clip, sigma, k, fee, horizon_s)


def close(value, expected, rel=1e-12):
    return value == pytest.approx(expected, rel=rel, abs=1e-12)


# published vectors


@pytest.mark.parametrize(
    ("position", "horizon_s", "bid", "ask"),
    [
        (-3, 1, 100.354615, 102.045385),
        (-3, 0.5, 99.854615, 101.345385),
        (-3, 0.005, 99.359615, 100.652385),
        (0, 1, 99.154615, 100.845385),
        (0, 0.5, 99.254615, 100.745385),
        (0, 0.005, 99.353615, 100.646385),
        (3, 1, 97.954615, 99.645385),
        (3, 0.5, 98.654615, 100.145385),
        (3, 0.005, 99.347615, 100.640385),
    ],
)
def test_the_paper_of_2008_is_met_to_the_last_printed_digit(position, horizon_s, bid, ask):
    terms = at(100.0, float(position), float(horizon_s), **PAPER)
    assert terms.bid == pytest.approx(bid, abs=0.5e-6, rel=0)
    assert terms.ask == pytest.approx(ask, abs=0.5e-6, rel=0)


@pytest.mark.parametrize(("gamma", "half"), [(0.1, 0.7459), (0.01, 0.6745)])
def test_the_average_spread_of_the_experiment_of_2008_is_met(gamma, half):
    halves = [0.5 * total_spread(gamma, 1.0, 2.0, 1.5, 1 - 0.005 * step) for step in range(200)]
    assert sum(halves) / 200 == pytest.approx(half, abs=0.5e-4, rel=0)


@pytest.mark.parametrize(
    ("position", "bid", "ask"),
    [
        (0, 61695.747197, 61704.252803),
        (0.02, 61694.723197, 61703.228803),
        (-0.05, 61698.307197, 61706.812803),
    ],
)
def test_the_btc_like_vector_is_met_with_a_horizon_of_20_s(position, bid, ask):
    terms = at(61700.0, float(position), 20.0, **BTC)
    assert terms.bid == pytest.approx(bid, abs=0.5e-6, rel=0)
    assert terms.ask == pytest.approx(ask, abs=0.5e-6, rel=0)


@pytest.mark.parametrize(
    ("position", "bid", "ask"),
    [
        (0, 61695.751577, 61704.248423),
        (0.02, 61694.745098, 61703.241945),
        (-0.05, 61698.267773, 61706.764619),
    ],
)
def test_with_the_stationary_horizon_the_quotes_are_those_of_the_closed_form(position, bid, ask):
    horizon_s = stationary_horizon_s(0.04, 0.01, 8.0, BTC_A, 0.25, 0.0)
    terms = at(61700.0, float(position), horizon_s, **BTC)
    assert terms.bid == pytest.approx(bid, abs=0.5e-6, rel=0)
    assert terms.ask == pytest.approx(ask, abs=0.5e-6, rel=0)


def test_the_vector_of_hftbacktest_is_met():
    A, k, gamma, sigma = 2.986162360812285, 0.04235741115084049, 0.05, 10.69
    skew = stationary_skew(gamma, 1.0, sigma, A, k, 0.0)
    horizon_s = stationary_horizon_s(gamma, 1.0, sigma, A, k, 0.0)
    terms = quote(1e4, 1.0, gamma, 1.0, sigma, k, 0.0, horizon_s)
    assert skew == pytest.approx(9.76326865029227, rel=1e-9)
    assert terms.skew == pytest.approx(9.76326865029227, rel=1e-9)
    assert terms.model_half == pytest.approx(20.47208533844371, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "delta_bid"),
    [(-20, 1.955599), (-10, 2.634257), (-5, 2.973586), (0, 3.312915), (5, 3.652244), (10, 3.991574), (20, 4.670232)],
)
def test_the_closed_form_of_the_figures_of_2013_is_met(n, delta_bid):
    horizon_s = stationary_horizon_s(0.01, 1.0, 0.3, 0.9, 0.3, 0.0)
    terms = quote(1000.0, float(n), 0.01, 1.0, 0.3, 0.3, 0.0, horizon_s)
    mirror = quote(1000.0, float(-n), 0.01, 1.0, 0.3, 0.3, 0.0, horizon_s)
    assert 1000.0 - terms.bid == pytest.approx(delta_bid, abs=0.5e-6, rel=0)
    assert mirror.ask - 1000.0 == pytest.approx(delta_bid, abs=0.5e-6, rel=0)


@pytest.mark.parametrize(
    ("n", "delta_bid"),
    [
        (-20, -7.251018),
        (-10, -1.851018),
        (-5, 0.848982),
        (0, 3.548982),
        (5, 6.248982),
        (10, 8.948982),
        (20, 14.348982),
    ],
)
def test_the_formula_of_2008_on_the_figures_of_2013_is_met(n, delta_bid):
    terms = quote(1000.0, float(n), 0.01, 1.0, 0.3, 0.3, 0.0, 600.0)
    assert 1000.0 - terms.bid == pytest.approx(delta_bid, abs=0.5e-6, rel=0)


def test_the_parts_of_the_figures_of_2013_are_met():
    horizon_s = stationary_horizon_s(0.01, 1.0, 0.3, 0.9, 0.3, 0.0)
    assert log_ratio(0.01 / 0.3) / 0.3 == pytest.approx(3.278982282, abs=0.5e-9, rel=0)
    assert stationary_skew(0.01, 1.0, 0.3, 0.9, 0.3, 0.0) == pytest.approx(0.067865833, abs=0.5e-9, rel=0)
    assert horizon_s == pytest.approx(75.4, abs=0.05, rel=0)


@pytest.mark.parametrize(
    ("n", "delta_bid"), [(-5, 0.412658), (-1, 0.619527), (0, 0.671244), (1, 0.722961), (5, 0.929830)]
)
def test_the_closed_form_with_the_parameters_of_2008_is_met(n, delta_bid):
    horizon_s = stationary_horizon_s(0.1, 1.0, 2.0, 140.0, 1.5, 0.0)
    assert horizon_s == pytest.approx(0.129, abs=0.5e-3, rel=0)
    terms = at(100.0, float(n), horizon_s, **PAPER)
    assert 100.0 - terms.bid == pytest.approx(delta_bid, abs=0.5e-6, rel=0)


def test_one_basis_point_inside_the_quote_gives_the_figures_of_the_reference():
    horizon_s = stationary_horizon_s(0.04, 0.01, 8.0, BTC_A, 0.25, ONE_BP)
    terms = at(61700.0, 0.01, horizon_s, **BTC, fee=ONE_BP)
    half = terms.model_half + terms.fee
    assert half == pytest.approx(10.7, abs=0.05, rel=0)
    assert terms.skew == pytest.approx(1.09, abs=0.005, rel=0)
    assert horizon_s == pytest.approx(42.5, abs=0.05, rel=0)
    assert BTC_A * math.exp(-0.25 * half) == pytest.approx(0.038, abs=0.0005, rel=0)


@pytest.mark.parametrize(
    ("fee", "half", "rate"), [(0.0, 4.28, 0.19), (-3.1, 1.09, 0.42), (6.2, 10.81, 0.037), (12.3, 17.61, 0.0067)]
)
def test_fees_and_rebates_give_the_half_spreads_and_fill_rates_of_the_reference(fee, half, rate):
    # 0, -0.5, 1 and 2 bp of the price, which the reference rounds to 0.1 USD
    horizon_s = stationary_horizon_s(0.05, 0.01, 8.0, BTC_A, 0.25, fee)
    terms = quote(61700.0, 0.0, 0.05, 0.01, 8.0, 0.25, fee, horizon_s)
    assert terms.model_half + fee == pytest.approx(half, abs=0.005, rel=0)
    assert BTC_A * math.exp(-0.25 * (terms.model_half + fee)) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize(
    ("sigma", "gamma", "skew", "horizon_s"),
    [(4, 0.158, 0.50, 20), (8, 0.039, 0.50, 20), (14, 0.013, 0.50, 20), (8, 0.62, 2.0, 5), (8, 0.0025, 0.125, 79)],
)
def test_the_table_of_target_inventories_is_met(sigma, gamma, skew, horizon_s):
    # the table's gammas have two or three digits, so its other columns hold to a few per cent
    assert stationary_skew(gamma, 0.01, float(sigma), BTC_A, 0.25, 0.0) * 0.01 == pytest.approx(skew, rel=0.03)
    assert stationary_horizon_s(gamma, 0.01, float(sigma), BTC_A, 0.25, 0.0) == pytest.approx(horizon_s, rel=0.03)


# identities


@given(gammas, clips, sigmas, intensities, decays, fees)
def test_the_half_spread_with_the_stationary_horizon_is_the_closed_forms(gamma, clip, sigma, A, k, fee):
    assume(gamma * clip / k > 1e-5)  # below, the naive power here is what is wrong
    horizon_s = stationary_horizon_s(gamma, clip, sigma, A, k, fee)
    g = gamma * clip
    power = (1 + g / k) ** (1 + k / g)
    skew = sigma * math.sqrt(gamma / (2 * A * math.exp(-k * fee) * clip * k) * power)
    half = math.log1p(g / k) / g + 0.5 * skew * clip
    assert close(0.5 * total_spread(gamma, clip, sigma, k, horizon_s), half, rel=1e-9)
    assert close(stationary_skew(gamma, clip, sigma, A, k, fee), skew, rel=1e-9)


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held)
def test_what_the_screen_shows_adds_up_to_the_last_bit(gamma, clip, sigma, A, k, fee, held):
    terms = quote(61700.0, held * clip, gamma, clip, sigma, k, fee, stationary_horizon_s(gamma, clip, sigma, A, k, fee))
    if not terms.refusal:
        assert terms.bid == 61700.0 - terms.skew - (terms.model_half + terms.fee)
        assert terms.ask == 61700.0 - terms.skew + (terms.model_half + terms.fee)


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held)
def test_size_can_be_measured_in_clips_if_gamma_is_rescaled(gamma, clip, sigma, A, k, fee, held):
    """(gamma, clip, position) and (gamma clip, 1, position / clip) are the same thing."""
    tau, tau1 = (
        stationary_horizon_s(gamma, clip, sigma, A, k, fee),
        stationary_horizon_s(gamma * clip, 1.0, sigma, A, k, fee),
    )
    assert close(tau, tau1)
    ours, papers = (
        quote(61700.0, held * clip, gamma, clip, sigma, k, fee, tau),
        quote(61700.0, held, gamma * clip, 1.0, sigma, k, fee, tau1),
    )
    same_terms(ours, papers)


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, st.sampled_from([60.0, 3600.0, 1e-3]))
def test_the_unit_of_time_does_not_matter(gamma, clip, sigma, A, k, fee, held, unit_s):
    tau = stationary_horizon_s(gamma, clip, sigma, A, k, fee)
    tau1 = stationary_horizon_s(gamma, clip, sigma * math.sqrt(unit_s), A * unit_s, k, fee)
    assert close(tau1 * unit_s, tau)
    same_terms(
        quote(61700.0, held * clip, gamma, clip, sigma, k, fee, tau),
        quote(61700.0, held * clip, gamma, clip, sigma * math.sqrt(unit_s), k, fee, tau1),
    )


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, st.sampled_from([0.1, 0.5, 100.0]))
def test_the_unit_of_price_does_not_matter(gamma, clip, sigma, A, k, fee, held, tick):
    """Prices in ticks: prices, sigma and fee by 1/tick, k and gamma by tick."""
    usd = quote(61700.0, held * clip, gamma, clip, sigma, k, fee, stationary_horizon_s(gamma, clip, sigma, A, k, fee))
    tau = stationary_horizon_s(gamma * tick, clip, sigma / tick, A, k * tick, fee / tick)
    ticks = quote(61700.0 / tick, held * clip, gamma * tick, clip, sigma / tick, k * tick, fee / tick, tau)
    assert usd.refusal == ticks.refusal
    same_terms(usd, ticks._replace(**{name: getattr(ticks, name) * tick for name in ticks._fields[1:]}))


def same_terms(one, other):
    """Distances agree to 1e-12 of themselves, prices to 1e-12 of the largest number in their sum."""
    assert one.refusal == other.refusal
    for name in ("skew", "model_half", "fee"):
        assert close(getattr(one, name), getattr(other, name)), name
    scale = max(61700.0, abs(one.skew), abs(one.model_half))
    for name in ("bid", "ask"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=0, abs=1e-12 * scale), name


@given(gammas, clips, sigmas, decays, fees, clips_held, st.floats(0, 100))
def test_quotes_are_symmetric_in_the_position(gamma, clip, sigma, k, fee, held, horizon_s):
    long = quote(61700.0, held * clip, gamma, clip, sigma, k, fee, horizon_s)
    short = quote(61700.0, -held * clip, gamma, clip, sigma, k, fee, horizon_s)
    scale = max(61700.0, abs(long.skew), long.model_half)
    assert 61700.0 - long.bid == pytest.approx(short.ask - 61700.0, rel=0, abs=1e-12 * scale)


@given(gammas, clips, sigmas, decays, fees, clips_held, st.floats(1e-3, 100))
def test_the_position_shifts_both_quotes_the_same_way_and_leaves_the_spread(
    gamma, clip, sigma, k, fee, held, horizon_s
):
    flat = quote(61700.0, 0.0, gamma, clip, sigma, k, fee, horizon_s)
    here = quote(61700.0, held * clip, gamma, clip, sigma, k, fee, horizon_s)
    assert here.model_half == flat.model_half
    assert flat.skew == 0.0
    assert (here.skew > 0) == (held * clip > 0)
    scale = max(61700.0, abs(here.skew), flat.model_half)
    assert flat.bid - here.bid == pytest.approx(here.skew, rel=0, abs=2e-12 * scale)
    assert flat.ask - here.ask == pytest.approx(here.skew, rel=0, abs=2e-12 * scale)


def test_long_lowers_both_quotes_and_short_raises_both():
    flat, long, short = (at(61700.0, coins, 20.0, **BTC) for coins in (0.0, 0.05, -0.05))
    assert long.bid < flat.bid < short.bid
    assert long.ask < flat.ask < short.ask


@pytest.mark.parametrize("position", [-25.0, 25.0])
def test_a_large_position_never_crosses_the_pair(position):
    terms = at(100.0, position, 1.0, **PAPER)
    assert terms.bid < terms.ask


# monotone, and limits


@pytest.mark.parametrize(("name", "wider"), [("gamma", True), ("clip", True), ("sigma", True), ("k", False)])
def test_the_spread_moves_the_right_way_with_each_parameter(name, wider):
    more = BTC | {name: BTC[name] * 1.1}
    spreads = [
        at(61700.0, 0.0, stationary_horizon_s(p["gamma"], p["clip"], p["sigma"], BTC_A, p["k"], 0.0), **p).model_half
        for p in (BTC, more)
    ]
    assert (spreads[1] > spreads[0]) == wider


def test_a_costlier_fill_widens_the_quote_and_strengthens_the_skew():
    skews = [stationary_skew(0.04, 0.01, 8.0, BTC_A, 0.25, fee) for fee in (-3.0, 0.0, 3.0, 6.0, 12.0)]
    assert skews == sorted(skews)


def test_a_more_frequent_fill_weakens_the_skew_by_the_square_root():
    slow, fast = (stationary_skew(0.04, 0.01, 8.0, A, 0.25, 0.0) for A in (0.5, 2.0))
    assert slow == pytest.approx(2 * fast, rel=1e-12)


@pytest.mark.parametrize("gamma", [1e-6, 1e-9, 1e-12, 1e-15, 1e-30, 1e-300, 5e-324])
def test_without_risk_aversion_the_half_spread_is_one_over_k(gamma):
    terms = quote(100.0, 3.0, gamma, 1.0, 2.0, 1.5, 0.0, 1.0)
    assert terms.refusal == 0
    assert terms.model_half == pytest.approx(1 / 1.5, rel=10 * gamma + 1e-15)
    assert terms.skew == pytest.approx(0.0, abs=12 * gamma)


def test_tiny_risk_aversion_loses_no_digits():
    x = 1e-9  # where ln(1 + x) / x by itself keeps seven digits
    assert log_ratio(x) == pytest.approx(1 - x / 2 + x * x / 3, rel=1e-15)
    assert (1 + x) * log_ratio(x) == pytest.approx(1 + x / 2, rel=1e-15)


def test_without_a_horizon_there_is_no_skew_and_the_spread_is_the_logarithm():
    terms = at(100.0, 3.0, 0.0, **PAPER)
    assert terms.skew == 0.0
    assert terms.ask - terms.bid == pytest.approx(2 / 0.1 * math.log(1 + 0.1 / 1.5), rel=1e-12)


def test_equations_29_and_30_are_the_quotes_parts():
    terms = at(100.0, 3.0, 0.5, **PAPER)
    assert reservation_price(100.0, 3.0, 0.1, 2.0, 0.5) == pytest.approx((terms.bid + terms.ask) / 2, rel=1e-15)
    assert total_spread(0.1, 1.0, 2.0, 1.5, 0.5) == pytest.approx(terms.ask - terms.bid, rel=1e-12)


# numbers that are none

GOOD = {
    "fair": 61700.0,
    "position": 0.0,
    "gamma": 0.04,
    "clip": 0.01,
    "sigma": 8.0,
    "k": 0.25,
    "fee": 6.17,
    "horizon": 20.0,
}
NONE = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in GOOD for value in NONE]
    + [(name, value) for name in ("fair", "gamma", "clip", "sigma", "k") for value in (0.0, -0.0, -1.0)]
    + [("horizon", -1.0), ("horizon", -1e-300)],
)
def test_a_bad_input_gives_no_quote_and_is_named(name, value):
    terms = quote(*(GOOD | {name: value}).values())
    assert Refusal(terms.refusal).name == name.upper()
    assert tuple(terms[1:]) == (0.0,) * 5


@pytest.mark.parametrize("bad", [*NONE, 0.0, -1.0])
@pytest.mark.parametrize("index", range(5))
def test_a_horizon_that_cannot_be_solved_is_minus_one_and_refused(index, bad):
    numbers = [0.04, 0.01, 8.0, 0.55, 0.25, 0.0]
    numbers[index] = bad
    assert stationary_horizon_s(*numbers) == -1.0
    assert Refusal(at(61700.0, 0.0, -1.0, **BTC).refusal) is Refusal.HORIZON


@pytest.mark.parametrize("fee", [*NONE, 1e9, -1e9])
def test_a_fee_that_leaves_no_fills_or_is_none_gives_no_horizon(fee):
    assert stationary_horizon_s(0.04, 0.01, 8.0, 0.55, 0.25, fee) == -1.0


anything = st.floats(width=64)


@settings(max_examples=500)
@given(anything, anything, anything, anything, anything, anything, anything, anything)
@example(1e308, 1e308, 1e308, 1e308, 1e308, 1e308, 1e308, 1e308)
@example(1e308, -1e308, 5e-324, 5e-324, 5e-324, 5e-324, 0.0, 1e308)
@example(1.0, 0.0, 1e308, 1e308, 1e308, 5e-324, 0.0, 0.0)
def test_whatever_comes_in_no_nan_comes_out(fair, position, gamma, clip, sigma, k, fee, horizon_s):
    terms = quote(fair, position, gamma, clip, sigma, k, fee, horizon_s)
    assert all(math.isfinite(value) for value in terms)
    if terms.refusal:
        assert tuple(terms[1:]) == (0.0,) * 5
    else:
        assert terms.model_half > 0


@settings(max_examples=500)
@given(anything, anything, anything, anything, anything, anything)
@example(5e-324, 5e-324, 1e308, 5e-324, 1e308, 0.0)
def test_the_horizon_is_positive_or_minus_one(gamma, clip, sigma, A, k, fee):
    horizon_s = stationary_horizon_s(gamma, clip, sigma, A, k, fee)
    assert horizon_s == -1.0 or (math.isfinite(horizon_s) and horizon_s > 0)


# drift


def test_a_drift_shifts_both_quotes_by_what_it_brings_within_the_horizon():
    flat, rising = (quote(61700.0, 0.03, 0.04, 0.01, 8.0, 0.25, 6.17, 20.0, drift) for drift in (0.0, 0.05))
    assert flat == quote(61700.0, 0.03, 0.04, 0.01, 8.0, 0.25, 6.17, 20.0)
    assert rising.skew == flat.skew - 0.05 * 20.0
    assert rising.bid - flat.bid == pytest.approx(1.0, rel=1e-10)
    assert rising.ask - flat.ask == pytest.approx(1.0, rel=1e-10)
    assert quote(61700.0, 0.03, 0.04, 0.01, 8.0, 0.25, 6.17, 0.0, 0.05).skew == 0.0


@pytest.mark.parametrize("drift", NONE)
def test_a_drift_that_is_none_gives_no_quote(drift):
    terms = quote(61700.0, 0.03, 0.04, 0.01, 8.0, 0.25, 6.17, 20.0, drift)
    assert Refusal(terms.refusal) is Refusal.DRIFT
    assert tuple(terms[1:]) == (0.0,) * 5
