"""What a trade or a mid adds to the sums from which A and k are estimated, and what bad input does."""

import math

import numpy as np
import pytest

from mftpy.model.intensity import ASK, BID, BUY, SELL, unwatch
from tests.py.arrivals import MID, Fast, S

# what is observed


def test_a_sweep_is_one_arrival_at_its_deepest_print():
    fast = Fast(1.0)
    fast.mid(0, MID)
    for i, distance in enumerate((1.0, 2.0, 3.5, 6.0, 4.0)):
        fast.trade(S // 2 + i, MID + distance, BUY)
    fast.trade(S - 1, MID - 2.0, SELL)
    fast.mid(S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [1, 1]
    assert fast.state["reach"][0] * MID / 1e4 == pytest.approx([2.0, 6.0])


def test_distance_is_from_the_mid_one_interval_before():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.mid(S // 4, MID + 5.0)
    fast.trade(S // 2, MID + 6.0, BUY)
    fast.mid(S, MID + 5.0)
    fast.trade(S + 1, MID + 6.0, BUY)
    fast.mid(2 * S, MID + 5.0)
    assert fast.state["reach"][0, ASK] * MID / 1e4 == pytest.approx(6.0 + 1.0, rel=1e-4)


@pytest.mark.parametrize(("touch_ticks", "first"), [(0.0, 1.25), (4.0, 2.25)])
def test_a_print_at_the_touch_reaches_nothing(touch_ticks, first):
    fast = Fast(1.0, tick=0.5, touch_ticks=touch_ticks)
    fast.mid(0, MID + 0.25)
    fast.trade(1, MID + 0.5, BUY)
    fast.trade(2, MID + 0.25 + first - 0.5, BUY)
    fast.mid(S, MID + 0.25)
    fast.trade(S + 1, MID + 0.25 + first, BUY)  # the first price in the range: 0.15 basis points, or four ticks
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 1]
    assert fast.state["quiet"][0].round(6).tolist() == [2, 1]
    assert fast.state["quiet_from"][0] / fast.state["quiet"][0] * MID / 1e4 == pytest.approx([first, first], rel=1e-4)


def test_a_fill_of_ours_is_censored_and_a_deeper_print_of_another_is_not():
    fast = Fast(1.0)
    for second, deeper in enumerate((0.0, 2.0)):
        fast.mid(second * S, MID, MID - 5.0, MID + 5.0)
        fast.trade(second * S + 1, MID + 5.0, BUY, own=1)
        if deeper:
            fast.trade(second * S + 2, MID + 5.0 + deeper, BUY)
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0, ASK] == 2
    assert fast.state["exact"][0, ASK] == 1
    assert fast.state["censored"][0, ASK] == 1
    assert fast.state["ended"][0].tolist() == [0, 0]  # our order lay in the range: it does not end the likelihood


@pytest.mark.parametrize("ours_first", [True, False])
def test_where_we_and_others_were_filled_at_the_deepest_price_it_is_censored(ours_first):
    fast = Fast(1.0)
    fast.mid(0, MID, 0.0, MID + 5.0)
    for i, own in enumerate((ours_first, not ours_first)):
        fast.trade(1 + i, MID + 5.0, BUY, own=int(own))
    fast.mid(S, MID)
    assert fast.state["censored"][0, ASK] == 1
    assert fast.state["exact"][0, ASK] == 0


def test_a_fill_of_ours_nearer_than_the_range_hides_that_side_of_the_interval():
    fast = Fast(1.0)
    fast.mid(0, MID, 0.0, MID + 0.3)
    fast.trade(1, MID + 0.3, BUY, own=1)
    fast.mid(S, MID)
    assert fast.state["watched"][0].tolist() == [1, 0]


def test_what_reaches_beyond_the_range_is_left_out():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID - 100.0, SELL)
    fast.mid(S, MID)
    assert fast.state["beyond"][0].tolist() == [1, 0]
    assert fast.state["watched"][0].tolist() == [0, 1]


def test_the_side_is_the_taker_s_and_where_that_is_unknown_the_price_tells():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID + 3.0, SELL)  # a seller above the old mid reaches no bid of then
    fast.mid(S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 0]
    fast.trade(S + 1, MID + 3.0, 0)
    fast.mid(2 * S, MID)
    assert fast.state["reached"][0].round(6).tolist() == [0, 1]
    fast.trade(2 * S + 1, MID - 3.0, 0)
    fast.mid(3 * S, MID)
    assert fast.state["reached"][0] == pytest.approx([1, 1])


def test_quiet_time_counts_as_intervals_and_silence_does_not():
    fast = Fast(0.1, gap_s=5.0)
    fast.mid(0, MID)
    fast.mid(4 * S, MID)
    assert fast.state["intervals"][0] == 40
    assert fast.state["quiet"][0] == pytest.approx([40, 40])
    fast.mid(100 * S, MID)
    assert fast.state["intervals"][0] == 40
    assert fast.state["gaps"][0] == 1
    fast.mid(101 * S, MID)
    unwatch(fast.state)
    fast.trade(101 * S + 1, MID + 5, BUY)
    assert fast.state["unwatched"][0] == 1
    assert fast.state["intervals"][0] == 50


# bad input


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_what_is_no_number_is_counted_and_not_used(bad):
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, bad, BUY)
    fast.trade(2, MID + 5, BUY, size=0.0 if bad == 1e300 else bad)
    fast.mid(S, MID, bad, bad)
    assert fast.state["unusable"][0] == 2
    assert fast.state["reached"][0].round(6).tolist() == [0, 0]
    fast.mid(2 * S, bad)
    fast.mid(3 * S, bad)
    fast.trade(3 * S + 1, MID + 5, BUY)
    assert fast.state["unwatched"][0] == 1
    fast.mid(4 * S, MID)
    fast.mid(5 * S, MID)
    assert fast.state["intervals"][0] == 3  # none began while there was no mid
    assert all(map(math.isfinite, fast.fit(ASK, 5 * S, 360.0)))


def test_one_trade_ever_gives_numbers_and_the_prior_keeps_it_sensible():
    fast = Fast(1.0)
    fast.mid(0, MID)
    fast.trade(1, MID + 5, BUY)
    fast.mid(S, MID)
    assert all(map(math.isfinite, fast.fit(ASK, S)))
    assert fast.fit(BID, S) == (0, 0, 0, 0, 0, 0, 1, False)
    blended = fast.fit(ASK, S, 360.0)
    assert (blended.A, blended.k) == pytest.approx((0.55, 1.5), rel=0.02)


def test_reaches_that_no_exponential_explains_are_no_fit():
    for distance in (16.0, 0.9256):  # all at the far end of the range; all at its very beginning
        fast = Fast(1.0)
        for second in range(100):
            fast.mid(second * S, MID)
            if second % 10 == 0:
                fast.trade(second * S + 1, MID + distance, BUY)
        fast.mid(100 * S, MID)
        fit = fast.fit(ASK, 100 * S)
        assert fit[:5] == (0, 0, 0, 0, 0)
        assert not fit.found
        assert fit.effective == pytest.approx(10)
        assert fast.fit(ASK, 100 * S, 3600.0).found


def test_time_that_runs_backwards_is_a_little_late_or_another_clock():
    fast = Fast(1.0, half_life_s=100.0, gap_s=5.0)
    for second in range(1000, 1010):
        fast.mid(second * S, MID)
        fast.trade(second * S + 1, MID + 5, BUY)
    fast.mid(1010 * S, MID)
    fast.trade(1010 * S - 1000, MID + 4, BUY)  # another feed, a microsecond late: counts in the open interval
    fast.mid(1011 * S, MID)
    assert fast.state["reached"][0, ASK] > 10
    before = fast.fit(ASK, 1011 * S)
    fast.mid(10 * S, MID)
    assert fast.state["backwards"][0] == 2
    assert fast.fit(ASK, 10 * S) == pytest.approx(before)
    fast.mid(-1, MID)
    fast.trade(-1, MID, BUY)
    assert fast.state["unusable"][0] == 2
    fast.mid(11 * S, MID)
    assert fast.state["intervals"][0] == 12


def test_whatever_comes_results_are_numbers():
    rng = np.random.default_rng(60)
    odd = [0.0, -1.0, math.nan, math.inf, 1e-8, 1e9, 1e15, 1e-15]
    for tick in (0.0, 0.1, 1e-9):
        fast, now_ns = Fast(0.1, tick, half_life_s=5.0), 0
        for _ in range(1500):
            now_ns = max(0, now_ns + int(rng.integers(-S, S)))
            price = float(rng.choice(odd)) if rng.random() < 0.1 else MID + float(rng.normal(0, 5))
            if rng.random() < 0.5:
                fast.mid(now_ns, price, float(rng.choice(odd)), MID + 3.0)
            else:
                fast.trade(now_ns, price, int(rng.integers(-2, 3)), int(rng.integers(0, 2)))
            fast.mid_px = price
            for prior_s in (0.0, 100.0):
                for given_k in (0.0, 1e-9, 50.0):
                    fit = fast.fit(int(rng.integers(0, 2)), now_ns, prior_s, given_k=given_k)
                    assert all(map(math.isfinite, fit))
                    assert min(fit.A, fit.A_error, fit.k, fit.k_error) >= 0
