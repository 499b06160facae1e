"""One example for each rule of money and time: margin, liquidation, fees, marks, funding, settlement, expiry."""

import math

import pytest

from mftpy.sim.clearing import FeeRates
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import CENT, MONEY, UNIT
from tests.py.beside_plain import DATED, EIGHT
from tests.py.trading_desk import ANN, ANN_DROPS, BOB, Desk, fills


@pytest.fixture
def desk():
    return Desk()


# margin


def test_an_order_that_equity_does_not_cover_is_refused_and_one_that_reduces_is_not():
    desk = Desk(cash=50)  # 5 % of 1,000 USD
    said = desk.buy(ANN, 499, 1.9)
    assert desk.buy(ANN, 499, 0.2) == 24
    assert desk.change(said, 499, 2.1) == 24
    assert desk.change(said, 499, 2.0)["amount"] == 2.0
    assert isinstance(desk.sell(ANN, 501, 2.0), dict)  # only one of both can be filled
    desk.level(SELL, 499, 25)
    assert desk.lots(ANN) == 20
    assert desk.buy(ANN_DROPS, 490, 0.1) == 24
    assert isinstance(desk.sell(ANN_DROPS, 503, 1.5, reduce_only=True), dict)


def test_equity_below_the_initial_margin_cancels_all_orders():
    desk = Desk(cash=50)
    desk.level(SELL, 500, 19)  # all of it: no middle, no premium
    desk.buy(ANN, 500, 1.9)
    near, far = desk.sell(ANN, 503, 0.1), desk.sell(ANN_DROPS, 600, 0.1)
    desk.set_index(495 * UNIT)
    assert len(desk.trading.orders) == 2
    desk.pass_seconds(1)
    for said in (near, far):
        assert desk.heard(said)[-1] == ("cancel", "cancelled", "margin_breach")
    assert desk.lots(ANN) == 19


def test_equity_below_the_maintenance_margin_sells_the_position_at_the_liquidation_fee():
    desk = Desk(cash=50)
    desk.level(SELL, 500, 19)  # all of it: no middle, no premium
    desk.buy(ANN, 500, 1.9)
    desk.buy(BOB, 486, 1.0)
    desk.level(BUY, 485, 30)
    desk.set_index(486 * UNIT)
    desk.pass_seconds(1)
    assert desk.lots(ANN) == 0
    said = desk.notices[-1]
    assert (said["insert_reason"], said["order_type"], said["status"]) == ("liquidation", "market", "filled")
    assert fills(said) == [(486, 1.0, "taker"), (485, 0.9, "taker")]
    mine = [one for one in desk.trades if one.trade_type == "liquidation"]
    assert [(one.price_units // UNIT, one.fee) for one in mine] == [(486, 243 * CENT), (485, 219 * CENT)]
    assert mine[0].historical()["liquidation_fee"] == 2.43
    bobs = [one for one in desk.trades if one.trade_type == "normal" and one.price_units == 486 * UNIT]
    assert [(one.role, one.fee) for one in bobs] == [("maker", 5 * CENT)]


def test_what_a_liquidated_account_owes_beyond_its_money_is_borne_by_the_house():
    desk = Desk(cash=50)
    desk.level(SELL, 500, 19)  # all of it: no middle, no premium
    desk.buy(ANN, 500, 1.9)
    before = desk.clearing.house.cash
    desk.set_index(400 * UNIT)
    desk.level(BUY, 399, 100)
    desk.pass_seconds(1)
    account = desk.sessions[ANN].account
    assert (desk.lots(ANN), account.cash) == (0, 0)
    assert desk.clearing.house.cash < before + 190 * MONEY  # which is what it has gained on the position
    assert isinstance(desk.buy(BOB, 398, 0.1), dict)


def test_a_liquidation_that_finds_nobody_within_the_collar_goes_on_the_next_second():
    desk = Desk(cash=50)
    desk.level(SELL, 500, 19)  # all of it: no middle, no premium
    desk.buy(ANN, 500, 1.9)
    desk.set_index(480 * UNIT)
    desk.level(BUY, 460, 100)
    desk.pass_seconds(1)
    assert desk.lots(ANN) == 19
    desk.level(BUY, 475, 10)
    desk.pass_seconds(1)
    assert desk.lots(ANN) == 9


# fees, marks, funding


def test_fees_are_a_rate_on_the_index_by_role_rounded_to_cents(desk):
    desk.set_index(50_123_456_789)
    desk.sell(BOB, 505, 3.0)
    desk.buy(ANN, 505, 3.0)
    assert {one.role: one.fee // CENT for one in desk.trades} == {"maker": 15, "taker": 75}  # 0.1504, 0.7519
    assert desk.clearing.fees == 90 * CENT
    assert [one.historical()["fee_rate"] for one in desk.trades] == [5e-4, 1e-4]
    assert desk.trades[0].historical()["fee_basis"] == 501.23456789


def test_a_fee_of_half_a_cent_goes_to_the_even_one(desk):
    for lots, cents in ((1, 0), (3, 2), (5, 2), (7, 4)):  # 0.5, 1.5, 2.5, 3.5 cents for the maker
        desk.sell(BOB, 500, lots / 10)
        desk.buy(ANN, 500, lots / 10)
        assert desk.trades[-1].fee == cents * CENT


def test_the_mark_is_the_index_and_an_average_of_the_premium_over_30_seconds(desk):
    decay = math.exp(-1 / 30)
    series = [(498, 504), (498, 504), (498, 506), (496, 506), (None, 506), (498, 503)]
    premium = None
    for bid, ask in series:
        for side, price in ((BUY, bid), (SELL, ask)):
            for old in list(desk.contracts[0].book.prices(side)):
                desk.level(side, old, 0)
            if price is not None:
                desk.level(side, price, 5)
        desk.pass_seconds(1)
        if bid is not None:
            now = (bid + ask) / 2 - 500
            premium = now if premium is None else decay * premium + (1 - decay) * now
        assert desk.contracts[0].mark_units == round((500 + premium) * UNIT)
    assert round(premium, 6) == 1.014278


def test_funding_is_the_premium_by_the_part_of_a_day_that_passes_and_longs_pay(desk):
    desk.level(BUY, 503, 5)
    desk.level(SELL, 505, 5)
    desk.pass_seconds(1)  # the mark is 4 above the index from here on
    desk.buy(ANN, 505, 0.5)
    desk.level(SELL, 505, 5)
    began = desk.contracts[0].marking.funding_units
    desk.pass_seconds(216)
    paid = desk.contracts[0].marking.funding_units - began
    assert abs(paid - UNIT // 100) <= 1  # 4 USD * 0.06 h / 24 h, but for the second before
    ann, before = desk.sessions[ANN].account, desk.sessions[ANN].account.cash
    desk.sell(ANN, 503, 0.5)
    record = desk.trades[-1]
    assert record.funding_pnl == -paid * UNIT // 2
    assert ann.cash - before == record.funding_pnl + record.position_pnl - record.fee
    assert record.position_pnl == -MONEY


def test_shorts_are_paid_what_longs_pay_and_a_negative_premium_turns_it_round(desk):
    desk.level(BUY, 495, 5)
    desk.level(SELL, 497, 5)
    desk.pass_seconds(1)
    desk.sell(ANN, 495, 0.5)
    desk.level(BUY, 495, 5)
    desk.pass_seconds(216)
    desk.buy(ANN, 497, 0.5)
    assert abs(desk.trades[-1].funding_pnl + MONEY // 200) <= UNIT // 2


def test_the_dampener_leaves_small_premiums_free():
    desk = Desk(dampener_bps=20)  # 1 USD of 500
    desk.level(BUY, 499, 5)
    desk.level(SELL, 502, 5)
    desk.pass_seconds(60)
    assert desk.contracts[0].marking.funding_units == 0
    for side, sign in ((BUY, 1), (SELL, -1)):
        desk = Desk(dampener_bps=20)
        desk.level(side, 500 + sign * 1, 5)
        desk.level(-side, 500 + sign * 5, 5)
        desk.pass_seconds(216)
        assert desk.contracts[0].marking.funding_units == sign * UNIT // 200  # (3 - 1) USD * 0.06 h / 24 h


def test_a_dated_future_has_no_funding(desk):
    desk.set_level(1, BUY, 1_006, 5)
    desk.set_level(1, SELL, 1_010, 5)
    desk.pass_seconds(600)
    assert desk.contracts[1].marking.funding_units == 0
    assert desk.contracts[1].mark_units == 504 * UNIT
    assert desk.contracts[1].marking.content() == {}


def test_the_index_tells_how_far_an_expiry_has_come():
    desk = Desk(before_eight_s=1_801, expires=True)
    desk.set_index(500 * UNIT)
    assert set(desk.underlying.content(EIGHT, desk.clock.unix_s)) == {
        "index_name",
        "price",
        "timestamp",
        "previous_settlement_price",
    }
    desk.pass_seconds(451)
    desk.set_index(520 * UNIT)
    said = desk.underlying.content(EIGHT, desk.clock.unix_s)
    assert (said["price"], said["timestamp"]) == (520, EIGHT - 1_350)
    assert (said["expiration_print_average"], said["expiration_progress"]) == (500, 0.25)
    assert said["expected_expiration_price"] == 0.25 * 500 + 0.75 * 520


def test_a_mark_is_at_least_a_unit(desk):
    desk.contracts[0].marking._premium_units = -500 * UNIT
    assert desk.contracts[0].mark_units == 1


def test_the_ticker_says_the_funding_of_now_of_the_day_and_on_average(desk):
    desk.level(BUY, 503, 5)
    desk.level(SELL, 505, 5)
    assert desk.contracts[0].marking.content()["funding_rate"] == 0
    desk.pass_seconds(216)
    assert desk.contracts[0].marking.content() == {
        "funding_rate": 4 / 500,
        "funding_mark": 0.01,
        "realised_funding_24h": 0.01,
        "average_funding_rate_24h": pytest.approx(4 / 500),
    }


def test_a_liquidation_costs_50_basis_points():
    assert FeeRates(1, 2).liquidation == UNIT // 200


# the day


def test_at_eight_profit_becomes_cash_at_the_mark_and_the_session_begins_anew():
    desk = Desk(before_eight_s=3)
    desk.level(SELL, 500, 5)
    desk.buy(ANN, 500, 0.5)
    desk.set_index(504 * UNIT)
    account, position = desk.sessions[ANN].account, desk.sessions[ANN].account.position(desk.contracts[0])
    before, equity = account.cash, account.equity()
    desk.pass_seconds(2)
    assert account.cash == before
    desk.pass_seconds(1)
    assert desk.clock.unix_s == EIGHT
    assert (account.cash, account.equity()) == (before + 2 * MONEY, equity)
    line = account.portfolio()[0]
    assert (line["start_price"], line["average_price"]) == (504, 500)
    assert (line["realised_pnl"], line["unrealised_pnl"]) == (0, 0)
    assert desk.underlying.previous_settlement_units == 504 * UNIT
    assert position.realised == 0
    desk.set_index(505 * UNIT)
    desk.pass_seconds(10)
    assert account.cash == before + 2 * MONEY


def test_an_expiry_ends_orders_and_closes_positions_at_the_average_of_the_last_half_hour():
    desk = Desk(before_eight_s=1_801, expires=True)
    desk.pass_seconds(1)  # 07:30:00 is the first second that counts
    desk.set_level(1, SELL, 1_000, 4)
    said = desk.send(ANN, "buy", 500, 0.2, DATED)
    assert said["status"] == "filled"
    resting = desk.send(ANN_DROPS, "buy", 490, 0.2, DATED)
    before = desk.sessions[ANN].account.cash
    desk.pass_seconds(900)
    desk.set_index(504 * UNIT)
    desk.pass_seconds(900)
    average = (901 * 500 * UNIT + 900 * 504 * UNIT) // 1_801
    assert desk.heard(resting)[-1] == ("cancel", "cancelled", "instrument_deactivated")
    assert [one.trade_type for one in desk.trades] == ["normal", "expiration"]
    record = desk.trades[-1]
    assert (record.side, record.price_units, record.position_lots, record.fee) == (SELL, average, 0, 0)
    position = desk.sessions[ANN].account.position(desk.contracts[1])
    assert (position.lots, position.start_value, position.cost) == (0, 0, 0)
    assert desk.sessions[ANN].account.cash - before == UNIT // 5 * (average - 500 * UNIT)
    assert desk.send(ANN, "buy", 490, 0.2, DATED) == 5
    assert desk.daily.expired[0]["settlement_price"] == average / UNIT
    assert "removed" in desk.feeds.changes[0]


def test_what_an_expiry_has_realised_is_of_one_session_only():
    desk = Desk(before_eight_s=5, expires=True)
    desk.set_level(1, SELL, 1_000, 20)
    desk.send(ANN, "buy", 500, 0.2, DATED)
    account = desk.sessions[ANN].account
    desk.pass_seconds(3)
    desk.set_index(504 * UNIT)
    desk.pass_seconds(2)
    assert account.position(desk.contracts[1]).realised
    assert account.summary()["session_realised_pnl"]
    desk.daily._settlement_s -= 86_390
    desk.settlement_s -= 86_390
    desk.pass_seconds(10)
    assert account.summary()["session_realised_pnl"] == 0


def test_a_debt_that_an_expiry_leaves_is_borne_by_the_house():
    desk = Desk(before_eight_s=5, expires=True, cash=30)
    desk.set_level(1, SELL, 1_000, 20)
    desk.send(ANN, "buy", 500, 1.0, DATED)
    desk.pass_seconds(3)
    desk.set_index(400 * UNIT)
    desk.trading.check_margins = lambda: None  # the liquidation finds nobody
    desk.plain.check_margins = lambda: None
    desk.pass_seconds(2)
    account = desk.sessions[ANN].account
    del desk.trading.check_margins, desk.plain.check_margins
    was = account.cash
    desk.pass_seconds(1)
    assert (was < 0, account.cash) == (True, 0)


def test_a_day_s_volume_is_forgotten_when_the_day_is_over(desk):
    desk.level(SELL, 500, 5)
    desk.buy(ANN, 500, 0.5)
    contract = desk.contracts[0]
    now_s = desk.clock.unix_s
    assert contract.ticker(now_s, 5)["volume_24h"] == 0.5
    assert contract.ticker(now_s + 23 * 3_600, 5)["volume_24h"] == 0.5
    assert contract.ticker(now_s + 25 * 3_600, 5)["volume_24h"] == 0
