"""From book, own orders and model to integers: the net book, rounding, clamps, limits, reasons, and compilation."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba.core.event
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mftcore
from mftpy import records
from mftpy.config import load
from mftpy.errors import ConfigError
from mftpy.model import quoting
from mftpy.model.avellaneda_stoikov import Refusal, quote, stationary_horizon_s
from mftpy.model.compiled import DISPATCHERS, compilations
from mftpy.model.net_book import LEVEL, net_best
from mftpy.model.quoting import PARAMETERS, Quoter, differs, parameters, quote_ticks, warm_up
from mftpy.records import ACCOUNT, SLOTS_PER_SIDE, TARGET, Reason

ROOT = Path(__file__).resolve().parents[2]
TICK, LOT = 0.1, 0.001
BUY, SELL = 1, -1
TERMS = ("fair", "skew", "model_half", "fee", "bid_unrounded", "ask_unrounded", "horizon_s")
PRICES = ("n_bids", "n_asks", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")


def levels(*pairs):
    """Return an array of LEVEL from (price_ticks, size_lots) pairs, best first."""
    array = np.zeros(len(pairs), LEVEL)
    for row, (ticks, lots) in zip(array, pairs, strict=True):
        row["price_ticks"], row["size_lots"] = ticks, lots
    return array


def book(bids, asks):
    """Return both sides as arrays from {price_ticks: size_lots}."""
    return levels(*sorted(bids.items(), reverse=True)), levels(*sorted(asks.items()))


def account(position_lots=0, own=()):
    """Return an account record; `own` holds (side, price_ticks, lots)."""
    row = records.blank(ACCOUNT)
    row["ready"], row["position_lots"], row["n_own"] = 1, position_lots, len(own)
    for i, (side, ticks, lots) in enumerate(own):
        row["own_side"][0, i], row["own_ticks"][0, i], row["own_lots"][0, i] = side, ticks, lots
    return row


def quoter(overrides=None, *, tick=TICK, lot=LOT, **changes):
    """Return a quoter with the default settings, some of them changed."""
    row = parameters(load(None, overrides), tick, lot)
    for name, value in changes.items():
        row[name] = value
    return Quoter(row, 10)


def decide(q, bids, asks, mine):
    """Decide and return (reasons, the target's row)."""
    reasons = q.decide(bids, asks, len(bids), len(asks), mine)
    assert reasons == q.target["reasons"][0]
    return Reason(reasons), q.target[0]


BIDS, ASKS = levels((616_999, 3000), (616_998, 500)), levels((617_001, 2000), (617_002, 500))


def no_quote(row):
    return all(not np.any(row[name]) for name in (*TERMS, *PRICES, "net_bid_ticks", "net_ask_ticks"))


def no_prices(row):
    return all(not np.any(row[name]) for name in PRICES)


# both sides, and what explains them


def test_a_quote_is_the_model_s_rounded_outwards():
    q = quoter()
    reasons, row = decide(q, BIDS, ASKS, account(30))
    p = q.parameters[0]
    fair, fee = 61_700.0, 6.17
    horizon_s = stationary_horizon_s(p["gamma"], 0.01, p["sigma"], p["A"], p["k"], fee)
    terms = quote(fair, 0.03, p["gamma"], 0.01, p["sigma"], p["k"], fee, horizon_s)
    assert reasons is Reason.NONE
    assert row["fair"] == fair
    assert row["fee"] == pytest.approx(fee)
    assert row["horizon_s"] == pytest.approx(horizon_s)
    assert row["skew"] == pytest.approx(terms.skew)
    assert row["skew"] > 0
    assert (row["n_bids"], row["n_asks"]) == (1, 1)
    assert row["bid_ticks"][0] == math.floor(terms.bid / TICK)
    assert row["ask_ticks"][0] == math.ceil(terms.ask / TICK)
    assert (row["bid_lots"][0], row["ask_lots"][0]) == (10, 10)
    assert not np.any(row["bid_ticks"][1:])
    assert (row["net_bid_ticks"], row["net_ask_ticks"], row["position_lots"]) == (616_999, 617_001, 30)


def test_the_line_on_the_screen_adds_up_to_the_last_bit():
    for position in range(-90, 91, 7):
        _, row = decide(quoter(), BIDS, ASKS, account(position))
        assert row["fair"] - row["skew"] - (row["model_half"] + row["fee"]) == row["bid_unrounded"]
        assert row["fair"] - row["skew"] + (row["model_half"] + row["fee"]) == row["ask_unrounded"]


def test_inventory_shifts_both_quotes_the_same_way_in_ticks():
    flat, long, short = (decide(quoter(), BIDS, ASKS, account(lots))[1].copy() for lots in (0, 50, -50))
    for name in ("bid_ticks", "ask_ticks"):
        assert long[name][0] < flat[name][0] < short[name][0]
    width = flat["ask_ticks"][0] - flat["bid_ticks"][0]
    for row in (long, short):
        assert abs((row["ask_ticks"][0] - row["bid_ticks"][0]) - width) <= 2  # rounding outwards


def test_a_horizon_of_the_user_s_is_used_as_it_stands():
    _, row = decide(quoter({"model.horizon": 20.0}), BIDS, ASKS, account(10))
    assert row["horizon_s"] == 20.0
    assert row["skew"] == pytest.approx(0.01 * 0.04 * 64 * 20)


def test_the_fee_in_force_enters_the_horizon():
    free, dear = (decide(quoter({"fees.maker_bps": bps}), BIDS, ASKS, account(10))[1].copy() for bps in (0, 2))
    assert dear["horizon_s"] > free["horizon_s"]
    assert dear["skew"] > free["skew"]


# the book without our own orders


def test_the_fair_price_is_the_mid_of_the_others():
    _, row = decide(quoter(), levels((616_990, 3000)), levels((617_001, 2000)), account())
    assert row["fair"] == pytest.approx(61_699.55, rel=1e-15)


def test_a_level_that_is_only_ours_is_not_there():
    bids = levels((617_000, 10), (616_999, 3000))
    _, row = decide(quoter(), bids, ASKS, account(own=[(BUY, 617_000, 10)]))
    assert (row["net_bid_ticks"], row["fair"]) == (616_999, 61_700.0)


def test_a_level_that_is_partly_ours_keeps_the_others():
    bids = levels((617_000, 11), (616_999, 3000))
    _, row = decide(quoter(), bids, ASKS, account(own=[(BUY, 617_000, 10)]))
    assert row["net_bid_ticks"] == 617_000


def test_all_our_orders_at_one_price_count():
    bids = levels((617_000, 20), (616_999, 3000))
    _, row = decide(quoter(), bids, ASKS, account(own=[(BUY, 617_000, 10), (SELL, 617_050, 10), (BUY, 617_000, 10)]))
    assert row["net_bid_ticks"] == 616_999


def test_our_bids_are_not_taken_from_the_asks():
    asks = levels((617_001, 10), (617_002, 500))
    _, row = decide(quoter(), BIDS, asks, account(own=[(BUY, 617_001, 10)]))
    assert row["net_ask_ticks"] == 617_001


def test_only_as_many_own_orders_count_as_the_account_says():
    mine = account(own=[(BUY, 616_999, 3000)])
    mine["n_own"] = 0
    _, row = decide(quoter(), BIDS, ASKS, mine)
    assert row["net_bid_ticks"] == 616_999


def test_an_order_in_flight_hides_a_level_where_others_have_no_more():
    """Whether such a level is ours or theirs cannot be known; ours must not be taken for the market."""
    bids = levels((617_000, 10), (616_999, 3000))
    _, row = decide(quoter(), bids, ASKS, account(own=[(BUY, 617_000, 10)]))
    assert row["net_bid_ticks"] == 616_999


sides = st.dictionaries(st.integers(1, 40), st.integers(1, 30), min_size=1, max_size=12)
own_orders = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), max_size=8)


@given(sides, sides, own_orders, own_orders, st.integers(-100, 100))
def test_our_own_quotes_never_move_the_fair_price(bid_depths, ask_depths, own_bids, own_asks, position):
    """Whatever of ours rests anywhere in the book, the decision is the one on the book of the others alone.

    Depths are ticks below 617,000 for bids, above for asks; ours may be better than, at, or behind theirs.
    """
    theirs = {617_000 - d: n for d, n in bid_depths.items()}, {617_000 + d: n for d, n in ask_depths.items()}
    ours = [(BUY, 617_000 - d, n) for d, n in own_bids] + [(SELL, 617_000 + d, n) for d, n in own_asks]
    seen = dict(theirs[0]), dict(theirs[1])
    for side, ticks, lots in ours:
        half = seen[0] if side == BUY else seen[1]
        half[ticks] = half.get(ticks, 0) + lots
    without, with_ours = quoter(), quoter()
    decide(without, *book(*theirs), account(position))
    decide(with_ours, *book(*seen), account(position, ours))
    assert without.target.tobytes() == with_ours.target.tobytes()


@given(sides, sides, own_orders, own_orders)
def test_orders_in_flight_do_not_move_it_either_unless_they_cover_a_level(bids, asks, own_bids, own_asks):
    theirs = {617_000 - d: n for d, n in bids.items()}, {617_000 + d: n for d, n in asks.items()}
    ours = [(BUY, 617_000 - d, n) for d, n in own_bids] + [(SELL, 617_000 + d, n) for d, n in own_asks]
    for side, half in ((BUY, theirs[0]), (SELL, theirs[1])):
        for ticks, lots in half.items():
            assume(lots > sum(n for s, price, n in ours if (s, price) == (side, ticks)))
    without, with_ours = quoter(thin_lots=1), quoter(thin_lots=1)
    decide(without, *book(*theirs), account())
    decide(with_ours, *book(*theirs), account(0, ours))
    assert without.target.tobytes() == with_ours.target.tobytes()


@given(sides, own_orders, st.integers(1, 60))
def test_the_net_best_agrees_with_a_dictionary(depths, own, thin_lots):
    bids = {617_000 - d: n for d, n in depths.items()}
    mine = account(own=[(BUY, 617_000 - d, n) for d, n in own])[0]
    array, _ = book(bids, {})
    for _, ticks, lots in zip(mine["own_side"], mine["own_ticks"], mine["own_lots"], strict=True):
        if ticks in bids:
            bids[ticks] -= lots
    left = {ticks: lots for ticks, lots in bids.items() if lots > 0}
    expected = max(left) if sum(left.values()) >= thin_lots else 0
    own_arrays = mine["own_side"], mine["own_ticks"], mine["own_lots"], int(mine["n_own"])
    assert net_best(array, len(array), BUY, *own_arrays, thin_lots) == expected


@pytest.mark.parametrize(
    ("bids", "asks", "own"),
    [
        ((), ((617_001, 100),), ()),
        (((616_999, 100),), (), ()),
        ((), (), ()),
        (((616_999, 10),), ((617_001, 100),), ((BUY, 616_999, 10),)),
        (((616_999, 9),), ((617_001, 100),), ()),
        (((616_999, 100),), ((617_001, 15),), ((SELL, 617_001, 6),)),
        (((616_999, 100),), ((616_999, 100),), ()),
        (((617_001, 100),), ((616_999, 100),), ()),
        (((610_000, 100),), ((617_001, 100),), ()),
        (((0, 100),), ((1, 100),), ()),
        (((-5, 100),), ((1, 100),), ()),
        (((616_999, -100),), ((617_001, 100),), ()),
    ],
    ids=[
        "no bids", "no asks", "nothing", "only ours", "thin", "thin without ours", "locked", "crossed", "wide", "zero",
        "negative price", "negative size",
    ],
)  # fmt: skip
def test_without_two_sides_of_others_there_is_no_fair_price_and_no_quote(bids, asks, own):
    q = quoter()
    reasons, row = decide(q, levels(*bids), levels(*asks), account(own=own))
    assert reasons is Reason.NO_FAIR_PRICE
    assert no_quote(row)
    assert q.counts == {"decisions": 1, "NO_FAIR_PRICE": 1}


def test_several_small_levels_together_are_not_thin():
    bids = levels((616_999, 4), (616_998, 3), (616_997, 3))
    reasons, row = decide(quoter(), bids, ASKS, account())
    assert reasons is Reason.NONE
    assert row["net_bid_ticks"] == 616_999


def test_no_more_levels_are_read_than_there_are():
    q = quoter(thin_lots=10_000)
    assert q.decide(BIDS, ASKS, 1_000_000, 1_000_000, account()) == Reason.NO_FAIR_PRICE
    q = quoter()
    assert q.decide(BIDS, ASKS, 0, 2, account()) == Reason.NO_FAIR_PRICE
    mine = account()
    mine["n_own"] = 1_000_000
    assert q.decide(BIDS, ASKS, 2, 2, mine) == 0


def test_levels_behind_the_count_are_not_read():
    q = quoter()
    q.decide(levels((616_990, 100), (616_999, 100)), ASKS, 1, 2, account())
    assert q.target["net_bid_ticks"][0] == 616_990


# rounding, distance, post-only, crossing


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [(99.9, 100.1, (99, 101)), (99.0, 101.0, (99, 101)), (98.999, 101.001, (98, 102)), (99.5, 99.6, (99, 100))],
)
def test_the_bid_floors_and_the_ask_ceils(bid, ask, expected):
    assert quote_ticks(bid, ask, 100.0, 90, 110, -50) == expected


@pytest.mark.parametrize(("bid", "ask", "expected"), [(150, 160, (109, 160)), (40, 50, (40, 91)), (110, 90, (109, 91))])
def test_neither_side_reaches_the_others_even_when_no_distance_is_kept(bid, ask, expected):
    assert quote_ticks(float(bid), float(ask), 100.0, 90, 110, -1000) == expected


@given(st.floats(1, 1e6), st.floats(0.01, 1e4), st.integers(-(10**4), 10**6), st.integers(1, 100), st.integers(0, 50))
def test_neither_side_reaches_the_others_or_comes_too_near_the_fair_price(mid, half, net_bid, spread, distance):
    net_ask = net_bid + spread
    fair = 0.5 * (net_bid + net_ask)
    bid, ask = quote_ticks(mid - half, mid + half, fair, net_bid, net_ask, distance)
    assert bid < net_ask
    assert ask > net_bid
    assert bid <= fair - distance
    assert ask >= fair + distance
    assert bid <= mid - half
    assert ask >= mid + half


def test_a_strong_skew_is_clamped_behind_the_fair_price_and_the_net_opposite_best():
    strong = {"model.horizon": 3600.0}
    _, row = decide(quoter(strong), BIDS, ASKS, account(-90))
    assert row["bid_unrounded"] > 61_700.1
    assert row["bid_ticks"][0] == 617_000
    _, row = decide(quoter({**strong, "quoting.min_distance_ticks": 7}), BIDS, ASKS, account(-90))
    assert row["bid_ticks"][0] == 616_993


def test_the_clamp_looks_at_the_others_and_not_at_our_own_opposite_order():
    asks = levels((616_999, 10), (617_001, 2000))
    bids = levels(
        (616_990, 2000),
    )
    _, row = decide(quoter({"model.horizon": 3600.0}), bids, asks, account(-90, own=[(SELL, 616_999, 10)]))
    assert row["bid_ticks"][0] == 616_995  # fair is 616,995.5
    assert row["net_ask_ticks"] == 617_001


def test_when_both_meet_after_all_clamps_there_is_no_quote():
    q = quoter({"fees.maker_bps": -100.0})  # a rebate larger than the model's spread
    reasons, row = decide(q, levels((616_999, 3000)), levels((617_001, 3000)), account())
    assert row["bid_unrounded"] > row["ask_unrounded"]
    assert reasons is Reason.CROSSED_AFTER_CLAMP
    assert no_prices(row)
    assert row["fair"] == 61_700.0  # the terms stay, to explain it
    assert q.counts == {"decisions": 1, "CROSSED_AFTER_CLAMP": 1}


def test_a_crossed_pair_is_no_quote_even_at_a_limit():
    reasons, row = decide(quoter({"fees.maker_bps": -100.0}), BIDS, ASKS, account(100))
    assert reasons is Reason.CROSSED_AFTER_CLAMP | Reason.AT_LONG_LIMIT
    assert no_prices(row)


def test_a_bid_below_the_first_tick_is_no_quote():
    q = quoter(thin_spread=0.1)
    reasons, row = decide(q, levels((30, 1000)), levels((31, 1000)), account())
    assert reasons is Reason.MODEL_REFUSED
    assert q.counts["MODEL_REFUSED_RESULT"] == 1
    assert no_quote(row)


@given(
    st.integers(100_000, 2_000_000),
    st.integers(1, 200),
    st.integers(-200, 200),
    st.floats(1e-3, 10),
    st.floats(0.1, 100),
    st.floats(0.01, 10),
    st.floats(-20, 20),
    st.integers(0, 100),
)
def test_whatever_is_quoted_can_rest(net_bid, spread, position, gamma, sigma, k, bps, distance):
    q = quoter(gamma=gamma, sigma=sigma, k=k, maker_fee_rate=bps * 1e-4, min_distance_ticks=distance)
    reasons, row = decide(q, levels((net_bid, 100)), levels((net_bid + spread, 100)), account(position))
    bid, ask = int(row["bid_ticks"][0]), int(row["ask_ticks"][0])
    assert row["n_bids"] in (0, 1)
    assert (row["n_bids"] and row["n_asks"]) or reasons
    if row["n_bids"]:
        assert 1 <= bid < net_bid + spread
        assert bid * TICK <= row["bid_unrounded"] + 1e-6
        assert row["bid_lots"][0] == 10
        assert position + 10 <= 100
    if row["n_asks"]:
        assert ask > net_bid
        assert ask * TICK >= row["ask_unrounded"] - 1e-6
        assert position - 10 >= -100
    if row["n_bids"] and row["n_asks"]:
        assert bid < ask


# limits


@pytest.mark.parametrize(
    ("position", "reasons", "n_bids", "n_asks"),
    [
        (0, Reason.NONE, 1, 1),
        (90, Reason.NONE, 1, 1),
        (91, Reason.AT_LONG_LIMIT, 0, 1),
        (100, Reason.AT_LONG_LIMIT, 0, 1),
        (150, Reason.AT_LONG_LIMIT, 0, 1),
        (-90, Reason.NONE, 1, 1),
        (-91, Reason.AT_SHORT_LIMIT, 1, 0),
        (-100, Reason.AT_SHORT_LIMIT, 1, 0),
    ],
)
def test_at_a_limit_only_the_growing_side_stops(position, reasons, n_bids, n_asks):
    said, row = decide(quoter(), BIDS, ASKS, account(position))
    assert said is reasons
    assert (row["n_bids"], row["n_asks"]) == (n_bids, n_asks)
    assert bool(row["bid_ticks"][0]) == bool(n_bids)
    assert bool(row["ask_ticks"][0]) == bool(n_asks)


def test_a_limit_below_one_clip_quotes_nothing_when_flat():
    reasons, row = decide(quoter(max_position_lots=9), BIDS, ASKS, account())
    assert reasons is Reason.AT_LONG_LIMIT | Reason.AT_SHORT_LIMIT
    assert no_prices(row)


# refusals and counts


def test_an_account_that_is_not_ready_is_not_quoted_on():
    mine = account()
    mine["ready"] = 0
    q = quoter()
    reasons, row = decide(q, BIDS, ASKS, mine)
    assert reasons is Reason.ACCOUNT_NOT_READY
    assert no_quote(row)
    reasons, _ = decide(q, BIDS, levels(), mine)
    assert reasons is Reason.ACCOUNT_NOT_READY | Reason.NO_FAIR_PRICE
    assert q.counts == {"decisions": 2, "ACCOUNT_NOT_READY": 2, "NO_FAIR_PRICE": 1}


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("gamma", math.nan, Refusal.HORIZON),
        ("sigma", 0.0, Refusal.HORIZON),
        ("sigma", math.inf, Refusal.HORIZON),
        ("k", -1.0, Refusal.HORIZON),
        ("A", 0.0, Refusal.A),
        ("A", math.nan, Refusal.A),
        ("A", math.inf, Refusal.A),
        ("horizon_s", math.nan, Refusal.HORIZON),
        ("horizon_s", -2.0, Refusal.HORIZON),
        ("maker_fee_rate", math.nan, Refusal.FEE),
        ("tick_size", math.nan, Refusal.FAIR),
        ("tick_size", 0.0, Refusal.FAIR),
        ("lot_size", math.nan, Refusal.POSITION),
        ("clip_lots", 0, Refusal.CLIP),
        ("clip_lots", -10, Refusal.CLIP),
    ],
)
def test_a_number_that_is_none_is_no_quote_and_counted(name, value, refusal):
    q = quoter(**{name: value})
    reasons, row = decide(q, BIDS, ASKS, account())
    assert reasons is Reason.MODEL_REFUSED
    assert no_quote(row)
    named = [name for name in q.counts if name.startswith("MODEL_REFUSED_")]
    assert q.counts["MODEL_REFUSED"] == 1
    assert len(named) == 1
    assert named[0] in (f"MODEL_REFUSED_{refusal.name}", f"MODEL_REFUSED_{name.upper()}")


anything = st.floats(width=64)
any_integer = st.integers(-(2**63), 2**63 - 1)


@given(
    st.fixed_dictionaries(
        {name: anything if PARAMETERS[name].kind == "f" else st.integers(-(2**31), 2**31) for name in PARAMETERS.names}
    ),
    st.lists(st.tuples(any_integer, any_integer), max_size=3),
    st.lists(st.tuples(any_integer, any_integer), max_size=3),
    any_integer,
)
def test_whatever_comes_in_every_number_that_goes_out_is_finite(changes, bids, asks, position):
    q = quoter(**changes)
    reasons, row = decide(q, levels(*bids), levels(*asks), account(position))
    assert all(math.isfinite(row[name]) for name in TERMS)
    assert Reason.NONE <= int(reasons) < 512
    if row["n_bids"] or row["n_asks"]:
        assert row["fair"] > 0
    else:
        assert no_prices(row)


def test_nothing_of_an_earlier_quote_is_left_when_there_is_none():
    q = quoter()
    decide(q, BIDS, ASKS, account())
    _, row = decide(q, BIDS, levels(), account(5))
    assert no_quote(row)
    assert row["position_lots"] == 5


def test_a_reason_of_the_caller_s_is_counted_like_the_others():
    q = quoter()
    decide(q, BIDS, ASKS, account())
    q.refuse(Reason.BOOK_STALE, 7)
    assert no_quote(q.target[0])
    assert (q.target["reasons"][0], q.target["position_lots"][0]) == (Reason.BOOK_STALE, 7)
    assert q.counts == {"decisions": 2, "BOOK_STALE": 1}


def test_stamps_and_versions_are_left_to_the_caller():
    q = quoter()
    q.target["decision_id"], q.target["book_version"], q.target["receive_ns"] = 3, 4, 5
    decide(q, BIDS, ASKS, account())
    assert [int(q.target[name][0]) for name in ("decision_id", "book_version", "receive_ns")] == [3, 4, 5]


# does it differ enough


def test_a_quote_is_passed_on_when_a_price_has_moved_by_the_threshold():
    q = quoter()
    decide(q, BIDS, ASKS, account())
    assert q.changed
    q.passed_on()
    assert not q.changed
    for moved, expected in ((4, False), (9, False), (10, True), (11, True)):
        up = [levels((side["price_ticks"][0] + moved, 1000)) for side in (BIDS, ASKS)]
        decide(q, *up, account())
        assert q.changed == expected


def test_slow_drift_is_not_lost_between_comparisons():
    q = quoter()
    decide(q, BIDS, ASKS, account())
    q.passed_on()
    changes = 0
    for moved in range(1, 101):
        decide(q, levels((616_999 + moved, 1000)), levels((617_001 + moved, 1000)), account())
        if q.changed:
            changes += 1
            q.passed_on()
    assert changes == 10


@pytest.mark.parametrize(
    ("field", "value"), [("n_bids", 0), ("n_asks", 0), ("n_bids", 2), ("bid_lots", 9), ("ask_lots", 11)]
)
def test_a_side_or_a_size_that_changes_is_passed_on_at_once(field, value):
    before, now = records.blank(TARGET), records.blank(TARGET)
    for row in (before, now):
        row["n_bids"] = row["n_asks"] = 1
        row["bid_ticks"][0, 0], row["ask_ticks"][0, 0] = 616_900, 617_100
        row["bid_lots"][0, 0] = row["ask_lots"][0, 0] = 10
    assert not differs(before, now, 10)
    if now[field].ndim == 1:
        now[field] = value
    else:
        now[field][0, 0] = value
    assert differs(before, now, 10)
    assert differs(now, before, 10)


def test_a_number_of_levels_beyond_the_record_is_not_followed():
    before, now = records.blank(TARGET), records.blank(TARGET)
    before["n_bids"] = now["n_bids"] = 10**9
    assert not differs(before, now, 10)
    assert len(before["bid_ticks"][0]) == SLOTS_PER_SIDE


# parameters


def test_coins_become_whole_lots():
    row = parameters(load(None, {"quoting.thin_side_coins": 0.0121}), TICK, LOT)[0]
    assert (row["clip_lots"], row["max_position_lots"], row["thin_lots"]) == (10, 100, 13)
    assert parameters(load(), 0.5, 0.01)[0]["clip_lots"] == 1


@pytest.mark.parametrize(("clip", "lot"), [(0.0105, 0.001), (0.01, 0.1), (0.01, 0.003)])
def test_a_clip_that_is_no_whole_number_of_lots_is_refused(clip, lot):
    with pytest.raises(ConfigError, match=r"quoting\.clip_coins .* whole number .* lots of"):
        parameters(load(None, {"quoting.clip_coins": clip}), TICK, lot)


def test_the_record_of_a_level_is_that_of_the_shared_book():
    if not hasattr(mftcore, "LEVEL"):
        pytest.skip("this build of mftcore has no book yet")
    assert mftcore.LEVEL == LEVEL
    assert mftcore.LEVEL.isalignedstruct == LEVEL.isalignedstruct  # part of the type that Numba compiles for


# compilation


def test_after_the_warm_up_nothing_compiles_whatever_the_loop_does():
    warm_up()
    before = compilations()
    with numba.core.event.install_recorder("numba:compile") as recorder:
        q = quoter()
        for n_levels in (1, 10, 50):
            bids = np.zeros(50, LEVEL)
            asks = np.zeros(50, LEVEL)
            bids["price_ticks"], asks["price_ticks"] = 616_999 - np.arange(50), 617_001 + np.arange(50)
            bids["size_lots"] = asks["size_lots"] = 100
            for mine in (account(), account(100), account(-5, own=[(BUY, 616_999, 10)])):
                q.decide(bids, asks, n_levels, n_levels, mine)
                if q.changed:
                    q.passed_on()
                q.refuse(Reason.BOOK_NOT_READY, int(mine["position_lots"][0]))
    assert not recorder.buffer
    assert compilations() == before


def test_the_count_rises_when_something_compiles_after_all():
    warm_up()
    before = compilations()
    quote_ticks(np.float32(1.0), 2.0, 1.5, 1, 2, 0)
    assert compilations() > before


def test_every_compiled_function_of_the_package_is_counted_and_warmed_up():
    found = set()
    for module in [module for name, module in sys.modules.items() if name.startswith("mftpy.")]:
        found |= {id(value) for value in vars(module).values() if isinstance(value, type(quoting.decide))}
    assert found == {id(dispatcher) for dispatcher in DISPATCHERS}
    warm_up()
    used = {module.__name__ for module in vars(quoting).values() if isinstance(module, ModuleType)} | {quoting.__name__}
    in_the_loop = [dispatcher for dispatcher in DISPATCHERS if dispatcher.py_func.__module__ in used]
    assert len(in_the_loop) >= 15
    assert all(dispatcher.signatures for dispatcher in in_the_loop)


def test_no_function_is_compiled_with_fastmath():
    assert not any(dispatcher.targetoptions.get("fastmath") for dispatcher in DISPATCHERS)


WARM_UP = """
import json, resource, sys
limit = {limit}
if limit is not None:
    import mftpy.model.quoting
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from mftpy.model.quoting import compilations, warm_up, Quoter, parameters, LEVEL
from mftpy.config import load
from mftpy.errors import ResourceError
from mftpy import records
import numpy as np
try:
    first = warm_up()
except ResourceError as error:
    print(json.dumps(str(error)))
    sys.exit()
before = compilations()
q = Quoter(parameters(load(), 0.1, 0.001), 10)
account = records.blank(records.ACCOUNT)
account["ready"] = 1
bids, asks = np.zeros(1, LEVEL), np.zeros(1, LEVEL)
bids["price_ticks"], asks["price_ticks"], bids["size_lots"], asks["size_lots"] = 616_999, 617_001, 100, 100
reasons = q.decide(bids, asks, 1, 1, account)
print(json.dumps([first.from_cache, first.note, reasons, float(q.target["model_half"][0]), compilations() - before]))
"""


@pytest.fixture
def copy(tmp_path):
    """Return the root of a copy of the package, with nothing compiled."""
    shutil.copytree(ROOT / "mftpy", tmp_path / "copy" / "mftpy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def start(root, limit=None, **environment):
    """Warm up in a process of its own; return [from cache, note, reasons, model half, compilations afterwards].

    Or the sentence with which it is refused.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "PYTHON"))}
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    result = subprocess.run(
        [sys.executable, "-c", WARM_UP.format(limit=limit)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return json.loads(result.stdout)


def test_a_second_start_compiles_nothing_and_an_edited_formula_is_compiled_anew(copy, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    from_cache, note, reasons, half, rise = start(copy, **cache)
    assert (from_cache, note, reasons, rise) == (False, "", 0, 0)
    assert start(copy, **cache) == [True, "", 0, half, 0]
    path = copy / "mftpy" / "model" / "avellaneda_stoikov.py"
    text = path.read_text()
    assert text.count("model_half = 0.5 *") == 1
    path.write_text(text.replace("model_half = 0.5 *", "model_half = 1.0 *"))
    # the compiled decision is in another file, and its own text is as it was
    assert start(copy, **cache)[3] == pytest.approx(2 * half)


def test_without_a_directory_to_write_to_it_runs_and_says_so(copy, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    (copy / "mftpy" / "model" / "__pycache__").touch()  # a file where the directory would be
    unusable = {"NUMBA_CACHE_DIR": str(blocked / "a"), "XDG_CACHE_HOME": str(blocked / "b"), "HOME": str(blocked / "c")}
    from_cache, note, reasons, _, rise = start(copy, **unusable)
    assert (from_cache, reasons, rise) == (False, 0, 0)
    assert note.startswith("the compiled model cannot be kept on disk (")
    assert note.endswith("set NUMBA_CACHE_DIR to a directory that you can write")
    assert len(note.splitlines()) == 1


def test_when_the_package_cannot_be_written_the_user_s_cache_is_used_and_named_when_it_is_damaged(copy, tmp_path):
    (copy / "mftpy" / "model" / "__pycache__").touch()
    home = tmp_path / "home"
    assert start(copy, XDG_CACHE_HOME=str(home))[1] == ""
    written = list(home.rglob("*.nbi"))
    assert written
    for content in (b"", b"no index"):
        for path in written:
            path.write_bytes(content)
        sentence = start(copy, XDG_CACHE_HOME=str(home))
        assert sentence == f"the cache of compiled code in {written[0].parent} is damaged; delete that directory"


def test_a_full_disk_is_said_and_does_no_harm(copy, tmp_path):
    from_cache, note, reasons, _, rise = start(copy, limit=0, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert (from_cache, reasons, rise) == (False, 0, 0)
    assert "cannot be kept on disk" in note
