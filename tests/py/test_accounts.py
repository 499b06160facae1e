"""Money to the last unit: cash, positions and profit of one account against plain sums over its fills."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftpy.sim.accounts import Account, Position
from mftpy.sim.contract import Contract
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import CENT, MONEY, UNIT, decimal_units, fee_of, half_even, rounded_units

TICK, LOT = Fraction(1, 10), Fraction(1, 1000)
CASH = 1_000 * MONEY
fills = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]), st.integers(600_000, 620_000), st.integers(1, 50), st.integers(-9, 9) | st.just(0)
    ),
    max_size=50,
)


def contract(expiry_s=None):
    kind = "perpetual" if expiry_s is None else "future"
    listed = Listed("X", kind, "XUSD", UNIT // 10, UNIT // 1000, expiry_s=expiry_s)
    return Contract(listed, Underlying("XUSD", 61_000 * UNIT))


@given(fills, st.integers(500_000, 700_000))
def test_equity_is_exactly_cash_fills_funding_and_the_position_at_the_mark(steps, mark_ticks):
    one = contract()
    account = Account("A1", "ann", CASH)
    cash, lots, fees, funded = Fraction(1_000), 0, 0, Fraction(0)
    for side, ticks, size, funding in steps:
        one.marking.funding_units += funding
        funded += lots * LOT * Fraction(funding, UNIT)
        fee = fee_of(61_000 * UNIT, 10_000, size * one.listed.lot_units)
        gain, _ = account.fill(one, side, ticks, size, fee)
        assert (gain == 0) or lots * side < 0
        cash -= side * ticks * TICK * size * LOT + Fraction(fee, MONEY)
        lots += side * size
        fees += fee
    position = account.position(one)
    assert (position.lots, account.fees) == (lots, fees)
    one.underlying.index_units = mark_ticks * one.listed.tick_units
    assert Fraction(account.equity(), MONEY) == cash + lots * LOT * mark_ticks * TICK - funded
    if lots == 0:
        assert (position.start_value, position.cost, account.portfolio()) == (0, 0, [])
        assert Fraction(account.cash, MONEY) == cash - funded


@given(fills, st.data())
def test_a_settlement_moves_profit_into_cash_and_changes_neither_equity_nor_the_average_price(steps, data):
    one = contract()
    settled, other = Account("A1", "ann", CASH), Account("A2", "ann", CASH)
    for side, ticks, size, _ in steps:
        for account in (settled, other):
            account.fill(one, side, ticks, size, 0)
        one.underlying.index_units = data.draw(st.integers(500_000, 700_000)) * one.listed.tick_units
        settled.settle(one, one.mark_units)
        assert settled.unrealised() == 0
    assert settled.equity() == other.equity()
    assert settled.position(one).cost == other.position(one).cost


@pytest.mark.parametrize(
    ("lots", "open_lots", "side", "more", "worst"),
    [
        (0, (0, 0), 0, 0, 0),
        (3, (0, 0), 0, 0, 3),
        (-3, (0, 0), 0, 0, 3),
        (3, (2, 4), 0, 0, 5),
        (3, (2, 9), 0, 0, 6),
        (3, (2, 4), BUY, 5, 10),
        (3, (2, 4), SELL, 5, 6),
        (-3, (9, 1), SELL, 1, 6),
    ],
)
def test_the_worst_case_is_all_orders_of_one_side(lots, open_lots, side, more, worst):
    position = Position(lots=lots, open_lots={BUY: open_lots[0], SELL: open_lots[1]})
    assert position.worst_lots(side, more) == worst


def test_margins_are_5_and_2_5_per_cent_at_the_mark_and_add_up_over_contracts():
    account, other = Account("A1", "ann", CASH), contract(1_798_185_600)
    one = contract()
    account.fill(one, SELL, 600_000, 100, 0)
    account.contracts["Y"], account.positions["Y"] = other, Position(lots=50)
    assert account.required() == 61_000 * 15 * MONEY // 100 * 5 // 100
    assert account.maintenance() == 61_000 * 15 * MONEY // 100 * 25 // 1000
    assert account.required(one, SELL, 100) - account.required() == 61_000 * MONEY // 10 * 5 // 100
    assert account.required(one, BUY, 100) == account.required()


def test_a_line_of_the_portfolio_says_what_has_been_carried_paid_and_gained():
    one, account = contract(), Account("A1", "ann", CASH)
    account.fill(one, BUY, 610_000, 40, 0)
    account.fill(one, SELL, 611_000, 10, 0)
    one.marking.funding_units += 2 * UNIT
    one.underlying.index_units = 61_200 * UNIT
    assert account.portfolio() == [
        {
            "instrument_name": "X",
            "position": 0.03,
            "mark_price": 61_200,
            "index": 61_200,
            "start_price": 61_000,
            "average_price": 61_000,
            "unrealised_pnl": 6,
            "realised_pnl": 1,
            "entry_value": 1830,
            "perpetual_funding_entry_value": 0,
            "unrealised_perpetual_funding": -0.06,
        }
    ]
    said = account.summary()
    assert (said["cash"][0]["balance"], said["unrealised_pnl"], said["margin"]) == (1_001, 5.94, 1_006.94)
    assert (said["required_margin"], said["remaining_margin"]) == (91.8, 915.14)
    assert said["session_realised_pnl"] == 1


def test_fees_are_rounded_to_cents_a_half_to_the_even_one():
    index = decimal_units(84_165.4396666667)
    assert fee_of(index, 25_000, UNIT * 18 // 1000) == 38 * CENT  # a real record of the exchange
    assert fee_of(61_700 * UNIT, 10_000, UNIT // 100) == 6 * CENT
    assert [fee_of(half * UNIT // 2, UNIT // 100, UNIT) // CENT for half in (1, 3, 5)] == [0, 2, 2]


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_a_quotient_is_rounded_half_to_even_whatever_its_sign(numerator, denominator):
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))
    assert half_even(2 * numerator + 1, 2) == round(Fraction(2 * numerator + 1, 2))


@given(st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15))
def test_numbers_of_clients_are_rounded_as_their_exact_value_is(value):
    assert rounded_units(value) == round(Fraction(value) * UNIT)


@given(st.integers(0, 10**14), st.integers(-3, 3))
def test_a_decimal_of_eight_places_survives_the_noise_of_doubles(units, ulps):
    value = units / UNIT
    for _ in range(abs(ulps)):
        value *= 1 + ulps / abs(ulps) * 2.0**-52
    assert rounded_units(value) == units
