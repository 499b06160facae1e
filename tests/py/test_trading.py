"""One example for each rule of orders: matching, flags, collars, self-trades, amends, limits."""

import pytest

from mftpy.sim.contract import Contract
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.protocol import Refusal
from mftpy.sim.requests import Insert
from tests.py.beside_plain import DATED
from tests.py.trading_desk import ANN, ANN_2, ANN_DROPS, BOB, Desk, fills


@pytest.fixture
def desk():
    return Desk()


# priority and matching


def test_a_taker_meets_the_best_price_first_and_at_a_price_the_earlier(desk):
    first = desk.sell(BOB, 502, 0.2)
    second = desk.sell(BOB, 501, 0.3)
    third = desk.sell(BOB, 501, 0.4)
    said = desk.buy(ANN, 503, 0.8)
    assert fills(said) == [(501, 0.3, "taker"), (501, 0.4, "taker"), (502, 0.1, "taker")]
    assert (said["status"], said["delete_reason"], said["change_reason"]) == ("filled", "filled", "insert")
    assert desk.heard(second)[-1] == desk.heard(third)[-1] == ("fill", "filled", "filled")
    assert desk.heard(first)[-1] == ("fill", "partially_filled", None)


def test_what_is_left_of_a_limit_order_rests_and_of_an_immediate_one_goes(desk):
    desk.sell(BOB, 500, 0.2)
    said = desk.buy(ANN, 500, 0.5)
    assert (said["status"], said["filled_amount"], said["remaining_amount"]) == ("partially_filled", 0.2, 0.3)
    assert desk.queue(500) == [(said["order_id"], 3)]
    said = desk.sell(BOB, 500, 0.4, time_in_force="immediate_or_cancel")
    assert (said["status"], said["delete_reason"]) == ("cancelled_partially_filled", "immediate_cancel")
    assert (said["filled_amount"], said["remaining_amount"]) == (0.3, 0)
    assert desk.contracts[0].book.best(SELL) is None


def test_a_market_order_shows_no_price_and_is_immediate(desk):
    desk.level(SELL, 501, 2)
    said = desk.send(ANN, "buy", None, 0.5, order_type="market")
    assert "price" not in said
    assert (said["time_in_force"], said["status"]) == ("immediate_or_cancel", "cancelled_partially_filled")
    assert fills(said) == [(501, 0.2, "taker")]
    said = desk.send(ANN, "buy", None, 0.5, order_type="market")
    assert (said["status"], said["fills"], said["delete_reason"]) == ("cancelled", [], "immediate_cancel")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ({"order_type": "market", "time_in_force": "good_till_cancelled"}, 25),
        ({"post_only": True, "time_in_force": "immediate_or_cancel"}, 25),
        ({"reject_post_only": True}, 6),
        ({"order_type": "market", "collar": "ignore"}, 45),
        ({"order_type": "market", "collar": "reject"}, 43),
    ],
)
def test_what_does_not_go_together_is_refused(desk, flags, code):
    assert desk.buy(ANN, 500, 0.1, **flags) == code


def test_the_background_stands_in_line_as_everybody_does(desk):
    desk.level(BUY, 499, 5)
    mine = desk.buy(ANN, 499, 0.3)
    desk.level(BUY, 499, 9)  # four more, behind
    assert desk.queue(499) == [(None, 5), (mine["order_id"], 3), (None, 4)]
    desk.take(0, SELL, None, 6)
    assert desk.lots(ANN) == 1
    desk.level(BUY, 499, 2)  # the last in line go
    assert desk.queue(499) == [(mine["order_id"], 2), (None, 2)]


def test_a_level_that_would_cross_clients_orders_fills_them_first_at_their_prices(desk):
    far, near = desk.sell(ANN, 502, 0.3), desk.sell(ANN, 501, 0.2)
    beyond = desk.sell(ANN, 504, 0.1)
    desk.level(BUY, 503, 7)
    assert [fills(one) for one in desk.notices[-2:]] == [[(501, 0.2, "maker")], [(502, 0.3, "maker")]]
    assert set(desk.trading.orders) == {beyond["order_id"]}
    assert {far["order_id"], near["order_id"]}.isdisjoint(desk.trading.orders)
    assert desk.contracts[0].book.best(BUY) == 503


# numbers


def test_numbers_are_rounded_to_eight_decimals_before_they_are_held_against_the_steps(desk):
    assert desk.buy(ANN, 3.0999999999999999e2, 0.30000000000000004)["price"] == 310
    assert desk.buy(ANN, 310.000000004, 0.1)["price"] == 310
    assert desk.send(ANN, "buy", 3.4999999999999996, 0.05, DATED)["price"] == 3.5
    assert desk.buy(ANN, 310.000000006, 0.1) == 15
    assert desk.buy(ANN, 310, 0.100000006) == 14
    assert desk.buy(ANN, 1e-9, 0.1) == 13
    assert desk.buy(ANN, 310, 1e-9) == 14


def test_the_price_is_looked_at_before_the_amount(desk):
    assert desk.buy(ANN, 310.5, 0.15) == 15
    assert desk.buy(ANN, -310, 0.15) == 13
    assert desk.buy(ANN, 310, 0.15) == 14
    assert desk.buy(ANN, 310, 0) == 14


def test_a_client_order_id_that_lives_is_refused_and_free_again_afterwards(desk):
    said = desk.buy(ANN, 499, 0.1, client_order_id=2**64 - 1)
    assert said["client_order_id"] == 2**64 - 1
    assert desk.buy(ANN, 499, 0.1, client_order_id=2**64 - 1) == 2
    assert isinstance(desk.buy(ANN_DROPS, 499, 0.1, client_order_id=2**64 - 1), dict)
    assert desk.cancel(desk.trading.orders[said["order_id"]]) is None
    assert isinstance(desk.buy(ANN, 499, 0.1, client_order_id=2**64 - 1), dict)


# post-only


@pytest.mark.parametrize(("send", "opposite", "asked", "behind"), [("buy", SELL, 503, 500), ("sell", BUY, 498, 502)])
def test_a_post_only_order_that_would_take_stands_one_tick_behind_the_best(desk, send, opposite, asked, behind):
    desk.level(opposite, 501, 5)
    said = desk.send(ANN, send, asked, 0.2, post_only=True)
    assert (said["price"], said["status"], said["fills"]) == (behind, "open", [])
    said = desk.send(ANN, send, asked, 0.2, post_only=True, reject_post_only=True)
    assert (said["price"], said["status"], said["delete_reason"]) == (asked, "cancelled", "immediate_cancel")
    at_it = desk.send(ANN, send, 501, 0.2, post_only=True)
    assert at_it["price"] == behind


def test_a_post_only_buy_that_would_have_to_go_below_the_first_tick_is_cancelled(desk):
    desk.sell(BOB, 1, 0.1, collar="ignore")
    said = desk.buy(ANN, 1, 0.1, post_only=True)
    assert (said["status"], said["delete_reason"]) == ("cancelled", "immediate_cancel")


def test_a_post_only_order_stands_behind_its_own_client_s_orders_too(desk):
    desk.sell(ANN, 500, 0.1)
    assert desk.buy(ANN, 500, 0.1, post_only=True)["price"] == 499


@pytest.mark.parametrize(("keeps", "outcome"), [(False, (501, "filled")), (True, (500, "open"))])
def test_whether_an_amended_order_stays_post_only_is_a_switch(keeps, outcome):
    desk = Desk(keeps_post_only=keeps)
    desk.level(SELL, 501, 5)
    said = desk.buy(ANN, 498, 0.2, post_only=True)
    said = desk.change(said, 501, 0.2)
    assert (said["price"], said["status"]) == outcome


def test_a_post_only_order_that_rejects_goes_when_an_amend_that_stays_post_only_would_take():
    desk = Desk(keeps_post_only=True)
    desk.level(SELL, 501, 5)
    said = desk.buy(ANN, 498, 0.2, post_only=True, reject_post_only=True)
    said = desk.change(said, 501, 0.2)
    assert (said["change_reason"], said["status"]) == ("amend", "cancelled")
    assert said["delete_reason"] == "immediate_cancel"


# reduce-only


def long_position(desk, lots=5):
    desk.sell(BOB, 500, lots / 10)
    desk.buy(ANN, 500, lots / 10)
    assert desk.lots(ANN) == lots


def test_a_reduce_only_order_is_cut_to_the_position_and_refused_where_it_would_add(desk):
    assert desk.sell(ANN, 502, 0.1, reduce_only=True) == 57
    long_position(desk)
    said = desk.sell(ANN, 502, 0.9, reduce_only=True)
    assert (said["amount"], said["reduce_only"]) == (0.5, True)
    assert desk.buy(ANN, 490, 0.1, reduce_only=True) == 57


def test_reduce_only_orders_shrink_each_on_its_own_with_the_position(desk):
    long_position(desk)
    first = desk.sell(ANN, 502, 0.5, reduce_only=True)
    second = desk.sell(ANN, 503, 0.3, reduce_only=True)
    desk.sell(ANN, 499, 0.3)
    desk.buy(BOB, 499, 0.3)
    assert desk.queue(502, SELL) == [(first["order_id"], 2)]
    assert desk.queue(503, SELL) == [(second["order_id"], 2)]
    desk.level(BUY, 502, 1)
    assert desk.heard(first)[-1] == ("fill", "filled", "filled")
    assert desk.heard(second)[-1] == ("cancel", "cancelled", "immediate_cancel")
    assert desk.lots(ANN) == 0


def test_an_amended_reduce_only_order_grows_no_further_than_the_position(desk):
    long_position(desk)
    said = desk.sell(ANN, 502, 0.2, reduce_only=True)
    assert desk.change(said, 502, 3.0)["amount"] == 0.5


# collars


@pytest.mark.parametrize(("send", "beyond", "bound"), [("buy", 511, 510), ("sell", 489, 490)])
def test_a_limit_beyond_the_collar_is_refused_clamped_or_let_be(desk, send, beyond, bound):
    assert desk.send(ANN, send, beyond, 0.1) == 43
    assert desk.send(ANN, send, beyond, 0.1, collar="clamp")["price"] == bound
    assert desk.send(ANN_DROPS, send, bound, 0.1)["price"] == bound
    assert desk.send(ANN_DROPS, send, beyond, 0.1, collar="ignore")["price"] == beyond
    safe = 300 if send == "buy" else 900
    assert desk.send(ANN, send, safe, 0.1)["price"] == safe


def test_the_collar_goes_with_the_mark_and_onto_a_tick_within(desk):
    desk.set_index(503 * UNIT + 1)  # 513.06... and 492.94...
    assert desk.buy(ANN, 514, 0.1) == desk.sell(BOB, 492, 0.1) == 43
    assert desk.buy(ANN, 999, 0.1, collar="clamp")["price"] == 513
    assert desk.sell(ANN_DROPS, 1, 0.1, collar="clamp", post_only=True)["price"] == 514
    assert desk.send(ANN, "sell", 400, 0.05, DATED, collar="clamp")["price"] == 493


def test_a_market_order_goes_no_further_than_the_collar(desk):
    desk.level(SELL, 509, 1)
    desk.level(SELL, 512, 5)
    said = desk.send(ANN, "buy", None, 0.3, order_type="market")
    assert fills(said) == [(509, 0.1, "taker")]


def test_an_amend_meets_the_collar_and_a_refused_one_changes_nothing(desk):
    said = desk.buy(ANN, 499, 0.2)
    assert desk.change(said, 511, 0.3) == 43
    assert desk.queue(499) == [(said["order_id"], 2)]
    assert desk.change(said, 511, 0.3, collar="clamp")["price"] == 510


# self-trade prevention


@pytest.mark.parametrize(
    ("level", "own_account", "own_customer", "other"),
    [("customer", True, True, False), ("account", True, False, False), ("disabled", False, False, False)],
)
def test_self_trades_are_prevented_at_three_levels(level, own_account, own_customer, other):
    for taker, prevented in ((ANN_DROPS, own_account), (ANN_2, own_customer), (BOB, other)):
        desk = Desk()
        resting = desk.sell(ANN, 500, 0.1)
        said = desk.buy(taker, 500, 0.1, stp_level=level)
        assert (said["delete_reason"] == "self_trade_prevention") is prevented
        assert (resting["order_id"] in desk.trading.orders) is prevented


def test_an_exchange_that_allows_no_override_prevents_the_customer_s_self_trades_whatever_is_asked():
    desk = Desk(stp_override=False)
    desk.sell(ANN, 500, 0.1)
    assert desk.buy(ANN_2, 500, 0.1, stp_level="disabled")["delete_reason"] == "self_trade_prevention"


def test_the_taker_is_cancelled_where_it_meets_its_own_after_filling_up_to_there_or_without_any_fill(desk):
    desk.level(SELL, 500, 2)
    own = desk.sell(ANN, 501, 0.1)
    desk.level(SELL, 502, 4)
    action = {"stp_action": "cancel_aggressive_no_fill"}
    said = desk.buy(ANN, 503, 0.4, **action)
    assert (said["status"], said["fills"]) == ("cancelled", [])
    said = desk.buy(ANN, 503, 0.4)
    assert (said["status"], said["filled_amount"]) == ("cancelled_partially_filled", 0.2)
    assert said["delete_reason"] == "self_trade_prevention"
    assert own["order_id"] in desk.trading.orders
    desk.level(SELL, 500, 2)
    assert desk.buy(ANN, 503, 0.2, **action)["status"] == "filled"  # it ends before it gets there


def test_an_order_that_is_gone_or_unknown_is_not_found_and_one_id_is_needed(desk):
    said = desk.buy(ANN, 499, 0.1, client_order_id=0)
    find, session = desk.trading.find, desk.sessions[ANN]
    assert find(session, None, 0) is find(session, said["order_id"], None)
    for wrong in ((None, 1), ("1", None), (said["order_id"].lower(), None)):
        with pytest.raises(Refusal, match="not found"):
            find(session, *wrong)
    for wrong in ((None, None), (said["order_id"], 0)):
        with pytest.raises(Refusal, match="exactly one"):
            find(session, *wrong)
    with pytest.raises(Refusal, match="not found"):
        find(desk.sessions[ANN_DROPS], None, 0)
    assert find(desk.sessions[ANN_DROPS], said["order_id"], None).order_id == said["order_id"]
    desk.cancel(desk.trading.orders[said["order_id"]])
    with pytest.raises(Refusal, match="not found"):
        find(session, None, 0)


# amend


def test_an_amend_gives_the_new_total_and_what_is_filled_counts(desk):
    said = desk.buy(ANN, 499, 0.5)
    desk.take(0, SELL, 499, 2)
    said = desk.change(said, 499, 0.9)
    assert (said["amount"], said["filled_amount"], said["remaining_amount"]) == (0.9, 0.2, 0.7)
    assert (said["status"], said["change_reason"], said["fills"]) == ("partially_filled", "amend", [])


@pytest.mark.parametrize(("amount", "status"), [(0.2, "cancelled_partially_filled"), (0, "cancelled_partially_filled")])
def test_an_amend_to_what_is_filled_or_less_deletes(desk, amount, status):
    said = desk.buy(ANN, 499, 0.5)
    desk.take(0, SELL, 499, 2)
    said = desk.change(said, 499, amount)
    assert (said["status"], said["delete_reason"]) == (status, "client_cancel")
    assert not desk.trading.orders


@pytest.mark.parametrize(
    ("price", "amount", "kept"), [(499, 0.2, True), (499, 0.3, True), (499, 0.4, False), (498, 0.2, False)]
)
def test_an_amended_order_keeps_its_place_only_when_it_shrinks_or_stays_at_its_price(desk, price, amount, kept):
    mine = desk.buy(ANN, 499, 0.3)
    for at in (499, 498):
        desk.buy(BOB, at, 0.1)
    assert desk.change(mine, price, amount)["order_id"] == mine["order_id"]
    assert (desk.queue(price)[0][0] == mine["order_id"]) is kept


def test_an_amended_order_may_take_where_it_crosses(desk):
    desk.level(SELL, 501, 2)
    said = desk.buy(ANN, 499, 0.5)
    said = desk.change(said, 501, 0.5)
    assert fills(said) == [(501, 0.2, "taker")]
    assert (said["status"], said["change_reason"], desk.queue(501)) == (
        "partially_filled",
        "amend",
        [(said["order_id"], 3)],
    )


# limits


def test_what_rests_in_another_underlying_does_not_count_towards_that_size():
    desk = Desk(most_value=100)
    contract, ann = desk.contracts[0], desk.sessions[ANN]
    other = Contract(Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT, UNIT // 10), Underlying("ETHUSD", 500 * UNIT))
    for one in (contract, other):
        assert desk.trading.insert(ann, Insert(one, BUY, 499, 2))["status"] == "open"
        with pytest.raises(Refusal, match="too large"):
            desk.trading.insert(ann, Insert(one, BUY, 499, 1))


def test_open_orders_are_limited_per_account():
    desk = Desk(most_orders=3)
    kept, *_ = [desk.buy(session, 499, 0.1) for session in (ANN, ANN_DROPS, ANN)]
    assert desk.buy(ANN, 499, 0.1) == 49
    assert isinstance(desk.buy(ANN_2, 499, 0.1), dict)
    assert desk.change(kept, 498, 0.2)["amount"] == 0.2


def test_the_size_of_open_orders_is_limited_per_underlying_and_side():
    desk = Desk(most_value=100)
    said = desk.buy(ANN, 499, 0.1)
    assert desk.send(ANN, "buy", 499, 0.15, DATED) == 50
    assert isinstance(desk.send(ANN, "buy", 499, 0.1, DATED), dict)
    assert desk.change(said, 499, 0.2) == 50
    assert isinstance(desk.sell(ANN, 501, 0.2), dict)
