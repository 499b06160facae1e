"""The fair price: middle, micro-price, and the index with its basis where a book cannot be believed."""

import math

import numpy as np
import pytest

from mftcore import BOOK_EMPTY, BOOK_ONE_SIDED
from mftpy.decisions import Clamp, FairSource
from mftpy.records import Reason
from tests.py.quoting_rig import (
    MS,
    START_NS,
    TICK,
    decide,
    levels,
    quoter,
    set_index,
    wanted,
)

S = 1000 * MS
BIDS, ASKS = levels((616_999, 3000), (616_998, 500)), levels((617_001, 2000), (617_002, 500))
NOBODY = levels()


def test_the_micro_price_lies_nearer_to_the_side_that_has_less():
    q = quoter({"quoting.fair_price": "micro"})
    decide(q, levels((616_990, 3000)), levels((617_010, 1000)))
    assert q.decision["fair_source"][0] == FairSource.MICRO
    assert q.decision["fair_ticks"][0] == 617_005


def test_without_a_second_side_the_index_and_the_basis_carry_the_fair_price():
    q = quoter({"quoting.levels": 1})
    set_index(q, 61_690.0)
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    assert q.decision["basis"][0] == pytest.approx(10.0)
    for bids, asks, state in (
        (NOBODY, ASKS, BOOK_ONE_SIDED),
        (BIDS, NOBODY, BOOK_ONE_SIDED),
        (NOBODY, NOBODY, BOOK_EMPTY),
    ):
        set_index(q, 61_650.0, START_NS + S)
        reasons, row = decide(q, bids, asks, START_NS + S, state=state)
        d = q.decision[0]
        assert reasons is Reason.NONE
        assert (d["fair_source"], d["fair_ticks"]) == (FairSource.INDEX, pytest.approx(616_600, abs=1e-6))
        assert (d["net_bid_ticks"], d["net_ask_ticks"]) == (616_999 if len(bids) else 0, 617_001 if len(asks) else 0)
        assert q.net_mid_ticks == 0  # nothing that sigma could be sampled from
        assert row["bid_ticks"][0] < 616_600
        # still never through what little the others have
        assert row["ask_ticks"][0] == 617_000 if len(bids) else 616_600 < row["ask_ticks"][0] < 617_000
        if len(bids):
            assert d["ask_clamp_ticks"][0][Clamp.OPPOSITE_BEST] > 0
    set_index(q, 61_650.0, START_NS)
    assert decide(q, NOBODY, ASKS, START_NS + 3 * S)[0] is Reason.NO_FAIR_PRICE  # an index that is old


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([(616_999, 9)], [(617_001, 100)]),
        ([(600_000, 100)], [(617_001, 100)]),
    ],
    ids=["thin", "wide"],
)
def test_a_thin_or_wide_book_is_not_believed_either(bids, asks):
    q = quoter()
    set_index(q, 61_700.0)
    decide(q, BIDS, ASKS)
    reasons, _ = decide(q, levels(*bids), levels(*asks))
    assert reasons is Reason.NONE
    assert q.decision["fair_source"][0] == FairSource.INDEX
    q.parameters["fallback"] = 0
    assert decide(q, levels(*bids), levels(*asks))[0] is Reason.NO_FAIR_PRICE


@pytest.mark.parametrize("asks", [[(616_999, 100)], [(616_990, 100)], [(0, 100), (617_001, 100)], [(-5, 100)]])
def test_a_book_that_crosses_or_holds_no_price_says_nothing_even_with_an_index(asks):
    q = quoter()
    set_index(q, 61_700.0)
    decide(q, BIDS, ASKS)
    reasons, row = decide(q, BIDS, levels(*asks))
    assert reasons is Reason.NO_FAIR_PRICE
    assert wanted(row) == ([], [])


@pytest.mark.parametrize("index", [math.nan, math.inf, 0.0, -1.0])
def test_a_basis_that_is_not_known_or_an_index_that_is_none_is_no_fair_price(index):
    q = quoter({"quoting.fair_price": "index"})
    set_index(q, 61_700.0)
    assert decide(q, NOBODY, ASKS)[0] is Reason.NO_FAIR_PRICE  # no basis yet
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    set_index(q, index)
    assert decide(q, BIDS, ASKS)[0] is Reason.NO_FAIR_PRICE
    assert q.decision["index_price"][0] == 0


def test_the_basis_is_the_mean_over_time_that_forgets():
    q = quoter({"quoting.basis_half_life_s": 5.0})
    rng = np.random.default_rng(2)
    seen, now_ns = [], START_NS  # (from, to, difference)
    for _ in range(60):
        index = 61_700.0 + rng.normal(0, 20)
        two_sided = rng.random() < 0.8
        set_index(q, index, now_ns)
        decide(q, BIDS, ASKS if two_sided else NOBODY, now_ns)
        later_ns = now_ns + int(rng.integers(1, 3 * S))
        weights = np.array([0.5 ** ((now_ns - b) / 5e9) - 0.5 ** ((now_ns - a) / 5e9) for a, b, _ in seen])
        if weights.sum() > 0:
            assert q.decision["basis"][0] == pytest.approx(np.dot(weights, [d for *_, d in seen]) / weights.sum())
        if two_sided:
            seen.append((now_ns, later_ns, 617_000 * TICK - index))
        now_ns = later_ns


def test_prices_far_from_the_index_are_no_fair_price_of_a_negative_sign():
    q = quoter({"quoting.fair_price": "index"})
    set_index(q, 70_000.0)
    decide(q, BIDS, ASKS)  # a basis of -8,300
    set_index(q, 8_000.0, START_NS + S)
    assert decide(q, BIDS, ASKS, START_NS + S)[0] is Reason.NO_FAIR_PRICE
