"""The closed form against the published vectors, the model of 2008, its limits and symmetries, and wrong formulas."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mftpy.model.avellaneda_stoikov import Refusal, stationary_horizon_s, stationary_skew
from mftpy.model.avellaneda_stoikov import quote as quote_2008
from mftpy.model.glft import quote, stationary_std_clips

HFTBACKTEST = {"gamma": 0.05, "clip": 1.0, "sigma": 10.69, "A": 2.986162360812285, "k": 0.04235741115084049}
FIGURES = {"gamma": 0.01, "clip": 1.0, "sigma": 0.3, "A": 0.9, "k": 0.3}
EXPERIMENT = {"gamma": 0.1, "clip": 1.0, "sigma": 2.0, "A": 140.0, "k": 1.5}
BTC = {"gamma": 0.04, "clip": 0.01, "sigma": 8.0, "A": 0.55, "k": 0.25}

gammas = st.floats(1e-4, 10)
clips = st.floats(1e-4, 10)
sigmas = st.floats(0.1, 100)
intensities = st.floats(0.01, 100)
decays = st.floats(0.01, 10)
fees = st.floats(-5, 20)
clips_held = st.floats(-50, 50)
drifts = st.floats(-10, 10)


def at(fair, position, *, gamma, clip, sigma, A, k, fee=0.0, xi=None, drift=0.0, quote=quote):
    """Quote with the parameters by name; xi = gamma if not said otherwise."""
    return quote(fair, position, gamma, clip, sigma, A, k, fee, gamma if xi is None else xi, drift)


# published vectors: (parameters, fair, position, bid, ask, tolerance)

VECTORS = [
    (FIGURES, 1000.0, n, 1000.0 - d, 1000.0 + m, 0.5e-6)
    for n, d, m in [
        (-20, 1.955599, 4.670232),
        (-10, 2.634257, 3.991574),
        (-5, 2.973586, 3.652244),
        (0, 3.312915, 3.312915),
        (5, 3.652244, 2.973586),
        (10, 3.991574, 2.634257),
        (20, 4.670232, 1.955599),
    ]
]
VECTORS += [
    (EXPERIMENT, 100.0, n, 100.0 - d, 100.0 + m, 0.5e-6)
    for n, d, m in [
        (-5, 0.412658, 0.929830),
        (-1, 0.619527, 0.722961),
        (0, 0.671244, 0.671244),
        (1, 0.722961, 0.619527),
        (5, 0.929830, 0.412658),
    ]
]
VECTORS += [
    (BTC, 61700.0, 0.0, 61695.751577, 61704.248423, 0.5e-6),
    (BTC, 61700.0, 0.02, 61694.745098, 61703.241945, 0.5e-6),
    (BTC, 61700.0, -0.05, 61698.267773, 61706.764619, 0.5e-6),
]
half, skew = 20.47208533844371, 9.76326865029227
VECTORS += [(HFTBACKTEST, 1e4, n, 1e4 - half - n * skew, 1e4 + half - n * skew, 1e-9 * skew) for n in (-3, 0, 1)]


def meets_the_vectors(formula):
    """Whether a formula with the arguments of `quote` gives every published number."""
    for parameters, fair, position, bid, ask, tolerance in VECTORS:
        terms = at(fair, float(position), **parameters, quote=formula)
        if not (abs(terms.bid - bid) <= tolerance + 1e-11 and abs(terms.ask - ask) <= tolerance + 1e-11):
            return False
    return True


def test_every_published_vector_is_met():
    assert meets_the_vectors(quote)
    terms = at(1e4, 1.0, **HFTBACKTEST)
    assert terms.model_half == pytest.approx(half, rel=1e-13)
    assert terms.skew == pytest.approx(skew, rel=1e-13)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, s / f, A, k, c, xi, d),  # sigma of log returns
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, math.sqrt(s), A, k, c, xi, d),  # sigma, not its square
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, s * s, A, k, c, xi, d),  # the variance as sigma
        lambda f, q, g, L, s, A, k, c, xi, d: doubled(quote(f, q, g, L, s, A, k, c, xi, d), f),  # total on each side
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, s, A, k / 2, c, xi, d),  # 2/k for 1/k
        lambda f, q, g, L, s, A, k, c, xi, d: widened(quote(f, q, g, L, s, A, k, c, xi, d)),  # the skew widens
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, -q, g, L, s, A, k, c, xi, d),  # the sign of the skew
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, s, 2 * A, k, c, xi, d),  # A of both sides
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q, g, L, s, A, k, c, 0.0, d),  # xi of the other model
        lambda f, q, g, L, s, A, k, c, xi, d: quote(f, q / L, g, 1.0, s, A, k, c, xi, d),  # gamma without the clip
    ],
)
def test_a_wrong_but_plausible_formula_does_not_meet_them(wrong):
    assert not meets_the_vectors(wrong)


def doubled(terms, fair):
    middle = fair - terms.skew
    return terms._replace(bid=middle - 2 * terms.model_half, ask=middle + 2 * terms.model_half)


def widened(terms):
    """Trap: ``bid = r - half - q w, ask = r + half + q w``."""
    return terms._replace(ask=terms.ask + 2 * terms.skew)


# identities


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, drifts)
def test_with_xi_gamma_it_is_the_model_of_2008_with_the_stationary_horizon(gamma, clip, sigma, A, k, fee, held, drift):
    horizon_s = stationary_horizon_s(gamma, clip, sigma, A, k, fee)
    closed = quote(61700.0, held * clip, gamma, clip, sigma, A, k, fee, gamma, drift)
    older = quote_2008(61700.0, held * clip, gamma, clip, sigma, k, fee, horizon_s, drift)
    assert closed.refusal == older.refusal == 0
    size = stationary_skew(gamma, clip, sigma, A, k, fee) * abs(held * clip) + abs(drift) * horizon_s
    assert closed.skew == pytest.approx(older.skew, rel=0, abs=1e-12 * size)
    assert closed.model_half == pytest.approx(older.model_half, rel=1e-12)
    scale = max(61700.0, size, closed.model_half)
    assert closed.bid == pytest.approx(older.bid, rel=0, abs=1e-12 * scale)
    assert closed.ask == pytest.approx(older.ask, rel=0, abs=1e-12 * scale)


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, drifts, st.floats(0, 10))
def test_units_of_size_time_and_price_do_not_matter(gamma, clip, sigma, A, k, fee, held, drift, xi):
    here = quote(61700.0, held * clip, gamma, clip, sigma, A, k, fee, xi, drift)
    same(here, quote(61700.0, held, gamma * clip, 1.0, sigma, A, k, fee, xi * clip, drift))
    same(here, quote(61700.0, held * clip, gamma, clip, sigma * math.sqrt(60), A * 60, k, fee, xi, drift * 60))
    tick = 0.1
    in_ticks = quote(
        61700.0 / tick, held * clip, gamma * tick, clip, sigma / tick, A, k * tick, fee / tick, xi * tick, drift / tick
    )
    same(here, in_ticks._replace(**{name: getattr(in_ticks, name) * tick for name in in_ticks._fields[1:]}))


def same(one, other):
    """Agree to 1e-12 of the largest number in the sum."""
    assert one.refusal == other.refusal == 0
    assert one.model_half == pytest.approx(other.model_half, rel=1e-12)
    scale = max(61700.0, abs(one.skew), one.model_half)
    for name in ("skew", "bid", "ask"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=0, abs=3e-12 * scale), name


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, drifts)
def test_the_mirror_image_is_the_mirror_image(gamma, clip, sigma, A, k, fee, held, drift):
    one = quote(61700.0, held * clip, gamma, clip, sigma, A, k, fee, gamma, drift)
    other = quote(61700.0, -held * clip, gamma, clip, sigma, A, k, fee, gamma, -drift)
    assert one.skew == -other.skew
    assert one.model_half == other.model_half


@given(gammas, clips, sigmas, intensities, decays, fees, clips_held, st.floats(0, 10))
def test_the_position_shifts_both_quotes_and_leaves_the_spread(gamma, clip, sigma, A, k, fee, held, xi):
    flat = quote(61700.0, 0.0, gamma, clip, sigma, A, k, fee, xi, 0.0)
    here = quote(61700.0, held * clip, gamma, clip, sigma, A, k, fee, xi, 0.0)
    assert here.model_half == flat.model_half
    assert (here.skew > 0) == (held * clip > 0)
    assert here.bid == 61700.0 - here.skew - (here.model_half + here.fee)
    assert here.ask == 61700.0 - here.skew + (here.model_half + here.fee)


# limits, and what moves which way


@pytest.mark.parametrize("xi", [0.0, 5e-324, 1e-300, 1e-15, 1e-12, 1e-9])
def test_without_xi_the_half_spread_is_one_over_k_and_the_power_is_e(xi):
    terms = at(61700.0, 0.03, **BTC, xi=xi)
    skew = 8.0 * math.sqrt(0.04 * math.e / (2 * 0.55 * 0.01 * 0.25))
    assert terms.skew == pytest.approx(0.03 * skew, rel=1e-12 + xi)
    assert terms.model_half == pytest.approx(1 / 0.25 + 0.005 * skew, rel=1e-12 + xi)


def test_without_risk_aversion_the_half_spread_is_one_over_k_and_there_is_no_skew():
    terms = at(61700.0, 0.03, **(BTC | {"gamma": 1e-300}))
    assert terms.model_half == pytest.approx(4.0, rel=1e-15)
    assert terms.skew == pytest.approx(0.0, abs=1e-140)


@pytest.mark.parametrize(
    ("name", "skews"), [("gamma", True), ("sigma", True), ("A", False), ("k", False), ("fee", True)]
)
def test_the_skew_moves_the_right_way_with_each_parameter(name, skews):
    base = BTC | {"fee": 1.0}
    one, other = (at(61700.0, 0.03, **p) for p in (base, base | {name: base[name] * 1.1}))
    assert (other.skew > one.skew) == skews


def test_long_lowers_both_quotes_and_a_rising_price_raises_both():
    flat, long, rising = (at(61700.0, q, **BTC, drift=drift) for q, drift in ((0.0, 0.0), (0.05, 0.0), (0.0, 0.01)))
    assert long.bid < flat.bid < rising.bid
    assert long.ask < flat.ask < rising.ask
    # mu / (gamma sigma^2) coins long is where a drift makes us indifferent
    indifferent = at(61700.0, 0.01 / (0.04 * 64), **BTC, drift=0.01)
    assert indifferent.skew == pytest.approx(0.0, abs=1e-12)


def test_the_fee_is_in_the_distance_and_in_the_rate():
    paid = at(61700.0, 0.03, **BTC, fee=6.17)
    thinner = at(61700.0, 0.03, **(BTC | {"A": 0.55 * math.exp(-0.25 * 6.17)}))
    assert paid.skew == pytest.approx(thinner.skew, rel=1e-12)
    assert paid.model_half == pytest.approx(thinner.model_half, rel=1e-12)
    assert paid.bid == pytest.approx(thinner.bid - 6.17, rel=1e-14)
    assert 0.01 * paid.skew / 0.03 == pytest.approx(1.09, abs=0.005)
    assert paid.model_half + paid.fee == pytest.approx(10.7, abs=0.05)


def test_the_stationary_inventory_is_that_of_the_table_of_targets():
    for skew_per_clip, std in ((2.0, 1), (0.5, 2), (0.125, 4), (0.03125, 8)):
        assert stationary_std_clips(skew_per_clip, 0.25) == pytest.approx(std, rel=1e-12)
    for bad in (0.0, -1.0, math.nan, math.inf, 1e-320):
        assert stationary_std_clips(bad, 1e-10) == -1.0
        assert stationary_std_clips(1e-10, bad) == -1.0


# numbers that are none

GOOD = {"fair": 61700.0, "position": 0.03, **BTC, "fee": 6.17, "xi": 0.04, "drift": 0.0}
NONE = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in GOOD for value in NONE]
    + [(name, value) for name in ("fair", "gamma", "clip", "sigma", "A", "k") for value in (0.0, -0.0, -1.0)]
    + [("xi", -1e-300)],
)
def test_a_bad_input_gives_no_quote_and_is_named(name, value):
    terms = quote(*(GOOD | {name: value}).values())
    assert Refusal(terms.refusal).name == name.upper()
    assert tuple(terms[1:]) == (0.0,) * 5


def test_every_refusal_has_a_sentence():
    assert Refusal.NONE.sentence == ""
    assert all(len(refusal.sentence) > 20 for refusal in Refusal if refusal)


anything = st.floats(width=64)


@settings(max_examples=200)
@given(*[anything] * 10)
@example(*[1e308] * 10)
@example(*[5e-324] * 10)
@example(1.0, 0.0, 5e-324, 5e-324, 1e308, 5e-324, 5e-324, 0.0, 0.0, 1e308)
def test_whatever_comes_in_no_nan_comes_out(fair, position, gamma, clip, sigma, A, k, fee, xi, drift):
    terms = quote(fair, position, gamma, clip, sigma, A, k, fee, xi, drift)
    assert all(math.isfinite(value) for value in terms)
    if terms.refusal:
        assert tuple(terms[1:]) == (0.0,) * 5
    else:
        assert terms.model_half > 0
