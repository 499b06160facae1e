"""What a decision refuses and when, the fair price without a second side, failures, levels, prices of every size."""

import ctypes
import itertools
import math

import numpy as np
import pytest

from mftcore import BOOK_CROSSED, BOOK_RESYNCING, BOOK_STALE
from mftpy.decisions import MODEL_INPUT, Clamp, FairSource
from mftpy.records import Command, Mode, Reason
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
    set_index,
    shipped_model,
    wanted,
)

S = 1000 * MS
BIDS, ASKS = levels((616_999, 3000), (616_998, 500)), levels((617_001, 2000), (617_002, 500))
NOBODY = levels()


def again(q, now_ns, *, alive=True):
    """Decide by timer, without a new book; return the reasons."""
    if alive:
        q.transport_ns = now_ns
    q.decide(now_ns)
    return Reason(int(q.target["reasons"][0]))


# account, book, feed


def test_before_there_is_a_book_nothing_is_quoted():
    q = quoter()
    assert again(q, START_NS) is Reason.BOOK_NOT_READY
    assert decide(q, BIDS, ASKS, version=0)[0] is Reason.BOOK_NOT_READY
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE


@pytest.mark.parametrize(
    ("state", "alive", "expected"),
    [
        (BOOK_RESYNCING, True, Reason.BOOK_NOT_READY),
        (BOOK_CROSSED, True, Reason.BOOK_NOT_READY),
        (1 << 20, True, Reason.BOOK_NOT_READY),
        (BOOK_STALE, True, Reason.BOOK_STALE),
        (BOOK_STALE | BOOK_RESYNCING, True, Reason.BOOK_STALE),
        (0, False, Reason.BOOK_STALE),
    ],
)
def test_the_state_of_the_book_is_believed(state, alive, expected):
    q = quoter()
    reasons, row = decide(q, BIDS, ASKS, state=state, writer_alive=alive)
    assert reasons is expected
    assert wanted(row) == ([], [])
    assert q.decision["book_state"][0] == state
    assert q.counts == {"decisions": 1, expected.name: 1}


def test_a_feed_that_is_silent_is_stale_by_timer_and_only_a_frame_makes_it_fresh():
    q = quoter()
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    assert again(q, START_NS + 2 * S, alive=False) is Reason.NONE
    assert again(q, START_NS + 2 * S + 1, alive=False) is Reason.BOOK_STALE
    assert q.decision["passed_on"][0] == 1  # execution takes them away at once
    assert again(q, START_NS, alive=False) is Reason.BOOK_STALE  # a clock that goes backwards
    assert again(q, START_NS + 3 * S) is Reason.NONE


@pytest.mark.parametrize("transport_ns", [0, -1, START_NS + 3 * S])
def test_a_feed_that_was_never_heard_or_is_heard_from_the_future_is_stale(transport_ns):
    q = quoter()
    q.observe_book(BIDS, ASKS, 2, 2, START_NS)
    q.transport_ns = transport_ns
    assert again(q, START_NS, alive=False) is Reason.BOOK_STALE


def test_a_book_from_the_future_is_stale():
    assert decide(quoter(), BIDS, ASKS, receive_ns=START_NS + 3 * S)[0] is Reason.BOOK_STALE


def test_a_quiet_book_is_not_stale_but_one_that_stands_while_the_index_moves_is_frozen():
    q = quoter()
    set_index(q, 61_700.0)
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    for second in range(1, 5):
        set_index(q, 61_700.0, START_NS + second * S)
        assert again(q, START_NS + second * S) is Reason.NONE
    set_index(q, 61_700.0 + 30.0, START_NS + 4 * S)  # 4.9 basis points
    assert again(q, START_NS + 4 * S) is Reason.NONE
    set_index(q, 61_700.0 - 31.0, START_NS + 4 * S)
    assert again(q, START_NS + 4 * S) is Reason.BOOK_FROZEN
    assert decide(q, BIDS, ASKS, START_NS + 4 * S)[0] is Reason.NONE  # received anew
    set_index(q, 61_700.0 + 31.0, START_NS + 5 * S)
    assert again(q, START_NS + 5 * S) is Reason.NONE  # not for long enough
    set_index(q, 61_700.0 + 31.0, START_NS + 6 * S + 1)
    assert again(q, START_NS + 6 * S + 1) is Reason.BOOK_FROZEN


def test_an_index_that_comes_later_than_the_book_is_where_its_moving_begins():
    q = quoter()
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    for second, price, expected in ((4, 50_000.0, Reason.NONE), (5, 50_026.0, Reason.BOOK_FROZEN)):
        set_index(q, price, START_NS + second * S)
        assert again(q, START_NS + second * S) is expected


def test_a_wildly_jumping_book_is_quoted_around_wherever_it_is():
    q, rng = quoter(), np.random.default_rng(1)
    for i in range(500):
        at = int(rng.integers(1_000, 3_000_000))
        reasons, row = decide(q, levels((at - 1, 100)), levels((at + 1, 100)), START_NS + i)
        bids, asks = wanted(row)
        assert reasons is Reason.NONE
        assert bids[0][0] < at < asks[0][0]
        assert row["fair"] == at * TICK


# modes and commands


def test_halted_and_a_mode_that_is_none_quote_nothing():
    q = quoter()
    for mode in (Mode.HALTED, 3, -1, 2**62):
        q.mode = mode
        reasons, row = decide(q, BIDS, ASKS)
        assert reasons is Reason.HALTED
        assert wanted(row) == ([], [])
        assert q.decision["mode"][0] == Mode.HALTED
        assert q.net_mid_ticks == 617_000  # what is estimated goes on
    q.command = Command.STOP_QUOTING
    assert decide(q, BIDS, ASKS)[0] is Reason.STOPPING


@pytest.mark.parametrize(
    ("position", "bids", "asks"),
    [(0, [], []), (25, [], [10, 10, 5]), (100, [], [10] * 4), (-3, [3], []), (-500, [10] * 4, []), (1, [], [1])],
)
def test_reducing_quotes_what_leads_back_and_no_more_than_the_position(position, bids, asks):
    q = quoter({"quoting.levels": 4})
    q.mode = Mode.REDUCING
    set_account(q, position)
    reasons, row = decide(q, BIDS, ASKS)
    assert Reason.REDUCING in reasons
    assert [[lots for _, lots in side] for side in wanted(row)] == [bids, asks]


def test_reducing_counts_what_may_reduce_already():
    q = quoter({"quoting.levels": 4})
    q.mode = Mode.REDUCING
    set_account(q, 25, outside_short_lots=12)
    assert [lots for _, lots in wanted(decide(q, BIDS, ASKS)[1])[1]] == [10, 3]
    q.parameters["min_order_lots"] = 4
    assert [lots for _, lots in wanted(decide(q, BIDS, ASKS)[1])[1]] == [10]


def test_orders_outside_the_slots_count_against_the_limit():
    q = quoter()
    set_account(q, 85, outside_long_lots=5)
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    set_account(q, 85, outside_long_lots=6)
    assert decide(q, BIDS, ASKS)[0] is Reason.AT_LONG_LIMIT
    set_account(q, -85, outside_long_lots=50, outside_short_lots=-20)  # less than none is none
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    assert (q.decision["bid_room_lots"][0], q.decision["ask_room_lots"][0]) == (135, 15)


def test_a_position_far_beyond_the_limit_at_the_start_quotes_only_what_leads_back_in_clips():
    q = quoter({"quoting.levels": 3})
    for position, n_bids, n_asks in ((5000, 0, 3), (-5000, 3, 0), (10**15, 0, 0)):
        set_account(q, position)
        reasons, row = decide(q, BIDS, ASKS)
        bids, asks = wanted(row)
        assert (len(bids), len(asks)) == (n_bids, n_asks)
        assert all(lots == 10 for _, lots in bids + asks)
        assert reasons
    assert reasons is Reason.MODEL_REFUSED  # its prices would be below zero


# the model's failures


def fail(q, model, times, **how):
    for _ in range(times):
        model.answer([616_900], [617_100], **how)
        assert decide(q, BIDS, ASKS)[0] is Reason.MODEL_FAILED


def test_a_model_that_keeps_failing_leads_to_reducing_for_the_rest_of_the_run():
    model = Scripted()
    q = quoter(model=model)
    set_account(q, 30)
    fail(q, model, 9, skew=math.nan)
    model.answer([616_900], [617_100])
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE
    assert q.decision["failures"][0] == 0  # in a row, not in all
    fail(q, model, 5, skew=math.inf)
    model.answer([], [], refusal=3)
    assert decide(q, BIDS, ASKS)[0] is Reason.MODEL_REFUSED  # no failure, nor an answer that is good
    assert q.decision["failures"][0] == 5
    fail(q, model, 5, n_bids=9)
    assert q.decision["failures"][0] == 10
    model.answer([616_900], [617_100])
    reasons, row = decide(q, BIDS, ASKS)
    assert reasons is Reason.REDUCING
    assert wanted(row) == ([], [(617_100, 10)])
    assert (q.decision["mode"][0], q.decision["failures"][0]) == (Mode.REDUCING, 0)
    q.mode = Mode.HALTED
    assert decide(q, BIDS, ASKS)[0] is Reason.HALTED  # the stricter of the two


@pytest.mark.parametrize(
    "how",
    [
        {"n_bids": -1}, {"n_bids": 9}, {"n_asks": 2**62}, {"skew": math.nan}, {"model_half": math.inf},
        {"fee": -math.inf}, {"horizon_s": math.nan}, {"bid_price": math.nan}, {"bid_price": 0.0}, {"ask_price": -1.0},
        {"ask_price": math.inf}, {"ask_price": 2.0**53}, {"bid_size": -0.001}, {"ask_size": math.nan},
        {"bid_size": math.inf}, {"bid_price": 61_710.0}, {"bid_price": 61_711.0},
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_failure(how):
    model = Scripted()
    q = quoter(model=model)
    fail(q, model, 1, **how)
    d = q.decision[0]
    assert wanted(d) == ([], [])
    assert not d["bid_clamp_ticks"].any()
    assert all(math.isfinite(q.target[0][name]) for name in ("fair", "skew", "model_half", "fee", "horizon_s"))


def test_what_a_model_wrote_before_it_raised_is_forgotten():
    model = Scripted()
    model.answer([616_900], [617_100])
    model.status = 1
    q = quoter(model=model)
    assert decide(q, BIDS, ASKS)[0] is Reason.MODEL_FAILED
    assert not q.decision["out"].tobytes().strip(b"\0")


def test_a_model_may_want_only_one_side_or_none():
    model = Scripted()
    q = quoter(model=model)
    for bids, asks in (([616_900], []), ([], [617_100]), ([], [])):
        model.answer(bids, asks)
        reasons, row = decide(q, BIDS, ASKS)
        assert reasons is Reason.NONE
        assert (row["n_bids"], row["n_asks"]) == (len(bids), len(asks))


def test_what_lies_behind_the_count_is_not_kept():
    model = Scripted()
    q = quoter({"quoting.levels": 2}, model=model)
    model.answer([616_900, 616_800, 616_700], [617_100], n_bids=1, bid_size=7.0)
    decide(q, BIDS, ASKS)
    assert not q.decision["out"]["bid_price"][0, 1:].any()
    assert not q.decision["out"]["bid_size"][0, 1:].any()


def test_sigma_of_exactly_zero_is_refused_with_its_reason():
    q = quoter(sigma=0.0)
    assert decide(q, BIDS, ASKS)[0] is Reason.MODEL_REFUSED
    assert q.decision["refusal"][0] > 0


# what the model is shown


def test_a_model_is_shown_the_others_in_money_and_coins():
    model = Scripted()
    q = quoter(
        {
            "model.name": "mine:quote",
            "model.parameters": (1.5, -2.0),
            "quoting.levels": 2,
            "quoting.level_step_ticks": 3,
        },
        model=model,
    )
    set_account(q, -30, [(BUY, 617_000, 5), (SELL, 617_001, 1000)], average_price=61_650.0)
    set_index(q, 61_690.0)
    bids = levels((617_000, 5), *((616_999 - i, 3000 - i) for i in range(12)))
    decide(q, bids, ASKS)
    x = model.x[0]
    assert (x["time_ns"], x["n_bids"], x["n_asks"], x["levels"]) == (START_NS, 10, 2, 2)
    assert x["bid_price"].tolist() == [(616_999 - i) * TICK for i in range(10)]
    assert x["ask_size"].tolist()[:3] == [1.0, 0.5, 0.0]
    assert (x["bid"], x["ask"]) == (616_999 * TICK, 617_001 * TICK)
    assert x["micro"] == pytest.approx((616_999 * 1000 + 617_001 * 3000) / 4000 * TICK, rel=1e-15)
    assert x["imbalance"] == 0.5
    assert (x["fair"], x["index"]) == (617_000 * TICK, 61_690.0)
    assert (x["position"], x["max_position"], x["average_price"], x["clip"]) == (-0.03, 0.1, 61_650.0, 0.01)
    assert (x["gamma"], x["sigma"], x["A_bid"], x["k_ask"], x["horizon_s"]) == (0.04, 8.0, 0.55, 0.25, -1.0)
    assert x["fee"] == pytest.approx(6.17)
    assert (x["tick"], x["lot"], x["drift"]) == (0.1, 0.001, 0.0)
    assert x["level_step"] == pytest.approx(0.3)
    assert x["parameter"].tolist() == [1.5, -2.0, 0, 0, 0, 0, 0, 0]
    assert model.x.tobytes() == q.decision["x"].tobytes()


# prices of every size, levels, sizes


@pytest.mark.parametrize(("price", "tick", "k"), [(1e-8, 1e-12, 2.5e11), (1e9, 10.0, 1e-5), (1.0, 1e-6, 2.5e3)])
def test_prices_of_any_size_are_quoted_as_the_same_number_of_ticks(price, tick, k):
    at = round(price / tick)
    half = 0.25 * at / 10_000
    bids, asks = levels((at - 1, 1000)), levels((at + 1, 1000))
    usd = 1 / (0.25 / k)  # how many of these prices make one of the default market
    q = quoter(tick=tick, gamma=0.04 * usd, sigma=8.0 / usd, k=k, drift=0.0)
    reasons, row = decide(q, bids, asks)
    quotes = wanted(row)
    assert reasons is Reason.NONE
    assert at - quotes[0][0][0] == pytest.approx(quotes[1][0][0] - at, abs=1)
    assert at - quotes[0][0][0] > half
    assert row["fair"] == pytest.approx(price, rel=1e-4)


def test_levels_lie_apart_and_each_as_the_model_would_quote_after_the_fills_before_it():
    q = quoter({"quoting.levels": 5, "quoting.level_step_ticks": 2})
    reasons, row = decide(q, BIDS, ASKS)
    bids, asks = wanted(row)
    assert reasons is Reason.NONE
    assert len(bids) == len(asks) == 5
    skew = q.decision["out"]["bid_price"][0]
    assert np.allclose(np.diff(skew[:5]), skew[1] - skew[0])
    for i in range(5):
        assert bids[i] == (math.floor(skew[i] / TICK), 10)
    assert all(a - b >= 2 for (a, _), (b, _) in itertools.pairwise(bids))
    set_account(q, 70)
    assert [len(side) for side in wanted(decide(q, BIDS, ASKS)[1])] == [3, 5]


def test_sizes_shrink_on_the_growing_side_alone():
    q = quoter({"quoting.levels": 2, "quoting.size_shrink": 0.2})
    for position, bids, asks in (
        (0, [10, 10], [10, 10]),
        (20, [6, 6], [10, 10]),
        (-50, [10, 10], [3, 3]),
        (98, [1, 1], [10, 10]),
        (99, [1], [10, 10]),
    ):
        set_account(q, position)
        _, row = decide(q, BIDS, ASKS)
        assert [[lots for _, lots in side] for side in wanted(row)] == [bids, asks], position
    set_account(q, 100)
    assert decide(q, BIDS, ASKS)[0] is Reason.AT_LONG_LIMIT


def test_sizes_of_the_model_are_cut_to_what_the_limit_leaves():
    model = Scripted()
    q = quoter({"quoting.levels": 3}, model=model)
    model.answer([(616_900, 33), (616_890, 2.9), (616_880, 0)], [(617_100, 0.5)])
    for position, lots, reasons in (
        (50, [33, 2, 10], Reason.NONE),
        (65, [33, 2], Reason.NONE),
        (80, [20], Reason.NONE),
        (99, [1], Reason.NONE),
        (100, [], Reason.AT_LONG_LIMIT),
    ):
        set_account(q, position)
        said, row = decide(q, BIDS, ASKS)
        assert said is reasons
        assert [n for _, n in wanted(row)[0]] == lots
        assert wanted(row)[1] == []  # half a lot is none


def test_the_largest_distance_brings_the_first_level_nearer_and_the_others_follow():
    model = Scripted()
    q = quoter({"quoting.levels": 3, "quoting.max_distance_ticks": 50}, model=model)
    model.answer([616_900.5, 616_890.5, 616_700.5], [617_040.5, 617_060.5])
    _, row = decide(q, BIDS, ASKS)
    assert [ticks for ticks, _ in wanted(row)[0]] == [616_950, 616_940, 616_750]
    assert [ticks for ticks, _ in wanted(row)[1]] == [617_041, 617_061]  # near enough as it is
    d = q.decision[0]
    assert d["bid_clamp_ticks"][:3, Clamp.MAX_DISTANCE].tolist() == [50, 50, 50]
    assert d["bid_clamp_ticks"][:3, Clamp.ROUNDING].tolist() == pytest.approx([-0.5] * 3, abs=1e-9)


# stamps and causes


def test_a_decision_names_what_it_was_made_of():
    q = quoter()
    set_account(q, 20, worst_long_lots=40, worst_short_lots=-10, outside_long_lots=1, fills=7, cash=5.0)
    q.account_version = 12
    decide(q, BIDS, ASKS, version=3, exchange_time_ns=5, receive_ns=START_NS - 9, published_ns=START_NS - 5)
    d, t = q.decision[0], q.target[0]
    assert (d["decision_id"], d["book_version"], d["account_version"], d["account_fills"]) == (1, 3, 12, 7)
    assert (d["book_exchange_time_ns"], d["book_receive_ns"], d["transport_ns"]) == (5, START_NS - 9, START_NS)
    assert (d["worst_long_lots"], d["worst_short_lots"], d["outside_long_lots"], d["cash"]) == (40, -10, 1, 5.0)
    assert (t["decision_id"], t["book_version"], t["receive_ns"], t["published_ns"]) == (
        1,
        3,
        START_NS - 9,
        START_NS - 5,
    )
    assert (t["decided_ns"], t["account_fills"], t["threshold_ticks"]) == (START_NS, 7, 2)


def test_the_cause_is_the_last_book_whose_target_was_passed_on():
    q = quoter()
    decide(q, BIDS, ASKS, version=4)
    assert (q.target["cause_version"][0], q.target["cause_receive_ns"][0]) == (0, 0)  # it came before we were there
    set_account(q, 50)
    decide(q, BIDS, ASKS, version=4)  # passed on for the account's sake, which is no such cause
    assert q.decision["passed_on"][0] == 1
    assert q.target["cause_version"][0] == 0
    up = [levels((side["price_ticks"][0] + 50, 1000)) for side in (BIDS, ASKS)]
    decide(q, *up, START_NS + 1, version=5)
    assert (q.target["cause_version"][0], q.target["cause_receive_ns"][0]) == (5, START_NS + 1)
    decide(q, *up, START_NS + 2, version=6)  # changes nothing
    assert q.decision["passed_on"][0] == 0
    assert (q.target["cause_version"][0], q.target["cause_receive_ns"][0]) == (5, START_NS + 1)


def test_a_quoter_keeps_the_code_of_its_model_alive():
    assert shipped_model().address
    q = quoter(model=Scripted())  # nobody else holds it
    assert decide(q, BIDS, ASKS)[0] is Reason.NONE


class Scribbling(Scripted):
    """Writes over what it was shown."""

    def _call(self, x, out):
        status = super()._call(x, out)
        ctypes.memset(x, 0xFF, MODEL_INPUT.itemsize)  # NaN, and -1
        return status


def test_what_a_model_does_to_its_input_changes_neither_the_decision_nor_what_it_tells():
    plain, scribbling = Scripted(), Scribbling()
    quoters = []
    for model in (plain, scribbling):
        model.answer(bids=[616_990], asks=[617_010])
        quoters.append(quoter(model=model))
        decide(quoters[-1], BIDS, ASKS)
    assert scribbling.x.tobytes() == plain.x.tobytes()
    assert quoters[0].decision.tobytes() == quoters[1].decision.tobytes()
    assert quoters[0].target.tobytes() == quoters[1].target.tobytes()
    assert quoters[1].target["fair"][0] == pytest.approx(61_700.0)


@pytest.mark.parametrize("step_ns", [10 * MS, 5 * S, 4000 * S])
def test_a_basis_stays_what_it_was_however_long_there_is_no_second_side(step_ns):
    q = quoter({"quoting.basis_half_life_s": 1.0, "limits.stale_feed_s": 5.0})
    now_ns = START_NS
    for offset in (30.0, 30.0, 50.0):
        set_index(q, 61_700.0 - offset, now_ns)
        decide(q, BIDS, ASKS, now_ns)
        now_ns += S
    basis = float(q.decision["basis"][0])
    assert 30.0 <= basis < 50.0
    q.decide(now_ns)  # what was seen last has stood until now
    set_index(q, 61_650.0, now_ns)
    decide(q, BIDS, NOBODY, now_ns)
    basis = float(q.decision["basis"][0])
    for _ in range(max(1200 * S // step_ns, 2)):
        now_ns += step_ns
        set_index(q, 61_650.0, now_ns)
        decide(q, BIDS, NOBODY, now_ns)
        assert FairSource(int(q.decision["fair_source"][0])) is FairSource.INDEX
    assert float(q.decision["basis"][0]) == pytest.approx(basis, rel=1e-9)
