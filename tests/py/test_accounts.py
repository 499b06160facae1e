"""Money to the last cent: cash, position and profit against a plain sum over fills."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mftpy.sim.accounts import Account, fee_of

TICK, LOT = Fraction(1, 10), Fraction(1, 1000)
fills = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(600_000, 620_000), st.integers(1, 50)), max_size=50)


@given(fills, st.integers(500_000, 700_000))
def test_equity_is_exactly_cash_plus_the_position_at_the_mark(fills, mark_ticks):
    account, cash, lots, fees = Account(Fraction(1000), TICK, LOT), Fraction(1000), 0, Fraction(0)
    for side, ticks, size in fills:
        fee = fee_of(ticks * TICK, Fraction(1, 10_000), size * LOT)
        account.fill(side, ticks, size, fee)
        cash -= side * ticks * TICK * size * LOT + fee
        lots += side * size
        fees += fee
    mark = mark_ticks * TICK
    assert account.position_lots == lots
    assert account.fees == fees
    assert account.cash + account.unrealised(mark) == cash + lots * LOT * mark
    if lots == 0:
        assert account.entry_value == 0
        assert account.portfolio("X", mark, mark) == []


def test_fees_are_rounded_to_cents():
    index = Fraction("84165.4396666667")
    assert fee_of(index, Fraction("0.00025"), Fraction("0.018")) == Fraction(38, 100)  # a real record of the exchange
    assert fee_of(Fraction(61_700), Fraction("0.0001"), Fraction("0.01")) == Fraction(6, 100)
