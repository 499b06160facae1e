"""From book, own orders and model to integers: the net book, rounding, clamps, limits, reasons."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mftcore import LEVEL, RecordError
from mftpy.config import load
from mftpy.errors import ConfigError
from mftpy.model.avellaneda_stoikov import Refusal, quote, stationary_horizon_s
from mftpy.records import Command, Reason
from mftpy.strategy.decide import Quoter
from mftpy.strategy.parameters import PARAMETERS, parameters
from tests.py.quoting_rig import (
    BUY,
    LOT,
    SELL,
    START_NS,
    TICK,
    Scripted,
    book,
    decide,
    levels,
    quoter,
    set_account,
    shipped_model,
)

TERMS = ("fair", "skew", "model_half", "fee", "bid_unrounded", "ask_unrounded", "horizon_s")
PRICES = ("n_bids", "n_asks", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")

BIDS, ASKS = levels((616_999, 3000), (616_998, 500)), levels((617_001, 2000), (617_002, 500))


def look(q, bids, asks, position_lots=0, own=()):
    """Decide with this account; return (reasons, the target's row)."""
    set_account(q, position_lots, own)
    return decide(q, bids, asks)


def no_quote(row):
    return all(not np.any(row[name]) for name in (*TERMS, *PRICES, "net_bid_ticks", "net_ask_ticks"))


def no_prices(row):
    return all(not np.any(row[name]) for name in PRICES)


# both sides, and what explains them


def test_a_quote_is_the_model_s_rounded_outwards():
    q = quoter()
    reasons, row = look(q, BIDS, ASKS, 30)
    p = q.parameters[0]
    fair, fee = 61_700.0, 6.17
    horizon_s = stationary_horizon_s(p["gamma"], 0.01, p["sigma"], p["A_bid"], p["k_bid"], fee)
    terms = quote(fair, 0.03, p["gamma"], 0.01, p["sigma"], p["k_bid"], fee, horizon_s)
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
        _, row = look(quoter(), BIDS, ASKS, position)
        assert row["fair"] - row["skew"] - (row["model_half"] + row["fee"]) == row["bid_unrounded"]
        assert row["fair"] - row["skew"] + (row["model_half"] + row["fee"]) == row["ask_unrounded"]


def test_inventory_shifts_both_quotes_the_same_way_in_ticks():
    flat, long, short = (look(quoter(), BIDS, ASKS, lots)[1].copy() for lots in (0, 50, -50))
    for name in ("bid_ticks", "ask_ticks"):
        assert long[name][0] < flat[name][0] < short[name][0]
    width = flat["ask_ticks"][0] - flat["bid_ticks"][0]
    for row in (long, short):
        assert abs((row["ask_ticks"][0] - row["bid_ticks"][0]) - width) <= 2  # rounding outwards


def test_a_horizon_of_the_user_s_is_used_as_it_stands():
    _, row = look(quoter({"model.horizon": 20.0}), BIDS, ASKS, 10)
    assert row["horizon_s"] == 20.0
    assert row["skew"] == pytest.approx(0.01 * 0.04 * 64 * 20)


def test_the_fee_in_force_enters_the_horizon():
    free, dear = (look(quoter({"fees.maker_bps": bps}), BIDS, ASKS, 10)[1].copy() for bps in (0, 2))
    assert dear["horizon_s"] > free["horizon_s"]
    assert dear["skew"] > free["skew"]


# the book without our own orders


def test_the_fair_price_is_the_mid_of_the_others():
    _, row = look(quoter(), levels((616_990, 3000)), levels((617_001, 2000)))
    assert row["fair"] == pytest.approx(61_699.55, rel=1e-15)


def test_a_level_that_is_only_ours_is_not_there():
    bids = levels((617_000, 10), (616_999, 3000))
    _, row = look(quoter(), bids, ASKS, own=[(BUY, 617_000, 10)])
    assert (row["net_bid_ticks"], row["fair"]) == (616_999, 61_700.0)


def test_a_level_that_is_partly_ours_keeps_the_others():
    bids = levels((617_000, 11), (616_999, 3000))
    _, row = look(quoter(), bids, ASKS, own=[(BUY, 617_000, 10)])
    assert row["net_bid_ticks"] == 617_000


def test_all_our_orders_at_one_price_count():
    bids = levels((617_000, 20), (616_999, 3000))
    _, row = look(quoter(), bids, ASKS, own=[(BUY, 617_000, 10), (SELL, 617_050, 10), (BUY, 617_000, 10)])
    assert row["net_bid_ticks"] == 616_999


def test_our_bids_are_not_taken_from_the_asks():
    asks = levels((617_001, 10), (617_002, 500))
    _, row = look(quoter(), BIDS, asks, own=[(BUY, 617_001, 10)])
    assert row["net_ask_ticks"] == 617_001


def test_only_as_many_own_orders_count_as_the_account_says():
    q = quoter()
    set_account(q, own=[(BUY, 616_999, 3000)], n_own=0)
    _, row = decide(q, BIDS, ASKS)
    assert row["net_bid_ticks"] == 616_999


def test_an_order_in_flight_hides_a_level_where_others_have_no_more():
    """Whether such a level is ours or theirs cannot be known; ours must not be taken for the market."""
    bids = levels((617_000, 10), (616_999, 3000))
    _, row = look(quoter(), bids, ASKS, own=[(BUY, 617_000, 10)])
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
    look(without, *book(*theirs), position)
    look(with_ours, *book(*seen), position, ours)
    assert without.target.tobytes() == with_ours.target.tobytes()


@given(sides, sides, own_orders, own_orders)
def test_orders_in_flight_do_not_move_it_either_unless_they_cover_a_level(bids, asks, own_bids, own_asks):
    theirs = {617_000 - d: n for d, n in bids.items()}, {617_000 + d: n for d, n in asks.items()}
    ours = [(BUY, 617_000 - d, n) for d, n in own_bids] + [(SELL, 617_000 + d, n) for d, n in own_asks]
    for side, half in ((BUY, theirs[0]), (SELL, theirs[1])):
        for ticks, lots in half.items():
            assume(lots > sum(n for s, price, n in ours if (s, price) == (side, ticks)))
    without, with_ours = quoter(thin_lots=1), quoter(thin_lots=1)
    look(without, *book(*theirs))
    look(with_ours, *book(*theirs), 0, ours)
    assert without.target.tobytes() == with_ours.target.tobytes()


@given(sides, own_orders, st.integers(1, 60))
def test_the_net_best_agrees_with_a_dictionary(depths, own, thin_lots):
    bids = {617_000 - d: n for d, n in depths.items()}
    array, asks = book(bids, {617_001: 10**6})
    orders = [(BUY, 617_000 - d, n) for d, n in own]
    for _, ticks, lots in orders:
        if ticks in bids:
            bids[ticks] -= lots
    left = {ticks: lots for ticks, lots in bids.items() if lots > 0}
    expected = (max(left), left[max(left)]) if left else (0, 0)
    q = quoter(thin_lots=thin_lots)
    reasons, _ = look(q, array, asks, 0, orders)
    assert (q.decision["net_bid_ticks"][0], q.decision["net_bid_lots"][0]) == expected
    assert (reasons is Reason.NO_FAIR_PRICE) == (sum(left.values()) < thin_lots)


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
    reasons, row = look(q, levels(*bids), levels(*asks), own=own)
    assert reasons is Reason.NO_FAIR_PRICE
    assert no_quote(row)
    assert q.counts == {"decisions": 1, "NO_FAIR_PRICE": 1}


@pytest.mark.parametrize(
    "own", [[(BUY, 617_000, 10)], [(BUY, 617_000, -(2**63))] * 32, [(BUY, 617_000, 2**63 - 1)] * 32]
)
def test_sizes_at_the_ends_of_the_integers_do_not_come_out_at_the_other_end(own):
    bids = levels((617_000, -(2**63)), (616_999, 3000))
    _, row = look(quoter(), bids, ASKS, 0, own)
    assert row["net_bid_ticks"] == 616_999
    q = quoter()
    look(q, levels((617_000, 2**63 - 1), (616_999, 3000)), ASKS, 0, own[:1])
    assert q.decision["net_bid_lots"][0] == (2**53 - max(own[0][2], 0) if own[0][2] < 2**53 else 3000)


def test_several_small_levels_together_are_not_thin():
    bids = levels((616_999, 4), (616_998, 3), (616_997, 3))
    reasons, row = look(quoter(), bids, ASKS)
    assert reasons is Reason.NONE
    assert row["net_bid_ticks"] == 616_999


def test_no_more_levels_are_read_than_there_are():
    for thin_lots, claimed, expected in (
        (10_000, 10**6, Reason.NO_FAIR_PRICE),
        (10, -1, Reason.NO_FAIR_PRICE),
        (10, 2, 0),
    ):
        q = quoter(thin_lots=thin_lots)
        q.account["n_own"] = 10**6
        q.transport_ns = START_NS
        q.observe_book(BIDS, ASKS, claimed, 10**6, START_NS)
        q.decide(START_NS)
        assert q.target["reasons"][0] == expected


def test_levels_behind_the_count_are_not_read():
    q = quoter()
    q.transport_ns = START_NS
    q.observe_book(levels((616_990, 100), (616_999, 100)), ASKS, 1, 2, START_NS)
    q.decide(START_NS)
    assert q.target["net_bid_ticks"][0] == 616_990
    assert q.decision["x"]["n_bids"][0] == 1


# rounding, distance, post-only, crossing

MODEL = Scripted()


def quote_ticks(bid, ask, net_bid, net_ask, min_distance_ticks):
    """Return what becomes of a pair of prices, all in ticks, in a book with these best prices."""
    MODEL.answer([bid], [ask], tick=1.0)
    q = quoter(model=MODEL, tick_size=1.0, thin_spread=10.0, min_distance_ticks=min_distance_ticks)
    reasons, row = look(q, levels((net_bid, 100)), levels((net_ask, 100)))
    assert reasons is Reason.NONE
    return int(row["bid_ticks"][0]), int(row["ask_ticks"][0])


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [(99.9, 100.1, (99, 101)), (99.0, 101.0, (99, 101)), (98.999, 101.001, (98, 102)), (99.5, 99.6, (99, 100))],
)
def test_the_bid_floors_and_the_ask_ceils(bid, ask, expected):
    assert quote_ticks(bid, ask, 90, 110, -50) == expected


@pytest.mark.parametrize(
    ("bid", "ask", "expected"), [(150, 160, (109, 160)), (40, 50, (40, 91)), (110, 112, (109, 112))]
)
def test_neither_side_reaches_the_others_even_when_no_distance_is_kept(bid, ask, expected):
    assert quote_ticks(float(bid), float(ask), 90, 110, -1000) == expected


@given(st.floats(-1e4, 1e4), st.floats(0.01, 9e3), st.integers(50_000, 10**6), st.integers(1, 100), st.integers(0, 50))
def test_neither_side_reaches_the_others_or_comes_too_near_the_fair_price(mid, half, net_bid, spread, distance):
    net_ask = net_bid + spread
    fair = 0.5 * (net_bid + net_ask)
    mid += fair
    bid, ask = quote_ticks(mid - half, mid + half, net_bid, net_ask, distance)
    assert bid < net_ask
    assert ask > net_bid
    assert bid <= fair - distance
    assert ask >= fair + distance
    assert bid <= mid - half
    assert ask >= mid + half


def test_a_strong_skew_is_clamped_behind_the_fair_price_and_the_net_opposite_best():
    strong = {"model.horizon": 3600.0}
    _, row = look(quoter(strong), BIDS, ASKS, -90)
    assert row["bid_unrounded"] > 61_700.1
    assert row["bid_ticks"][0] == 617_000
    _, row = look(quoter({**strong, "quoting.min_distance_ticks": 7}), BIDS, ASKS, -90)
    assert row["bid_ticks"][0] == 616_993


def test_the_clamp_looks_at_the_others_and_not_at_our_own_opposite_order():
    asks = levels((616_999, 10), (617_001, 2000))
    bids = levels(
        (616_990, 2000),
    )
    _, row = look(quoter({"model.horizon": 3600.0}), bids, asks, -90, own=[(SELL, 616_999, 10)])
    assert row["bid_ticks"][0] == 616_995  # fair is 616,995.5
    assert row["net_ask_ticks"] == 617_001


def test_when_both_meet_after_all_clamps_there_is_no_quote():
    """With no setting that is allowed do they; it is the last look all the same."""
    MODEL.answer([70.5], [80.5], tick=1.0, skew=2.0)
    q = quoter(model=MODEL, tick_size=1.0, thin_spread=10.0, max_distance_ticks=5, min_distance_ticks=-1000)
    for position, reasons in ((0, Reason.NONE), (100, Reason.AT_LONG_LIMIT)):
        said, row = look(q, levels((50, 100)), levels((150, 100)), position)
        assert said is Reason.CROSSED_AFTER_CLAMP | reasons
        assert no_prices(row)
        assert row["skew"] == 2.0  # the terms stay, to explain it
    assert q.counts == {"decisions": 2, "CROSSED_AFTER_CLAMP": 2, "AT_LONG_LIMIT": 1}


def test_a_model_whose_prices_cross_has_failed():
    MODEL.answer([617_001], [617_000])
    q = quoter(model=MODEL)
    reasons, row = look(q, levels((616_999, 3000)), levels((617_001, 3000)), 100)
    assert reasons is Reason.MODEL_FAILED
    assert no_quote(row)
    assert q.counts == {"decisions": 1, "MODEL_FAILED": 1}


def test_at_a_price_of_no_whole_tick_there_is_no_bid_and_the_way_out_stays():
    MODEL.answer([0.9], [2.5], tick=1.0)
    q = quoter(model=MODEL, tick_size=1.0, thin_spread=10.0)
    reasons, row = look(q, levels((1, 100)), levels((3, 100)), 50)
    assert reasons is Reason.NONE
    assert (row["n_bids"], row["n_asks"], row["ask_ticks"][0]) == (0, 1, 3)


def test_a_price_below_zero_is_no_quote():
    q = quoter(thin_spread=0.1)
    reasons, row = look(q, levels((30, 1000)), levels((31, 1000)))
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
    reasons, row = look(q, levels((net_bid, 100)), levels((net_bid + spread, 100)), position)
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
    said, row = look(quoter(), BIDS, ASKS, position)
    assert said is reasons
    assert (row["n_bids"], row["n_asks"]) == (n_bids, n_asks)
    assert bool(row["bid_ticks"][0]) == bool(n_bids)
    assert bool(row["ask_ticks"][0]) == bool(n_asks)


def test_a_limit_below_one_clip_quotes_nothing_when_flat():
    reasons, row = look(quoter(max_position_lots=9), BIDS, ASKS)
    assert reasons is Reason.AT_LONG_LIMIT | Reason.AT_SHORT_LIMIT
    assert no_prices(row)


# refusals and counts


def test_an_account_that_is_not_ready_is_not_quoted_on():
    q = quoter()
    set_account(q, ready=0)
    reasons, row = decide(q, BIDS, ASKS)
    assert reasons is Reason.ACCOUNT_NOT_READY
    assert no_quote(row)
    assert q.counts == {"decisions": 1, "ACCOUNT_NOT_READY": 1}


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
    reasons, row = look(q, BIDS, ASKS)
    assert reasons is Reason.MODEL_REFUSED
    assert no_quote(row)
    named = [name for name in q.counts if name.startswith("MODEL_REFUSED_")]
    assert q.counts["MODEL_REFUSED"] == 1
    assert len(named) == 1
    assert named[0] in (f"MODEL_REFUSED_{refusal.name}", f"MODEL_REFUSED_{name.upper()}")


anything = st.floats(width=64)
REAL = [name for name in PARAMETERS.names if PARAMETERS[name].base.kind == "f" and name != "parameter"]
WHOLE = [name for name in PARAMETERS.names if PARAMETERS[name].base.kind == "i"]


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(REAL, anything)),
    st.fixed_dictionaries({}, optional={name: st.integers(-(2**31), 2**31) for name in WHOLE}),
)
def test_whatever_the_parameters_every_number_that_goes_out_is_finite(real, whole):
    q = quoter(**real, **whole)
    _, row = look(q, BIDS, ASKS, 30)
    assert all(math.isfinite(row[name]) for name in TERMS)
    if not (row["n_bids"] or row["n_asks"]):
        assert no_prices(row)


def test_nothing_of_an_earlier_quote_is_left_when_there_is_none():
    q = quoter()
    look(q, BIDS, ASKS)
    _, row = look(q, BIDS, levels(), 5)
    assert no_quote(row)
    assert row["position_lots"] == 5


# does it differ enough


def test_a_quote_is_passed_on_when_a_price_has_moved_by_the_threshold():
    q = quoter(threshold_ticks=10)
    look(q, BIDS, ASKS)
    assert q.decision["passed_on"][0] == 1
    look(q, BIDS, ASKS)
    assert q.decision["passed_on"][0] == 0
    for moved, expected in ((4, 0), (9, 0), (10, 1), (19, 0), (9, 0), (0, 1)):
        up = [levels((side["price_ticks"][0] + moved, 1000)) for side in (BIDS, ASKS)]
        look(q, *up)
        assert q.decision["passed_on"][0] == expected


def test_slow_drift_is_not_lost_between_comparisons():
    q = quoter(threshold_ticks=10)
    look(q, BIDS, ASKS)
    changes = 0
    for moved in range(1, 101):
        look(q, levels((616_999 + moved, 1000)), levels((617_001 + moved, 1000)))
        changes += int(q.decision["passed_on"][0])
    assert changes == 10


@pytest.mark.parametrize(
    "answer", [([], [130]), ([100], []), ([100, 90], [130]), ([(100, 9)], [130]), ([100], [(130, 11)])]
)
def test_a_side_or_a_size_that_changes_is_passed_on_at_once(answer):
    model = Scripted()
    q = quoter(model=model, threshold_ticks=1000, levels=2, thin_spread=1.0, tick_size=1.0)
    bids, asks = levels((110, 1000)), levels((120, 1000))
    for bid_side, ask_side in (([100], [130]), answer, ([100], [130])):
        model.answer(bid_side, ask_side, tick=1.0)
        look(q, bids, asks)
        assert q.decision["passed_on"][0] == 1
        look(q, bids, asks)
        assert q.decision["passed_on"][0] == 0


# parameters


def test_coins_become_whole_lots():
    row = parameters(load(None, {"quoting.thin_side_coins": 0.0121}), TICK, LOT)[0]
    assert (row["clip_lots"], row["max_position_lots"], row["thin_lots"]) == (10, 100, 13)
    assert parameters(load(), 0.5, 0.01)[0]["clip_lots"] == 1


@pytest.mark.parametrize(("clip", "lot"), [(0.0105, 0.001), (0.01, 0.1), (0.01, 0.003)])
def test_a_clip_that_is_no_whole_number_of_lots_is_refused(clip, lot):
    with pytest.raises(ConfigError, match=r"quoting\.clip_coins .* whole number .* lots of"):
        parameters(load(None, {"quoting.clip_coins": clip}), TICK, lot)


def test_a_clip_below_the_smallest_order_is_refused():
    with pytest.raises(ConfigError, match=r"quoting\.clip_coins \(0\.01\) is less than the smallest order .* 0\.02"):
        parameters(load(), TICK, LOT, 20)


def test_what_is_to_be_estimated_is_no_number_until_it_is():
    config = {"model.sigma_usd_sqrt_s": "estimated", "model.A_per_s": "estimated", "model.k_per_usd": "estimated"}
    q = quoter(config)
    assert look(q, BIDS, ASKS)[0] is Reason.MODEL_REFUSED
    q.parameters["sigma"], q.parameters["sigma_standing"] = 8.0, 2
    for name, value in (("A_bid", 0.55), ("A_ask", 0.55), ("k_bid", 0.25), ("k_ask", 0.25)):
        q.parameters[name] = value
    assert look(q, BIDS, ASKS)[0] is Reason.NONE
    assert (q.decision["sigma_standing"][0], q.decision["bid_standing"][0]) == (2, -1)


def test_a_record_of_another_kind_and_a_model_at_no_address_are_refused():
    row = parameters(load(), TICK, LOT)
    with pytest.raises(ValueError, match="address"):
        Quoter(row, 0)
    for wrong in (np.zeros(2, PARAMETERS), np.zeros(1), b"", np.frombuffer(row.tobytes(), PARAMETERS)):
        with pytest.raises(RecordError):
            Quoter(wrong, shipped_model().address)
    q = quoter()
    with pytest.raises(RecordError, match=r"mftcore\.LEVEL"):
        q.observe_book(np.zeros(4), BIDS, 1, 1, START_NS)
    with pytest.raises(RecordError, match=r"mftcore\.LEVEL"):
        q.observe_book(np.zeros(4, LEVEL)[::2], BIDS, 1, 1, START_NS)
    with pytest.raises(RecordError, match="trade"):
        q.observe_trade(np.zeros(1), START_NS)


def test_the_command_to_stop_outranks_everything():
    q = quoter()
    for command in (Command.STOP_QUOTING, Command.EXIT):
        q.command = command
        assert look(q, BIDS, ASKS)[0] is Reason.STOPPING
        assert no_quote(q.target[0])
