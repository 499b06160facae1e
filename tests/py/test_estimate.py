"""What the quotes are made with: priors, blending, bounds, standing, doubt, settings."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mftpy.errors import ConfigError
from mftpy.model.estimate import ESTIMATE, fill_rate
from mftpy.model.estimator import Estimator, parameters
from mftpy.model.intensity import ASK, BID, BUY, SELL
from mftpy.model.standing import ASK_A, ASK_K, BID_A, BID_K, NAMES, SIGMA, Doubt, Standing
from mftpy.settings import Estimation

S = 1_000_000_000
MID = 61_700.0
BP = MID * 1e-4
ALL = range(5)


def play(estimator, seconds, *, seed=1, sigma=8.0, a=0.55, k=0.25, start_ns=S, price=MID, both_sides=True):
    """Feed a market of known parameters, in price units, a look every 0.1 s; return the time at the end."""
    rng = np.random.default_rng(seed)
    requote_s, n = 0.1, int(seconds * 10)
    mids = price + np.cumsum(rng.normal(0.0, sigma * math.sqrt(requote_s), n))
    reached = rng.poisson(a * requote_s, (n, 2))
    for i, mid in enumerate(mids.tolist()):
        now_ns = start_ns + i * S // 10
        estimator.on_mid(now_ns, mid)
        for side, sign in ((BID, -1), (ASK, 1)):
            if side == BID and not both_sides:
                continue
            for _ in range(reached[i, side]):
                estimator.on_print(now_ns + 5000, mid + sign * float(rng.exponential(1 / k)), 0.1, sign)
    now_ns = start_ns + n * S // 10
    estimator.on_mid(now_ns, mids[-1])
    return now_ns


def standing(row):
    return Standing(row["standing"]), Doubt(row["doubt"])


def standings(estimates):
    return {standing(row) for row in estimates}


def test_with_nothing_seen_the_priors_are_in_use_in_price_units():
    for price in (2000.0, MID, 1e-8, 1e9):
        rows = Estimator(Estimation(), 0.0).update(S, price)
        assert standings(rows) == {(Standing.PRIOR, Doubt.NO_DATA)}
        bp = price * 1e-4
        expected = [1.3 * bp, 0.55, 1.5 / bp, 0.55, 1.5 / bp]
        assert rows["value"] == pytest.approx(expected)
        assert rows["prior"] == pytest.approx(expected)
        assert (rows["error"] > 0).all()
        assert not rows["measured"].any()
        assert not rows["weight_hours"].any()


def test_data_warms_up_goes_live_and_outweighs_the_prior():
    estimator = Estimator(Estimation(A_prior_per_s=0.1, k_prior_per_bp=5.0, sigma_prior_bp=0.4), 0.0)
    now_ns = play(estimator, 8)
    assert standings(estimator.update(now_ns, MID)) == {(Standing.WARMING, Doubt.TOO_FEW)}
    first = estimator.estimates.copy()
    now_ns = play(estimator, 1800, seed=2, start_ns=now_ns)
    rows = estimator.update(now_ns, MID)
    assert standings(rows) == {(Standing.LIVE, Doubt.NONE)}
    for at, truth in zip(ALL, (8.0, 0.55, 0.25, 0.55, 0.25), strict=True):
        row = rows[at]
        assert abs(row["measured"] - truth) < 4 * row["measured_error"], NAMES[at]
        assert min(row["measured"], row["prior"]) < row["value"] < max(row["measured"], row["prior"])
        assert abs(row["value"] - truth) < abs(first[at]["value"] - truth)
        assert row["error"] > 0
        assert row["effective"] > 200
    assert rows["weight_hours"][SIGMA] == pytest.approx(300 / math.log(2) / 3600, rel=0.02)
    assert rows["weight_hours"][BID_A] == pytest.approx((1 - 0.5**0.5) / math.log(2), rel=0.02)


def test_the_weight_of_the_prior_is_in_hours():
    estimator = Estimator(Estimation(sigma_half_life_s=1e6, sigma_prior_hours=0.5), 0.0)
    now_ns = play(estimator, 1800)
    row = estimator.update(now_ns, MID)[SIGMA]
    assert row["weight_hours"] == pytest.approx(0.5, rel=0.01)
    assert row["value"] ** 2 == pytest.approx((row["measured"] ** 2 + row["prior"] ** 2) / 2, rel=0.01)


def test_two_markets_of_different_price_have_the_same_estimates_in_basis_points():
    found = []
    for price in (MID, 2500.0):
        estimator, scale = Estimator(Estimation(), 0.0), price / MID
        now_ns = play(estimator, 300, sigma=8 * scale, k=0.25 / scale, price=price)
        rows = estimator.update(now_ns, price)["value"]
        found.append([rows[SIGMA] / scale, rows[BID_A], rows[BID_K] * scale, rows[ASK_A], rows[ASK_K] * scale])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_one_side_can_be_live_while_the_other_is_warming_up():
    estimator = Estimator(Estimation(), 0.0)
    rows = estimator.update(play(estimator, 300, both_sides=False), MID)
    assert standing(rows[BID_A]) == standing(rows[BID_K]) == (Standing.WARMING, Doubt.TOO_FEW)
    assert standing(rows[ASK_A]) == standing(rows[ASK_K]) == (Standing.LIVE, Doubt.NONE)
    assert rows[BID_A]["value"] < 0.6 * rows[ASK_A]["value"]  # time without a trade is data, too


def test_silence_makes_stale_and_leads_back_to_the_prior():
    estimator = Estimator(Estimation(), 0.0)
    now_ns = play(estimator, 600, sigma=16.0)
    live = estimator.update(now_ns + 30 * S, MID).copy()
    assert standings(live) == {(Standing.LIVE, Doubt.NONE)}
    stale = estimator.update(now_ns + 62 * S, MID).copy()
    assert standings(stale) == {(Standing.REJECTED, Doubt.STALE)}
    old = estimator.update(now_ns + 100 * 3600 * S, MID)
    assert live[SIGMA]["value"] > stale[SIGMA]["value"] > old[SIGMA]["value"]
    assert old["value"] == pytest.approx(old["prior"], rel=1e-6)


def test_a_market_without_a_mid_is_stale_though_something_is_heard():
    estimator = Estimator(Estimation(), 0.0)
    now_ns = play(estimator, 600)
    for second in range(70):
        estimator.on_mid(now_ns + second * S, 0.0)
        estimator.on_print(now_ns + second * S + 1, MID + 5.0, 1.0, BUY)
    assert standings(estimator.update(now_ns + 70 * S, MID)) == {(Standing.REJECTED, Doubt.STALE)}


def test_a_mid_that_never_moves_is_doubted_and_sigma_is_not_zero():
    for prior_hours in (0.0, 0.02):
        estimator = Estimator(Estimation(sigma_prior_hours=prior_hours), 0.0)
        for second in range(100):
            estimator.on_mid(second * S, MID)
        row = estimator.update(100 * S, MID)[SIGMA]
        assert standing(row) == (Standing.REJECTED, Doubt.NO_MOVEMENT)
        assert row["measured"] == 0
        assert row["value"] >= 0.1 * BP
        assert prior_hours or row["value"] == 0.1 * BP


@pytest.mark.parametrize(("sigma", "bound"), [(0.3, 0.1), (200.0, 20.0)])
def test_sigma_stays_between_its_bounds_and_says_so(sigma, bound):
    estimator = Estimator(Estimation(sigma_prior_hours=0.0), 0.0)
    rows = estimator.update(play(estimator, 300, sigma=sigma), MID)
    assert rows[SIGMA]["value"] == pytest.approx(bound * BP)
    assert standing(rows[SIGMA]) == (Standing.REJECTED, Doubt.OUTSIDE_BOUNDS)
    assert rows[SIGMA]["measured"] == pytest.approx(sigma, rel=0.2)


def test_k_stays_between_its_bounds_and_a_is_the_best_for_that_k():
    estimator = Estimator(Estimation(k_most_per_bp=1.6, intensity_prior_hours=0.0), 0.0)
    now_ns = play(estimator, 1800, k=0.5)
    rows = estimator.update(now_ns, MID)
    assert rows[ASK_K]["value"] == pytest.approx(1.6 / BP)
    assert {standing(rows[at]) for at in (ASK_A, ASK_K)} == {(Standing.REJECTED, Doubt.OUTSIDE_BOUNDS)}
    assert rows[ASK_A]["value"] < rows[ASK_A]["measured"]  # a flatter curve through the same number of arrivals
    least = Estimator(Estimation(A_least_per_s=0.5, A_prior_per_s=0.6), 0.0)
    rows = least.update(play(least, 1800, a=0.2), MID)
    assert rows[BID_A]["value"] == 0.5
    assert standing(rows[BID_A]) == (Standing.REJECTED, Doubt.OUTSIDE_BOUNDS)
    assert standing(rows[BID_K])[0] == Standing.LIVE


def test_reaches_that_no_k_explains_are_rejected_and_the_prior_keeps_the_values_in_reason():
    estimator = Estimator(Estimation(), 0.0)
    for i in range(4000):
        estimator.on_mid(i * S // 10, MID)
        if i % 20 == 0:
            estimator.on_print(i * S // 10 + 1, MID + 17.0, 1.0, BUY)  # all at the far end of the range
    rows = estimator.update(400 * S, MID)
    assert {standing(rows[at]) for at in (ASK_A, ASK_K)} == {(Standing.REJECTED, Doubt.OUTSIDE_BOUNDS)}
    assert rows["measured"][ASK_A] == rows["measured"][ASK_K] == 0
    assert 0.02 / BP < rows["value"][ASK_K] < 1.5 / BP


def test_data_with_too_large_an_error_is_not_believed():
    estimator = Estimator(Estimation(most_relative_error=0.02), 0.0)
    rows = estimator.update(play(estimator, 300), MID)
    assert standings(rows) == {(Standing.REJECTED, Doubt.ERROR_TOO_LARGE)}
    assert rows["value"][1:] == pytest.approx(rows["prior"][1:])


def test_after_a_jump_sigma_is_not_taken_for_less_than_before():
    estimator = Estimator(Estimation(), 0.0)
    now_ns = play(estimator, 60, sigma=2.0)
    estimator.on_mid(now_ns + S, MID + 500.0)
    estimator.on_mid(now_ns + 3 * S, MID + 500.0)
    row = estimator.update(now_ns + 3 * S, MID)[SIGMA]
    assert standing(row) == (Standing.REJECTED, Doubt.ERROR_TOO_LARGE)
    assert row["value"] > row["prior"]


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_without_a_price_there_is_no_estimate_and_the_model_refuses(price):
    estimator = Estimator(Estimation(), 0.0)
    rows = estimator.update(play(estimator, 60), price)
    assert standings(rows) == {(Standing.REJECTED, Doubt.NO_PRICE)}
    assert not rows["value"].any()
    assert standings(estimator.update(-1, MID)) == {(Standing.REJECTED, Doubt.NO_PRICE)}


def test_whatever_comes_every_value_is_a_number_between_its_bounds():
    rng = np.random.default_rng(7)
    odd = [0.0, -1.0, math.nan, math.inf, 1e-8, 1e9]
    settings = Estimation(sigma_half_life_s=20.0, least_samples=2, least_reached=2)
    estimator, now_ns = Estimator(settings, 0.1), 0
    seen = set()
    for _ in range(3000):
        now_ns = max(0, now_ns + int(rng.integers(-S // 2, S)))
        price = float(rng.choice(odd)) if rng.random() < 0.03 else MID + float(rng.normal(0, 5))
        estimator.on_mid(now_ns, price)
        estimator.on_print(now_ns, price + float(rng.normal(0, 5)), float(rng.choice([0.0, 1.0, math.nan])), SELL)
        rows = estimator.update(now_ns, MID)
        seen |= {standing(row)[1] for row in rows}
        for name in ESTIMATE.names:
            assert np.isfinite(rows[name]).all()
        assert (rows["error"] >= 0).all()
        slack = 1 + 1e-12
        assert 0.1 * BP / slack <= rows[SIGMA]["value"] <= 20 * BP * slack
        for at in (BID_A, ASK_A):
            assert 0.001 / slack <= rows[at]["value"] <= 100 * slack
            assert 0.02 / BP / slack <= rows[at + 1]["value"] <= 50 / BP * slack
    assert seen >= {Doubt.NO_DATA, Doubt.TOO_FEW, Doubt.OUTSIDE_BOUNDS}


def test_the_rate_at_a_distance_has_an_error_that_is_smallest_where_most_trades_are_counted():
    estimator = Estimator(Estimation(intensity_prior_hours=0.0), 0.0)
    rows = estimator.update(play(estimator, 1800), MID)
    rates = [fill_rate(rows, ASK, distance) for distance in (0.0, 0.15 * BP, 4.0, 20.0)]  # 0.15: where the range begins
    assert rates[0] == pytest.approx((rows[ASK_A]["value"], rows[ASK_A]["error"]))
    assert rates[2][0] == pytest.approx(rows[ASK_A]["value"] * math.exp(-4.0 * rows[ASK_K]["value"]))
    relative = [error / rate for rate, error in rates]
    assert relative[1] < relative[0] < relative[2] < relative[3]
    assert relative[1] == pytest.approx(1 / math.sqrt(rows[ASK_A]["effective"]), rel=0.02)
    assert abs(rates[2][0] - 0.55 * math.exp(-1)) < 4 * rates[2][1]
    assert fill_rate(np.zeros(5, ESTIMATE), BID, 1.0) == (0.0, 0.0)


def test_a_restart_keeps_what_is_known_and_does_not_count_the_time_between():
    estimator = Estimator(Estimation(), 0.0)
    now_ns = play(estimator, 300)
    before = estimator.update(now_ns, MID).copy()
    estimator.restart()
    estimator.on_mid(now_ns + 3 * S, 2 * MID)
    after = estimator.update(now_ns, MID)
    assert (after["value"] == before["value"]).all()


def test_each_line_for_the_screen_says_value_error_standing_and_doubt():
    estimator = Estimator(Estimation(), 0.0)
    estimator.update(play(estimator, 300, both_sides=False), MID)
    lines = estimator.describe()
    assert [line.split(" 0.")[0] for line in lines[1:]] == ["bid A", "bid k", "ask A", "ask k"]
    assert lines[0].startswith("sigma ")
    assert ", live, " in lines[0]
    assert ", warming (too few), " in lines[1]
    assert all("+-" in line for line in lines)


# settings


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"sigma_least_bp": 2.0}, "sigma_least_bp"),
        ({"sigma_most_bp": 1.0}, "sigma_most_bp"),
        ({"A_prior_per_s": 200.0}, "A_most_per_s"),
        ({"A_least_per_s": 1.0}, "A_least_per_s"),
        ({"k_prior_per_bp": 0.01}, "k_least_per_bp"),
        ({"k_prior_per_bp": 60.0}, "k_most_per_bp"),
        ({"range_from_bp": 3.0}, "range_to_bp"),
        ({"range_to_bp": 10.0}, "range_to_bp"),
        ({"sigma_step_s": 0.0}, "sigma_step_s"),
        ({"intensity_prior_hours": -1.0}, "intensity_prior_hours"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(overrides, named):
    with pytest.raises(ConfigError, match=named):
        parameters(replace(Estimation(), **overrides), 0.1)


def test_every_setting_reaches_the_estimates():
    settings = Estimation()
    usual = [record.tobytes() for record in parameters(settings, 0.1)]
    for name, value in vars(settings).items():
        changed = type(value)(value * 1.25)
        assert [record.tobytes() for record in parameters(Estimation(**{name: changed}), 0.1)] != usual, name
