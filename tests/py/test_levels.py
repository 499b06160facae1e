"""Several levels: each is the model's quote after the ones before it, and no fill of all of them passes the limit."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mftpy.model.avellaneda_stoikov import Refusal
from mftpy.model.glft import quote
from mftpy.model.levels import growing_lots, prices, sizes

MODEL = (0.04, 0.01, 8.0, 0.55, 0.25, 0.0, 0.04, 0.0)


def priced(n_levels, *numbers):
    bids, asks = np.full(n_levels, -7.0), np.full(n_levels, -7.0)
    return Refusal(prices(*numbers, bids, asks)), bids.tolist(), asks.tolist()


def sized(n_levels, *numbers):
    bids, asks = np.full(n_levels, -7), np.full(n_levels, -7)
    return Refusal(sizes(*numbers, bids, asks)), bids.tolist(), asks.tolist()


def test_a_level_is_the_model_s_quote_once_those_before_it_are_filled():
    here = quote(61700.0, 0.02, *MODEL)
    skew_per_clip = quote(61700.0, 0.01, *MODEL).skew
    refusal, bids, asks = priced(4, here.bid, here.ask, skew_per_clip, 0.0)
    assert refusal is Refusal.NONE
    assert bids == pytest.approx([quote(61700.0, 0.02 + 0.01 * i, *MODEL).bid for i in range(4)], rel=1e-14)
    assert asks == pytest.approx([quote(61700.0, 0.02 - 0.01 * i, *MODEL).ask for i in range(4)], rel=1e-14)


def test_levels_keep_their_least_distance():
    assert priced(3, 100.0, 101.0, 0.25, 2.0)[1:] == ([100.0, 98.0, 96.0], [101.0, 103.0, 105.0])
    assert priced(0, 100.0, 101.0, 0.25, 2.0) == (Refusal.NONE, [], [])


@pytest.mark.parametrize(
    ("numbers", "refusal"),
    [
        ((math.nan, 101.0, 1.0, 0.0), Refusal.FAIR),
        ((100.0, math.inf, 1.0, 0.0), Refusal.FAIR),
        ((101.0, 100.0, 1.0, 0.0), Refusal.FAIR),
        ((0.0, 100.0, 1.0, 0.0), Refusal.FAIR),
        ((100.0, 101.0, -1.0, 2.0), Refusal.RESULT),
        ((100.0, 101.0, math.nan, 1.0), Refusal.RESULT),
        ((100.0, 101.0, 1.0, math.nan), Refusal.RESULT),
        ((100.0, 101.0, math.inf, 1.0), Refusal.RESULT),
        ((100.0, 101.0, 50.0, 1.0), Refusal.RESULT),  # the third bid would be at 0
    ],
)
def test_prices_that_are_none_are_refused(numbers, refusal):
    assert priced(3, *numbers) == (refusal, [-7.0] * 3, [-7.0] * 3)


def test_only_the_growing_side_shrinks():
    assert sized(2, 0, 10, 100, 0.1)[1:] == ([10, 10], [10, 10])
    assert sized(2, 50, 10, 100, 0.1)[1:] == ([6, 6], [10, 10])
    assert sized(2, -50, 10, 100, 0.1)[1:] == ([10, 10], [6, 6])


def test_at_the_limit_the_growing_side_is_gone_and_the_other_is_whole():
    assert sized(2, 100, 10, 100, 0.0)[1:] == ([0, 0], [10, 10])
    assert sized(2, -250, 10, 100, 0.0)[1:] == ([10, 10], [0, 0])
    assert sized(3, 85, 10, 100, 0.0)[1:] == ([10, 5, 0], [10, 10, 10])
    assert sized(3, 0, 10, 15, 0.0)[1:] == ([10, 5, 0], [10, 5, 0])


def test_a_shrink_of_none_loses_no_lot():
    assert all(growing_lots(clip, 3 * clip, 0.0) == clip for clip in (1, 3, 7, 10, 99, 12_345))


@given(
    st.integers(-(2**53), 2**53),
    st.integers(1, 2**53),
    st.integers(0, 2**53),
    st.floats(0, 1e6),
    st.integers(0, 8),
)
@example(2**53, 2**53, 2**53, 0.0, 8)
@example(5, 10, 12, 0.0, 3)
def test_the_worst_case_stays_within_the_limit_or_comes_nearer_to_it(position, clip, limit, shrink, n_levels):
    refusal, bids, asks = sized(n_levels, position, clip, limit, shrink)
    assert refusal is Refusal.NONE
    assert all(0 <= lots <= clip for lots in bids + asks)
    assert position + sum(bids) <= max(limit, position)
    assert position - sum(asks) >= min(-limit, position)
    reducing = asks if position > 0 else bids
    assert sum(reducing) == min(n_levels * clip, limit + abs(position))


@pytest.mark.parametrize(
    ("numbers", "refusal"),
    [
        ((0, 0, 100, 0.0), Refusal.CLIP),
        ((0, -1, 100, 0.0), Refusal.CLIP),
        ((0, 10, 100, -0.1), Refusal.CLIP),
        ((0, 10, 100, math.nan), Refusal.CLIP),
        ((0, 10, 100, math.inf), Refusal.CLIP),
        ((0, 10, -1, 0.0), Refusal.POSITION),
        ((2**62, 10, 100, 0.0), Refusal.POSITION),
        ((-(2**63), 10, 100, 0.0), Refusal.POSITION),
    ],
)
def test_sizes_that_are_none_are_refused(numbers, refusal):
    assert sized(3, *numbers) == (refusal, [-7] * 3, [-7] * 3)
