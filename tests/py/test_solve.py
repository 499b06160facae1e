"""Gamma from a wish: the published table, round trips, and what a solution says against simulations of its quotes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftpy.cli import main
from mftpy.errors import ConfigError
from mftpy.model import glft_exact
from mftpy.model.avellaneda_stoikov import quote, stationary_horizon_s, stationary_skew
from mftpy.model.solve import (
    Market,
    gamma_for_shift,
    gamma_for_skew,
    gamma_for_std,
    inventory_law,
    requotes_per_s,
    skew_for_std,
    solve,
    std_clips,
    warnings,
)

FREE = Market(fair=61700.0, sigma=8.0, A=0.55, k=0.25, fee=0.0, clip=0.01, max_clips=200, tick=1.0, threshold_ticks=2)
PAID = replace(FREE, fee=6.17, max_clips=10)


# published


@pytest.mark.parametrize(
    ("std", "gammas", "skew", "halves", "horizon_s"),
    [
        (1, (("2.41", 0.005), ("0.62", 0.005), ("0.21", 0.005)), (2.0, 0.05), (4.75, 5.05), 5),
        (2, (("0.158", 0.0005), ("0.039", 0.0005), ("0.013", 0.0005)), (0.50, 0.005), (4.235, 4.255), 20),
        (4, (("0.0099", 5e-5), ("0.0025", 5e-5), ("8.1e-4", 5e-6)), (0.125, 0.0005), (4.055, 4.065), 79),
        (8, (("6.2e-4", 5e-6), ("1.5e-4", 5e-6), ("5.0e-5", 5e-7)), (0.031, 0.0005), (4.015, 4.025), 316),
    ],
)
def test_the_published_table_of_targets_is_met_to_its_printed_digits(std, gammas, skew, halves, horizon_s):
    for sigma, (gamma, half_a_digit) in zip((4.0, 8.0, 14.0), gammas, strict=True):
        market = replace(FREE, sigma=sigma)
        found = solve(gamma_for_std(std, market), market)
        assert found.gamma == pytest.approx(float(gamma), abs=half_a_digit, rel=0)
        assert found.skew_per_clip == pytest.approx(skew[0], abs=skew[1], rel=0)
        assert halves[0] <= found.half_spread <= halves[1]  # printed once for the three: 4.25 is 4.237, 4.247, 4.249
        if sigma == 8.0:
            assert found.horizon_s == pytest.approx(horizon_s, abs=0.5, rel=0)


def test_a_gamma_with_the_fee_inside_means_what_is_published():
    found = solve(0.04, PAID)
    assert found.half_spread == pytest.approx(10.7, abs=0.05)
    assert found.skew_per_clip == pytest.approx(1.09, abs=0.005)
    assert found.horizon_s == pytest.approx(42.5, abs=0.05)
    flat = 0.55 * math.exp(-0.25 * found.half_spread)
    assert flat == pytest.approx(0.038, abs=0.0005)
    assert 2 * flat < found.fills_per_s < 2.2 * flat


# round trips


@given(
    st.floats(1e-6, 1e3), st.floats(1e-4, 10), st.floats(0.1, 100), st.floats(0.01, 100), st.floats(0.01, 10),
    st.floats(-1, 1),
)  # fmt: skip
def test_gamma_comes_back_from_its_skew(gamma, clip, sigma, A, k, fee):
    market = replace(FREE, sigma=sigma, A=A, k=k, fee=fee, clip=clip)
    skew = stationary_skew(gamma, clip, sigma, A, k, fee) * clip
    assert gamma_for_skew(skew, market) == pytest.approx(gamma, rel=1e-12)


@pytest.mark.parametrize("std", [0.3, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0])
def test_the_inventory_that_was_asked_for_is_the_one_that_is_said(std):
    found = solve(gamma_for_std(std, PAID), PAID)
    assert found.std_clips == pytest.approx(std, rel=1e-9)
    assert found.skew_per_clip == pytest.approx(skew_for_std(std, PAID.k, PAID.max_clips), rel=1e-12)


@pytest.mark.parametrize("ticks", [0.1, 1.0, 5.0, 20.0, 100.0])
def test_the_shift_that_was_asked_for_is_the_one_that_is_quoted(ticks):
    market = replace(PAID, tick=0.5)
    found = solve(gamma_for_shift(ticks, market), market)
    assert found.shift_at_limit == pytest.approx(ticks * 0.5, rel=1e-12)
    horizon_s = stationary_horizon_s(found.gamma, 0.01, 8.0, 0.55, 0.25, 6.17)
    flat, full = (quote(61700.0, q, found.gamma, 0.01, 8.0, 0.25, 6.17, horizon_s) for q in (0.0, 0.1))
    assert flat.bid - full.bid == pytest.approx(ticks * 0.5, rel=1e-9)
    assert flat.ask - full.ask == pytest.approx(ticks * 0.5, rel=1e-9)
    assert flat.ask - 61700.0 == pytest.approx(found.half_spread, rel=1e-9)


@given(st.floats(0.2, 5.9), st.floats(1.001, 1.5))
def test_more_inventory_is_less_gamma_and_more_shift_is_more(target, factor):
    if target * factor < 6.0:
        assert gamma_for_std(target * factor, PAID) < gamma_for_std(target, PAID)
    assert gamma_for_shift(target * factor, PAID) > gamma_for_shift(target, PAID)


def test_without_a_limit_the_law_is_the_gaussian_one_from_one_clip_on():
    for std, off in ((1.0, 1e-6), (0.7, 0.003), (8.0, 1e-9)):
        assert std_clips(1 / (2 * 0.25 * std**2), 0.25, 200) == pytest.approx(std, rel=off)
    assert std_clips(1 / (2 * 0.25 * 0.25), 0.25, 200) < 0.95 * 0.5


@pytest.mark.parametrize(("std", "exact"), [(0.5, 0.3086), (0.7, 0.6377), (1.0, 0.9665), (2.0, 1.9841), (4.0, 3.9922)])
def test_the_exact_solutions_inventory_is_near_from_one_clip_on_and_not_below(std, exact):
    market = replace(FREE, max_clips=60)
    gamma = gamma_for_skew(1 / (2 * 0.25 * std**2), market)
    bids, asks = np.empty(121), np.empty(121)
    assert glft_exact.distances(gamma, 0.01, 8.0, 0.55, 0.25, 0.0, 0.0, True, 0.0, bids, asks) == 0
    # v_{n+1}/v_n is in the difference of the bid at n and the ask at n + 1
    log_v = np.concatenate([[0.0], np.cumsum((asks[1:] - bids[:-1]) * 0.25 / 2)])
    v2 = np.exp(2 * (log_v - log_v.max()))
    n = np.arange(-60, 61)
    assert math.sqrt((v2 @ (n * n)) / v2.sum()) == pytest.approx(exact, abs=1e-4)


# against simulations


def played(found, market, batches, events):
    """Play the quotes of the model of 2008 fill by fill; return (mean square of the position, fills per s) a batch."""
    m, N, rng = market, market.max_clips, np.random.default_rng(7)
    up, down = np.zeros(2 * N + 1), np.zeros(2 * N + 1)
    for i in range(2 * N + 1):
        q = (i - N) * m.clip
        terms = quote(m.fair, q, found.gamma, m.clip, m.sigma, m.k, m.fee, found.horizon_s)
        up[i] = 0.0 if i == 2 * N else m.A * math.exp(-m.k * (m.fair - terms.bid))
        down[i] = 0.0 if i == 0 else m.A * math.exp(-m.k * (terms.ask - m.fair))
    total = (up + down).tolist()
    up_share = (up / (up + down)).tolist()
    rows, i = [], N
    for _ in range(batches):
        waits, draws = rng.exponential(size=events).tolist(), rng.random(events).tolist()
        elapsed = square = limit = 0.0
        for wait, draw in zip(waits, draws, strict=True):
            held = wait / total[i]
            elapsed += held
            square += held * (i - N) ** 2
            limit += held * (i in (0, 2 * N))
            i += 1 if draw < up_share[i] else -1
        rows.append((square / elapsed, events / elapsed, limit / elapsed))
    return np.array(rows)


@pytest.mark.parametrize(("max_clips", "std"), [(4, 2.0), (10, 1.0)])
def test_inventory_fills_and_time_at_the_limit_are_those_of_its_quotes(max_clips, std):
    market = replace(PAID, max_clips=max_clips)
    found = solve(gamma_for_std(std, market), market)
    rows = played(found, market, 25, 3000)
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / 5
    said = np.array([found.std_clips**2, found.fills_per_s, found.share_at_limit])
    assert np.all(np.abs(mean - said) <= 4 * error + 1e-9)
    assert np.all(error <= 0.03 * said)
    if max_clips == 4:  # what it would be without the limit would be seen
        assert abs(mean[0] - found.std_unlimited_clips**2) > 4 * error[0]
    else:  # and so would the rate of a flat position
        assert abs(mean[1] - 2 * market.A * math.exp(-market.k * found.half_spread)) > 4 * error[1]


def amends_per_s(sigma, tick, threshold, interval_s, looks, paths=200):
    """Amends of one bid that follows a Brownian price, rounded down to whole ticks."""
    rng = np.random.default_rng(3)
    price = rng.random(paths)
    resting = np.floor(price)
    step, amends, burn_in = sigma * math.sqrt(interval_s) / tick, 0, looks // 10
    for i in range(looks):
        price += step * rng.standard_normal(paths)
        wanted = np.floor(price)
        moved = np.abs(wanted - resting) >= threshold
        resting[moved] = wanted[moved]
        amends += int(moved.sum()) if i >= burn_in else 0
    return amends / (paths * (looks - burn_in) * interval_s)


@pytest.mark.parametrize(
    ("sigma", "tick", "threshold", "interval_s", "looks", "most"),
    [
        (8.0, 1.0, 2, 4e-5, 8000, 1.05),  # nearly all the time: h (h - 1)
        (8.0, 1.0, 5, 1e-3, 4000, 1.05),
        (8.0, 0.1, 50, 1e-2, 2000, 1.05),
        (8.0, 1.0, 10, 0.1, 2000, 1.10),
        (8.0, 1.0, 2, 0.1, 2000, 1.45),  # the defaults: a look passes the threshold
        (8.0, 1.0, 2, 10.0, 500, 1.10),
        (8.0, 1.0, 1, 0.001, 2000, 2.0),
    ],
)
def test_amends_for_price_moves_are_those_of_a_simulated_price(sigma, tick, threshold, interval_s, looks, most):
    said = requotes_per_s(sigma, tick, threshold, interval_s)
    assert 0.97 <= said / amends_per_s(sigma, tick, threshold, interval_s, looks) <= most


def test_the_threshold_squared_would_be_too_few_amends():
    seen = amends_per_s(8.0, 1.0, 2, 4e-5, 8000)
    assert seen > 1.6 * 8.0**2 / 2**2
    assert requotes_per_s(8.0, 1.0, 2, 0.0) == 32.0
    assert requotes_per_s(8.0, 1.0, 1, 0.0) == math.inf


def test_messages_are_amends_of_both_sides_and_what_fills_need():
    found = solve(0.04, PAID)
    assert found.requotes_per_s == 2 * requotes_per_s(8.0, 1.0, 2, 0.1)
    assert found.fill_messages_per_s == found.fills_per_s  # a skew of 1.09 USD moves nothing by 2 ticks
    assert solve(0.04, replace(PAID, threshold_ticks=1)).fill_messages_per_s == 2 * found.fills_per_s
    assert found.fills_error_per_s(3600.0) * 3600 == pytest.approx(math.sqrt(found.fills_per_s * 3600))


# warnings and refusals


def test_a_warning_says_what_would_not_go_as_planned():
    assert warnings(solve(0.04, PAID), PAID, 40.0, 50.0) == []
    (own,) = warnings(solve(0.04, PAID), PAID, 10.0, 50.0)
    assert "our own limit allows 10" in own
    (venue,) = warnings(solve(0.04, PAID), PAID, 40.0, 5.0)
    assert "the exchange allows 5" in venue
    tight = replace(FREE, max_clips=3)
    (at_limit,) = warnings(solve(gamma_for_std(1.8, tight), tight), tight, 40.0, 50.0)
    assert "at its limit" in at_limit
    assert f"{solve(gamma_for_std(1.8, tight), tight).share_at_limit:.1%}" in at_limit
    small = replace(FREE, clip=1.0, max_clips=2)
    found = solve(gamma_for_std(0.6, small), small)
    crossing, coarse = warnings(found, small, 40.0, 50.0)
    assert f"from {found.clamped_clips} clips on" in crossing
    assert "smaller clip" in coarse


def test_the_first_clamped_position_is_the_first_whose_reducing_quote_is_too_near():
    for min_distance in (0, 3, 50):
        market = replace(PAID, min_distance_ticks=min_distance, max_clips=30)
        found = solve(0.04, market)
        near = [n for n in range(31) if found.half_spread - n * found.skew_per_clip < min_distance]
        assert found.clamped_clips == near[0]
    assert solve(1e-4, PAID).clamped_clips is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"max_clips": 0}, "limit of 0"),
        ({"max_clips": 10**9}, "limit of 1000000000"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": math.nan}, "sigma"),
        ({"k": math.inf}, "k must"),
        ({"A": -1.0}, "A must"),
        ({"tick": 0.0}, "tick"),
        ({"fair": 0.0}, "fair price"),
        ({"fee": math.nan}, "fee"),
        ({"fee": 80.0}, "less than once a day"),
        ({"fee": -20.0}, "rebate"),
        ({"threshold_ticks": 0}, "threshold"),
        ({"interval_s": -1.0}, "interval"),
        ({"fair": 5.0}, "at nothing or less"),
        ({"A": 1e-300}, "less than once a day"),
    ],
)
def test_an_impossible_market_is_refused_with_its_reason(changed, words):
    with pytest.raises(ConfigError, match=words):
        solve(0.04, replace(PAID, **changed))


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf, 6.06, 7.0, 1e-160, 1e-300])
def test_an_impossible_inventory_is_refused(target):
    with pytest.raises(ConfigError, match="standard deviation"):
        gamma_for_std(target, PAID)


@pytest.mark.parametrize("ticks", [0.0, -1.0, math.nan, math.inf, 1e30, 1e-200])
def test_an_impossible_shift_is_refused(ticks):
    with pytest.raises(ConfigError, match=r"shift at the limit|gamma would have to be"):
        gamma_for_shift(ticks, PAID)


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.nan, math.inf, 1e308])
def test_a_gamma_that_is_none_is_refused(gamma):
    with pytest.raises(ConfigError):
        solve(gamma, PAID)


anything = st.floats(width=64)
sizes = st.floats(1e-320, 1e300)


@given(
    st.builds(
        Market, sizes, sizes, sizes, sizes, st.floats(-1e6, 1e6), sizes, st.integers(-1, 300), sizes, st.integers(0, 9)
    ),
    anything,
)
def test_whatever_is_asked_of_whatever_market_is_answered_in_numbers_or_refused(market, wish):
    for find in (gamma_for_std, gamma_for_shift, lambda gamma, _: gamma):
        try:
            found = solve(find(wish, market), market)
        except ConfigError:
            continue
        finite = found._asdict() | {"requotes_at_most_per_s": 0.0, "clamped_clips": found.clamped_clips or 0}
        assert all(math.isfinite(value) for value in finite.values())
        assert found.gamma > 0
        assert all(isinstance(sentence, str) for sentence in warnings(found, market, 40.0, 50.0))


def test_the_law_sums_to_one_and_is_symmetric_however_steep_or_flat():
    for skew in (1e-30, 0.5, 1e4):
        law = inventory_law(skew, 0.25, 10)
        assert law.sum() == pytest.approx(1.0, rel=1e-14)
        assert np.array_equal(law, law[::-1])


# the command

DISTANCE = {"type": "object", "required": ["usd", "ticks", "bp"], "additionalProperties": {"type": "number"}}
SCHEMA = {
    "type": "object",
    "required": [
        "wish", "market", "gamma_per_usd", "half_spread", "skew_per_clip", "shift_at_limit", "horizon_s",
        "inventory_std", "share_at_limit", "fills_per_min", "messages_per_s", "warnings",
    ],
    "additionalProperties": False,
    "properties": {
        "wish": {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "number"}},
        "market": {"type": "object", "required": ["fair", "sigma", "A", "k", "fee", "clip", "max_clips", "tick"]},
        "gamma_per_usd": {"type": "number", "exclusiveMinimum": 0},
        "half_spread": DISTANCE,
        "skew_per_clip": DISTANCE,
        "shift_at_limit": DISTANCE,
        "horizon_s": {"type": "number", "exclusiveMinimum": 0},
        "inventory_std": {
            "required": ["clips", "coins", "clips_without_limit"], "additionalProperties": {"type": "number"},
        },
        "share_at_limit": {"type": "number", "minimum": 0, "maximum": 1},
        "fills_per_min": {"required": ["expected", "error_of_one_hour"], "additionalProperties": {"type": "number"}},
        "messages_per_s": {
            "required": ["planned", "for_price_moves", "for_fills", "at_most", "venue_allows", "own_limit"],
            "additionalProperties": {"type": ["number", "null"]},
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}  # fmt: skip


def answer(capsys, *words):
    assert main(["model", "solve", "--json", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    return found


def test_flags_outrank_the_file_and_the_file_the_defaults(capsys, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[model]\nsigma_usd_sqrt_s = 4.0\nk_per_usd = 0.3\n[quoting]\nmax_position_clips = 20\n")
    flags = ["--k", "0.25", "--fee-bps", "0", "--mid", "50000", "--tick", "0.5", "--requote-threshold-ticks", "4"]
    found = answer(capsys, "--inventory-std", "2", "--config", str(file), *flags)
    expected = Market(50000.0, 4.0, 0.55, 0.25, 0.0, 0.01, 20, 0.5, 4)
    assert found["market"] == vars(expected)
    assert found["gamma_per_usd"] == gamma_for_std(2.0, expected)
    assert found["inventory_std"]["coins"] == pytest.approx(0.02)
    assert found["half_spread"]["ticks"] == pytest.approx(found["half_spread"]["usd"] / 0.5)
    assert found["half_spread"]["bp"] == pytest.approx(found["half_spread"]["usd"] / 5)


def test_the_answer_put_in_as_a_gamma_gives_the_same_answer(capsys):
    shift = answer(capsys, "--shift-at-limit", "5")
    again = answer(capsys, "--gamma", repr(shift["gamma_per_usd"]))
    assert again.pop("wish") == {"gamma_per_usd": shift["gamma_per_usd"]}
    assert shift.pop("wish") == {"shift_at_limit_ticks": 5.0}
    assert again == shift
    assert shift["shift_at_limit"]["ticks"] == pytest.approx(5.0)


def test_an_infinite_rate_is_null_in_json(capsys):
    found = answer(capsys, "--gamma", "0.04", "--requote-threshold-ticks", "1")
    assert found["messages_per_s"]["at_most"] is None


def test_the_text_has_every_number_and_the_warnings(capsys):
    assert main(["model", "solve", "--gamma", "0.04", "--requote-threshold-ticks", "1", "--interval-ms", "10"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in (
        "gamma               0.04 /USD",
        "10.71 USD, 10.71 ticks, 1.74 bp; 6.17 USD of it the fee",
        "1.088 USD",
        "42.51 s",
        "1.356 clips, 0.01356 coins",
        "4.855 +-0.28 per minute",
        "the exchange allows 50, our own limit 40",
        "warning: ",
    ):
        assert words in out
    assert sum(line.startswith("warning: ") for line in out.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "--inventory-std"),
        (["--gamma", "0.04", "--inventory-std", "2"], "not allowed with"),
        (["--gamma", "0"], "'0'"),
        (["--gamma", "1e10"], "gamma_per_usd"),
        (["--inventory-std", "7"], "less than 6.06 clips"),
        (["--inventory-std", "-1"], "positive number of clips"),
        (["--inventory-std", "2", "--max-clips", "0"], "max_position_clips"),
        (["--shift-at-limit", "0"], "positive number of ticks"),
        (["--shift-at-limit", "-5e-1"], "positive number of ticks"),
        (["--shift-at-limit", "1e30"], "gamma would have to be"),
        (["--inventory-std", "2", "--clip", "5"], "max_order_coins"),
        (["--inventory-std", "2", "--fee-bps", "300"], "less than once a day"),
        (["--inventory-std", "2", "--fee-bps", "-3"], "rebate"),
        (["--inventory-std", "2", "--interval-ms", "-1"], "--interval-ms"),
        (["--inventory-std", "2", "--sigma", "inf"], "'inf'"),
        (["--inventory-std", "2", "--config", "nowhere.toml"], "no such file"),
        (["--inventory-std", "2", "--plot", "quotes.jpg"], ".png"),
    ],
)
def test_an_impossible_setting_is_one_sentence_and_exit_code_2(capsys, words, reason):
    try:
        code = main(["model", "solve", *words])
    except SystemExit as end:  # argparse
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert reason in err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[model]\nhorizon = 20.0\n", "model.horizon is 20 s"),
        ('[venue]\ninstrument = "ETH-PERPETUAL"\n', "--tick"),
        ('[venue]\ninstrument = "ETH-PERPETUAL"\n[exchange]\ntick_size = 0.1\n', "--mid"),
        ("[limits]\nmax_position_coins = 0.05\n", "max_position_coins"),
    ],
)
def test_a_configuration_that_cannot_be_solved_for_says_why(capsys, tmp_path, text, reason):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert main(["model", "solve", "--inventory-std", "2", "--config", str(file)]) == 2
    assert reason in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints(capsys):
    assert main(["model", "solve", "--inventory-std", "2"]) == 0
    page = Path(__file__).resolve().parents[2] / "docs" / "model.md"
    assert capsys.readouterr().out in page.read_text(encoding="utf-8")
