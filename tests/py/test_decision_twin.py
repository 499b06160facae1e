"""The compiled decision against a slow, obvious one; sums, limits and properties that hold whatever comes in."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mftpy.decisions import FairSource
from mftpy.records import Mode, Reason
from tests.py import plain_decision as plain
from tests.py.quoting_rig import BUY, SELL, Scripted, decide, levels, quoter, set_account, set_index, wanted

MODEL = Scripted()
AT = 617_000

own = st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(-60, 60), st.integers(1, 30)), max_size=8)


def world_of(seed):
    """Return a book, orders of ours, account, settings, the answer of a model: mostly in order, often at an edge."""
    rng = random.Random(seed)

    def depths():
        if rng.random() < 0.06:
            return {}
        return {rng.randint(1, 4) + rng.randint(0, 14): rng.randint(1, 40) for _ in range(rng.randint(1, 14))}

    def prices():
        return [rng.choice([rng.uniform(-60, 60), rng.randint(-60, 60)]) for _ in range(rng.choice([0, 1, 1, 2, 5, 8]))]

    def lots():
        own_sizes = rng.random() < 0.3
        return [rng.choice([0.0, rng.uniform(0.5, 40), rng.randint(1, 40)]) if own_sizes else 0.0 for _ in range(8)]

    largest = rng.choice([0, rng.randint(30, 60), rng.randint(1, 60)])
    return {
        "bids": depths(),
        "asks": depths(),
        "shift": rng.choice([0, 0, 0, rng.randint(-12, 60)]),
        "own": [
            (rng.choice([BUY, SELL]), rng.randint(-20, 20), rng.randint(1, 30)) for _ in range(rng.choice([0, 0, 3, 8]))
        ],
        "position": rng.choice([rng.randint(-150, 150), 0, 100, -100, 90, 7, -7, 5000]),
        "outside": rng.choice([(0, 0), (rng.randint(0, 30), rng.randint(0, 30))]),
        "index": rng.choice([0, rng.randint(-300, 300)]),
        "p": {
            "thin_lots": rng.choice([1, 1, 10, rng.randint(1, 60)]),
            "thin_spread": rng.choice([1e-5, 5e-5, 1e-2, 1e-2, 1e-2]),
            "min_distance_ticks": rng.choice([0, rng.randint(0, min(30, largest or 30))]),
            "max_distance_ticks": largest,
            "levels": rng.randint(1, 8),
            "level_step_ticks": rng.randint(1, 9),
            "size_shrink": rng.choice([0.0, 0.0, 0.1, 1.0]),
            "max_position_lots": rng.choice([100, rng.randint(0, 130)]),
            "min_order_lots": rng.choice([1, rng.randint(1, 10)]),
            "fair_source": rng.choice([1, 1, 2, 3]),
            "fallback": rng.choice([0, 1]),
            "lot_size": rng.choice([0.001, 0.1, 1.0]),
            "tick_size": rng.choice([0.1, 0.5, 1.0, 1e-3]),
        },
        "mode": rng.choice([Mode.RUN, Mode.RUN, Mode.RUN, Mode.REDUCING]),
        "model_bids": prices(),
        "model_asks": prices(),
        "bid_lots": lots(),
        "ask_lots": lots(),
        "status": rng.random() < 0.05,
        "refusal": 5 if rng.random() < 0.05 else 0,
        "between": rng.random() < 0.8,
    }


worlds = st.builds(world_of, st.integers(0, 2**32 - 1))


def put(world):
    """Return a quoter that has decided in a world, and what the twin makes of the same."""
    p = world["p"]
    q = quoter(model=MODEL, **p)
    tick, lot = p["tick_size"], p["lot_size"]
    bids = sorted(((AT - d, n) for d, n in world["bids"].items()), reverse=True)
    asks = sorted((AT + world["shift"] + d, n) for d, n in world["asks"].items())
    mine = [(side, AT + d, n) for side, d, n in world["own"]]
    outside = dict(zip(("outside_long_lots", "outside_short_lots"), world["outside"], strict=True))
    set_account(q, world["position"], mine, **outside)
    q.mode = world["mode"]
    index = (AT + world["index"]) * tick if world["index"] else 0.0
    if index:
        set_index(q, index)
    model_bids, model_asks = world["model_bids"], world["model_asks"]
    if world["between"]:  # an answer as a model gives it: best first, the bids below the asks
        middle = world["shift"] / 2 + (world["position"] % 7) * 4 - 12
        model_bids = sorted((middle - abs(at) - 0.01 for at in model_bids), reverse=True)
        model_asks = sorted(middle + abs(at) + 0.01 for at in model_asks)
    MODEL.answer(
        [(AT + at, n) for at, n in zip(model_bids, world["bid_lots"], strict=False)],
        [(AT + at, n) for at, n in zip(model_asks, world["ask_lots"], strict=False)],
        tick=tick, lot=lot, refusal=world["refusal"], skew=1.0,
    )  # fmt: skip
    MODEL.status = world["status"]
    decide(q, levels(*bids), levels(*asks))
    MODEL.status = 0
    expected = plain.decide(
        bids, asks, mine, q.account[0], index, q.parameters[0], world["mode"], lambda: (MODEL.out[0], world["status"])
    )
    return q, expected


def clamps(row, side, i):
    return [Fraction(float(by)) for by in row[f"{side}_clamp_ticks"][i]]


@settings(max_examples=400, deadline=None)
@given(worlds)
def test_the_decision_agrees_with_a_slow_and_obvious_one(world):
    q, expected = put(world)
    d = q.decision[0]
    assert Reason(int(d["reasons"])) == expected["reasons"]
    assert FairSource(int(d["fair_source"])) == expected["source"]
    assert d["fair_ticks"] == expected["fair"]
    assert d["basis"] == expected["basis"]
    assert (d["net_bid_ticks"], d["net_bid_lots"]) == expected["net_bid"]
    assert (d["net_ask_ticks"], d["net_ask_lots"]) == expected["net_ask"]
    assert (d["bid_room_lots"], d["ask_room_lots"]) == expected["room"]
    bids, asks = wanted(d)
    assert bids == [(ticks, n) for ticks, _, n in expected["bids"]]
    assert asks == [(ticks, n) for ticks, _, n in expected["asks"]]
    for side in ("bid", "ask"):
        for i, (_, steps, _) in enumerate(expected[f"{side}s"]):
            assert clamps(d, side, i) == [steps.get(clamp, 0) for clamp in range(6)]


@settings(max_examples=400, deadline=None)
@given(worlds)
def test_what_is_quoted_adds_up_and_breaks_no_limit(world):
    q, _ = put(world)
    d, p = q.decision[0], q.parameters[0]
    bids, asks = wanted(d)
    for side, quotes in (("bid", bids), ("ask", asks)):
        for i, (ticks, n) in enumerate(quotes):
            # exactly, not nearly: the price of the model and every change to it are the price that is quoted
            assert Fraction(float(d["out"][f"{side}_price"][i] / p["tick_size"])) + sum(clamps(d, side, i)) == ticks
            assert n >= p["min_order_lots"]
        assert sum(n for _, n in quotes) <= max(int(d[f"{side}_room_lots"]), 0)
        assert len(quotes) <= p["levels"]
    bid_ticks, ask_ticks = [ticks for ticks, _ in bids], [ticks for ticks, _ in asks]
    assert all(a - b >= p["level_step_ticks"] for a, b in itertools.pairwise(bid_ticks))
    assert all(b - a >= p["level_step_ticks"] for a, b in itertools.pairwise(ask_ticks))
    fair, least = d["fair_ticks"], p["min_distance_ticks"]
    if bids:
        assert bid_ticks[0] <= fair - least
        assert not d["net_ask_ticks"] or bid_ticks[0] < d["net_ask_ticks"]
        assert world["position"] + sum(n for _, n in bids) <= p["max_position_lots"] or world["position"] < 0
    if asks:
        assert ask_ticks[0] >= fair + least
        assert ask_ticks[0] > d["net_bid_ticks"]
    if bids and asks:
        assert bid_ticks[0] < ask_ticks[0]
    if world["mode"] == Mode.REDUCING:
        assert not (bids and asks)
        reducing = asks if world["position"] > 0 else bids
        assert sum(n for _, n in bids + asks) == sum(n for _, n in reducing) <= abs(world["position"])
    same = ("n_bids", "n_asks", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "reasons", "decision_id")
    assert all(np.array_equal(q.target[0][name], d[name]) for name in same)


@settings(max_examples=150, deadline=None)
@given(worlds)
def test_the_same_inputs_twice_give_the_same_bytes(world):
    first, second = put(world)[0], put(world)[0]
    assert first.decision.tobytes() == second.decision.tobytes()
    assert first.target.tobytes() == second.target.tobytes()


@settings(max_examples=200, deadline=None)
@given(worlds, own)
def test_our_own_quotes_alone_move_nothing_that_is_seen(world, ours):
    """Whatever of ours rests anywhere in the book, everything is as on the book of the others alone."""
    world = world | {"own": []}
    without, _ = put(world)
    x_without = MODEL.x.copy()
    shift = world["shift"]
    ours = [(side, -abs(d) - 1 if side == BUY else abs(d) + 1 + shift, n) for side, d, n in ours]
    seen = {BUY: dict(world["bids"]), SELL: dict(world["asks"])}
    for side, d, n in ours:
        at = -d if side == BUY else d - shift
        seen[side][at] = seen[side].get(at, 0) + n
    with_ours, _ = put(world | {"own": ours, "bids": seen[BUY], "asks": seen[SELL]})
    assert with_ours.net_mid_ticks == without.net_mid_ticks  # of which sigma is sampled
    if without.decision["reasons"][0] != Reason.NO_FAIR_PRICE:
        assert MODEL.x.tobytes() == x_without.tobytes()
    assert with_ours.decision.tobytes() == without.decision.tobytes()


anything = st.floats(width=64)
any_integer = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(any_integer, any_integer), max_size=3),
    st.lists(st.tuples(any_integer, any_integer), max_size=3),
    st.lists(st.tuples(st.sampled_from([BUY, SELL]), any_integer, any_integer), max_size=3),
    any_integer,
    st.tuples(any_integer, any_integer),
    anything,
    st.lists(anything, min_size=36, max_size=36),
    st.tuples(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31)),
    st.booleans(),
)
def test_whatever_comes_in_every_number_that_goes_out_is_one(
    bids, asks, own, position, outside, index, numbers, counts, sane
):
    q = quoter(model=MODEL, levels=8, max_distance_ticks=1000)
    set_account(q, position, own, outside_long_lots=outside[0], outside_short_lots=outside[1])
    set_index(q, index)
    MODEL.out[:] = 0
    MODEL.out["skew"], MODEL.out["model_half"], MODEL.out["fee"], MODEL.out["horizon_s"] = numbers[:4]
    for i, name in enumerate(("bid_price", "bid_size", "ask_price", "ask_size")):
        MODEL.out[name] = numbers[4 + 8 * i : 12 + 8 * i]
    MODEL.out["n_bids"], MODEL.out["n_asks"] = (c % 9 for c in counts) if sane else counts
    if sane:
        bids, asks = [(AT, 100)], [(AT + 2, 100)]
    _, t = decide(q, levels(*bids), levels(*asks))
    d = q.decision[0]
    assert all(math.isfinite(t[name]) for name in t.dtype.names if t[name].ndim == 0)
    assert 0 <= t["reasons"] < 2**15
    for quotes in wanted(t):
        assert all(1 <= ticks <= 2**53 and lots >= 1 for ticks, lots in quotes)
    assert np.isfinite(d["bid_clamp_ticks"]).all()
    assert np.isfinite(d["ask_clamp_ticks"]).all()
    for side, quotes in zip((BUY, SELL), wanted(t), strict=True):
        room = int(q.parameters["max_position_lots"][0]) - side * position
        assert sum(lots for _, lots in quotes) <= max(room, 0)


def test_a_wrong_clamp_would_be_seen():
    """The negative control: a twin with another rule disagrees."""
    world = {
        "bids": {1: 100}, "asks": {1: 100}, "shift": 0, "own": [], "position": 0, "outside": (0, 0), "index": 0,
        "p": {"tick_size": 0.5, "lot_size": 0.001, "min_distance_ticks": 3}, "mode": Mode.RUN, "model_bids": [-1.3],
        "model_asks": [1.3], "bid_lots": [0.0] * 8, "ask_lots": [0.0] * 8, "status": 0, "refusal": 0, "between": False,
    }  # fmt: skip
    q, expected = put(world)
    assert wanted(q.decision[0])[0] == [(AT - 3, 10)] == [(ticks, n) for ticks, _, n in expected["bids"]]
    q.parameters["min_distance_ticks"] = 4
    other = plain.decide(
        [(AT - 1, 100)], [(AT + 1, 100)], [], q.account[0], 0.0, q.parameters[0], Mode.RUN, lambda: (MODEL.out[0], 0)
    )
    assert [(ticks, n) for ticks, _, n in other["bids"]] != wanted(q.decision[0])[0]
