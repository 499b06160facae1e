"""Sides that a print may have filled, and which targets are passed on: thresholds, intervals, lifetimes."""

import random

import pytest

from mftpy.decisions import Clamp
from mftpy.records import Mode, Reason
from tests.py.quoting_rig import (
    BUY,
    MS,
    SELL,
    START_NS,
    TICK,
    Scripted,
    decide,
    levels,
    quoter,
    set_account,
    trade,
    wanted,
)

S = 1000 * MS
AT = 617_000
BIDS, ASKS = levels((AT - 1, 3000)), levels((AT + 1, 3000))
OWN = [(BUY, AT - 10, 10), (SELL, AT + 10, 10)]


class Scene:
    """A quoter with a scripted model, on a clock of its own."""

    def __init__(self, overrides=None, **changes):
        self.model = Scripted()
        self.q = quoter(overrides, model=self.model, **changes)
        self.now_ns = START_NS

    def want(self, bids, asks, later_ns=0, book=(BIDS, ASKS)):
        """Let the model want these prices, relative to AT, some time later; return what the target says."""
        self.now_ns += later_ns
        self.model.answer([self._absolute(item, 0.25) for item in bids], [self._absolute(item, -0.25) for item in asks])
        decide(self.q, *book, self.now_ns)
        return tuple([(ticks - AT, lots) for ticks, lots in side] for side in wanted(self.q.target[0]))

    @staticmethod
    def _absolute(item, nearer):  # a quarter of a tick, so that the rounding does not depend on the last bit
        ticks, *lots = item if isinstance(item, tuple) else (item,)
        at = AT + ticks + nearer
        return (at, *lots) if lots else at

    @property
    def passed(self):
        return bool(self.q.decision["passed_on"][0])

    @property
    def reasons(self):
        return Reason(int(self.q.target["reasons"][0]))

    def held(self, side):
        return self.q.decision[f"{side}_clamp_ticks"][0][:, Clamp.HELD].tolist()

    def rest(self, own, position=0, **changes):
        set_account(self.q, position, [(side, AT + ticks, lots) for side, ticks, lots in own], **changes)

    def see(self, ticks, taker, **changes):
        self.q.observe_trade(trade(AT + ticks, taker, **changes), self.now_ns)


def quoting(overrides=None, **changes):
    """Return a scene that quotes -10 and +10, which rest."""
    scene = Scene(overrides, **changes)
    assert scene.want([-10], [10]) == ([(-10, 10)], [(10, 10)])
    scene.rest([(BUY, -10, 10), (SELL, 10, 10)])
    return scene


# possibly filled


def test_after_a_print_at_our_bid_that_side_stays_as_it_was_passed_on():
    scene = quoting()
    scene.see(-10, SELL)
    assert scene.want([-30], [5]) == ([(-10, 10)], [(5, 10)])
    assert scene.reasons is Reason.BID_POSSIBLY_FILLED
    d, t = scene.q.decision[0], scene.q.target[0]
    assert (t["hold_bids"], t["hold_asks"]) == (1, 0)
    assert (d["possible_buy_lots"], d["possible_sell_lots"], d["bid_room_lots"]) == (10, 0, 90)
    assert scene.held("bid")[0] == 20
    assert scene.passed  # for the ask


def test_the_mirror_image_holds_the_asks():
    scene = quoting()
    scene.see(11, BUY)  # through it
    assert scene.want([-5], [30]) == ([(-5, 10)], [(10, 10)])
    assert scene.reasons is Reason.ASK_POSSIBLY_FILLED
    assert (scene.q.target["hold_bids"][0], scene.q.target["hold_asks"][0]) == (0, 1)
    assert scene.q.decision["possible_sell_lots"][0] == 10


@pytest.mark.parametrize(
    ("ticks", "taker", "changes"),
    [(-9, SELL, {}), (-10, BUY, {}), (10, SELL, {}), (9, BUY, {}), (-10, SELL, {"in_snapshot": 1}), (-10, 0, {})],
)
def test_a_print_that_did_not_reach_us_or_is_old_holds_nothing(ticks, taker, changes):
    scene = quoting()
    scene.see(ticks, taker, **changes)
    assert scene.want([-30], [30]) == ([(-30, 10)], [(30, 10)])
    assert scene.reasons is Reason.NONE


def test_a_price_that_is_none_holds_nothing():
    scene = quoting()
    scene.q.observe_trade(trade(0, SELL), scene.now_ns)
    scene.q.observe_trade(trade(-(2**63), SELL), scene.now_ns)
    assert scene.want([-30], [30]) == ([(-30, 10)], [(30, 10)])


def test_it_ends_when_a_fill_has_come_and_not_with_any_other_event():
    scene = quoting()
    scene.see(-10, SELL)
    scene.rest([(BUY, -10, 10), (SELL, 10, 10)], last_event_ns=scene.now_ns + S)
    assert scene.want([-30], [10], MS) == ([(-10, 10)], [(10, 10)])
    scene.rest([(BUY, -10, 3), (SELL, 10, 10)], 7, fills=1)
    assert scene.want([-30], [10], MS) == ([(-30, 10)], [(10, 10)])
    assert scene.reasons is Reason.NONE


def test_it_ends_when_the_orders_are_gone():
    scene = quoting()
    scene.see(-10, SELL)
    scene.rest([(BUY, -30, 10), (SELL, 10, 10)])
    assert scene.want([-30], [10]) == ([(-30, 10)], [(10, 10)])


def test_it_ends_after_a_quarter_of_a_second_however_many_prints_follow():
    scene = quoting()
    scene.see(-10, SELL)
    for _ in range(4):
        scene.want([-30], [10], 50 * MS)
        scene.see(-10, SELL)
        assert scene.q.target["hold_bids"][0] == 1
    assert scene.want([-30], [10], 50 * MS - 1)[0] == [(-10, 10)]
    assert scene.want([-30], [10], 1)[0] == [(-30, 10)]
    scene.see(-12, SELL)  # the next one begins anew
    assert scene.want([-40], [10])[0] == [(-30, 10)]


def test_a_print_after_the_answer_to_the_last_one_is_a_question_of_its_own():
    scene = quoting({"quoting.levels": 2})
    scene.want([-10, -20], [10])
    scene.rest([(BUY, -10, 10), (BUY, -20, 10)])
    scene.see(-10, SELL)
    scene.rest([(BUY, -20, 10)], 10, fills=1)
    scene.see(-21, SELL)  # before the fill was decided on
    assert scene.want([-40], [10])[0] == [(-10, 10)]
    assert scene.q.decision["possible_buy_lots"][0] == 10


def test_a_deeper_print_while_it_is_held_counts_what_that_one_reached():
    scene = quoting({"quoting.levels": 3})
    scene.want([-10, -20, -30], [10])
    scene.rest([(BUY, -10, 10), (BUY, -20, 7), (BUY, -30, 5), (SELL, 10, 10)])
    for ticks, lots in ((-10, 10), (-25, 17), (-15, 17)):
        scene.see(ticks, SELL)
        scene.want([-10, -20, -30], [10])
        assert scene.q.decision["possible_buy_lots"][0] == lots


def test_what_may_be_filled_is_not_counted_twice_against_the_limit():
    scene = quoting()
    scene.rest([(BUY, -10, 10), (SELL, 10, 10)], 90)
    scene.want([-10], [10])
    scene.see(-10, SELL)
    assert scene.want([-30], [10])[0] == [(-10, 10)]
    assert scene.q.decision["bid_room_lots"][0] == 0
    assert scene.reasons is Reason.BID_POSSIBLY_FILLED
    scene.rest([(BUY, -10, 10), (SELL, 10, 10)], 91)  # now it would break it
    assert scene.want([-30], [10])[0] == []
    assert scene.reasons is Reason.BID_POSSIBLY_FILLED | Reason.AT_LONG_LIMIT


def test_a_held_side_is_gone_when_mode_model_book_or_the_other_side_forbid_it():
    for forbid, reasons in (
        (lambda s: setattr(s.q, "mode", Mode.HALTED), Reason.HALTED),
        (lambda s: s.q.account.__setitem__("ready", 0), Reason.ACCOUNT_NOT_READY),
        (lambda s: setattr(s.q, "mode", Mode.REDUCING), Reason.REDUCING | Reason.BID_POSSIBLY_FILLED),
    ):
        scene = quoting()
        scene.see(-10, SELL)
        forbid(scene)
        assert scene.want([-10], [10])[0] == []
        assert scene.reasons is reasons
        assert scene.q.target["hold_bids"][0] == 1
    scene = quoting()
    scene.see(-10, SELL)
    assert scene.want([], [10]) == ([], [(10, 10)])  # a model that wants no bid
    scene = quoting()
    scene.see(-10, SELL)
    low = levels((AT - 41, 3000)), levels((AT - 10, 3000))
    assert scene.want([-60], [-1], book=low) == ([], [(-1, 10)])  # the market is through it
    scene = quoting()
    scene.see(-10, SELL)
    low = levels((AT - 41, 3000)), levels((AT - 9, 3000))
    assert scene.want([-60], [-20], book=low) == ([], [(-20, 10)])  # the ask is to be below it


def test_reducing_lets_a_held_side_lead_back_as_far_as_the_position_goes():
    scene = quoting({"quoting.levels": 2})
    scene.want([-10, -20], [10, 20])
    scene.rest([(BUY, -10, 10), (BUY, -20, 10)], -19)
    scene.q.mode = Mode.REDUCING
    scene.see(-10, SELL)
    assert scene.want([-10, -20], [10])[0] == [(-10, 10)]  # the whole of the second would lead beyond nothing


def test_without_a_time_to_hold_nothing_is_held():
    scene = quoting({"quoting.possibly_filled_ms": 0.0})
    scene.see(-10, SELL)
    assert scene.want([-30], [10])[0] == [(-30, 10)]


# threshold, interval, lifetime


def test_no_change_by_less_than_the_threshold_is_passed_on():
    scene = quoting({"quoting.requote_threshold_ticks": 5})
    assert scene.want([-14], [14]) == ([(-14, 10)], [(14, 10)])  # said, and left to lie
    assert not scene.passed
    scene.want([-15], [14])
    assert scene.passed
    assert scene.q.target["threshold_ticks"][0] == 5


def test_within_the_least_interval_prices_stand_and_what_takes_away_goes_through():
    scene = quoting({"quoting.min_interval_ms": 100.0, "quoting.levels": 2})
    scene.want([-10, -20], [10, 20], 100 * MS)
    assert scene.passed
    last = [(-10, 10), (-20, 10)], [(10, 10), (20, 10)]
    assert scene.want([-40, -50], [40, 50], 99 * MS) == last
    assert not scene.passed
    assert scene.held("bid")[:2] == [30, 30]
    assert scene.held("ask")[:2] == [-30, -30]
    assert scene.want([-40], [(40, 7), (50, 20)]) == ([(-10, 10)], [(10, 7), (20, 10)])
    assert scene.passed
    assert scene.want([-40, -50], [40, 50], 99 * MS) == ([(-10, 10)], [(10, 7), (20, 10)])  # nothing is added
    assert not scene.passed
    scene.q.mode = Mode.HALTED
    assert scene.want([-40, -50], [40, 50]) == ([], [])
    assert scene.passed
    scene.q.mode = Mode.RUN
    assert scene.want([-40, -50], [40, 50], 99 * MS) == ([], [])
    assert scene.want([-40, -50], [40, 50], MS) == ([(-40, 10), (-50, 10)], [(40, 10), (50, 10)])


def test_within_the_least_interval_a_price_that_the_market_has_reached_is_taken_away():
    scene = quoting({"quoting.min_interval_ms": 100.0})
    low = levels((AT - 41, 3000)), levels((AT - 10, 3000))
    assert scene.want([-60], [-1], MS, book=low) == ([], [(10, 10)])
    assert scene.passed


def test_quotes_that_are_old_are_renewed_to_the_tick_and_whoever_comes_late_sees_it():
    scene = quoting({"quoting.max_lifetime_s": 1.0, "quoting.requote_threshold_ticks": 5})
    scene.want([-11], [10], S - 1)
    assert not scene.passed
    scene.want([-11], [10], 1)
    assert scene.passed
    assert scene.q.target["threshold_ticks"][0] == 1
    # the next targets repeat it until another is passed on, in case that one was not read
    assert scene.want([-13], [12], MS) == ([(-11, 10)], [(10, 10)])
    assert not scene.passed
    assert scene.q.target["threshold_ticks"][0] == 1
    assert scene.held("bid")[0] == 2
    low = levels((AT - 41, 3000)), levels((AT - 11, 3000))
    assert scene.want([-13], [12], MS, book=low)[0] == [(-26, 10)]  # unless it can no longer stand
    assert scene.passed
    assert scene.q.target["threshold_ticks"][0] == 5


def test_quotes_that_are_old_and_right_are_left_alone():
    scene = quoting({"quoting.max_lifetime_s": 1.0})
    for _ in range(5):
        scene.want([-10], [10], S)
        assert not scene.passed
        assert scene.q.target["threshold_ticks"][0] == 2


# everything at once


def less(before, now):
    """Whether what is wanted now only takes away from, or shrinks, what was before."""
    return len(now) <= len(before) and all(a[0] == b[0] and b[1] <= a[1] for a, b in zip(before, now, strict=False))


def test_whatever_happens_the_rules_of_holding_and_passing_on_are_kept():
    for seed in range(12):
        rng = random.Random(seed)
        interval_ns = rng.choice([0, 30 * MS])
        scene = Scene(
            {"quoting.levels": 3, "quoting.min_interval_ms": interval_ns / MS, "quoting.requote_threshold_ticks": 3}
            | ({"quoting.max_lifetime_s": 0.1} if seed % 2 else {})
        )
        last, last_ns, fills, position = ([], []), None, 0, 0
        for _ in range(250):
            own = [
                (side, ticks, lots) for side, quotes in zip((BUY, SELL), last, strict=True) for ticks, lots in quotes
            ]
            if rng.random() < 0.1 and own:
                side, _, lots = rng.choice(own)
                fills, position = fills + 1, position + side * lots
            scene.rest(own, position, fills=fills)
            if rng.random() < 0.2:
                scene.see(rng.randint(-40, 40), rng.choice([BUY, SELL]))
            scene.q.mode = Mode.REDUCING if rng.random() < 0.05 else Mode.RUN
            near = rng.randint(-25, 25)
            bids = sorted((near - rng.randint(1, 30) for _ in range(rng.randint(0, 3))), reverse=True)
            asks = sorted(near + rng.randint(1, 30) for _ in range(rng.randint(0, 3)))
            market = levels((AT + near - 1, 500)), levels((AT + near + 1, 500))
            scene.now_ns += rng.randint(0, 60) * MS
            scene.model.answer([AT + at for at in bids], [AT + at for at in asks])
            decide(scene.q, *market, scene.now_ns)
            d, t = scene.q.decision[0], scene.q.target[0]
            now = tuple([(ticks - AT, lots) for ticks, lots in side] for side in wanted(t))
            if now[0] and now[1]:
                assert now[0][0][0] < now[1][0][0]
            for i, (side, name) in enumerate(((BUY, "bid"), (SELL, "ask"))):
                opposite = near + side
                assert all(side * ticks < side * opposite for ticks, _ in now[i])
                assert sum(lots for _, lots in now[i]) <= max(100 - side * position, 0)
                for level, (ticks, _) in enumerate(now[i]):
                    raw = d["out"][f"{name}_price"][level] / TICK
                    assert raw + d[f"{name}_clamp_ticks"][level].sum() == pytest.approx(AT + ticks, abs=1e-6)
                if t[f"hold_{name}s"]:
                    assert less(last[i], now[i])
            if d["passed_on"]:
                if last_ns is not None and scene.now_ns - last_ns < interval_ns:
                    assert less(last[0], now[0])
                    assert less(last[1], now[1])
                assert now != last
                last, last_ns = now, scene.now_ns
        assert scene.q.counts["decisions"] == 250
