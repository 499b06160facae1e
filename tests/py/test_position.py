"""Position and money against a plain sum over fills."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftpy.execution.position import Position

TICK, LOT = 0.1, 0.001

fills = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(600_000, 620_000), st.integers(1, 50), st.floats(60_000, 62_000)),
    max_size=60,
)


@given(fills, st.floats(59_000, 63_000))
def test_money_is_that_of_a_plain_sum_over_the_fills(fills, mark):
    position = Position(TICK, LOT)
    for side, ticks, lots, fair in fills:
        position.on_fill(side, ticks, lots, fair)
    cash = sum(-side * ticks * TICK * lots * LOT for side, ticks, lots, _ in fills)
    lots = sum(side * lots for side, _, lots, _ in fills)
    assert position.lots == lots
    split = position.waterfall(mark)
    assert split.net == pytest.approx(cash + lots * LOT * mark, abs=1e-6)
    assert split.edge + split.inventory - split.fees + split.funding == pytest.approx(split.net, abs=1e-9)
    assert split.edge == pytest.approx(
        sum(side * (fair - ticks * TICK) * lots * LOT for side, ticks, lots, fair in fills), abs=1e-6
    )
    assert position.realised + position.unrealised(mark) == pytest.approx(split.net, abs=1e-6)


def test_closing_realises_against_the_average_and_turning_round_starts_a_new_average():
    position = Position(TICK, LOT)
    position.on_fill(1, 600_000, 10, 60_000.0)
    position.on_fill(1, 601_000, 10, 60_000.0)
    assert position.average_price == pytest.approx(60_050.0)
    position.on_fill(-1, 602_000, 30, 60_000.0)
    assert position.lots == -10
    assert position.realised == pytest.approx(150.0 * 20 * LOT)
    assert position.average_price == pytest.approx(60_200.0)
    position.on_fill(1, 602_000, 10, 60_000.0)
    assert (position.lots, position.average_price, position.unrealised(50_000.0)) == (0, 0.0, 0.0)


def test_a_position_brought_along_is_valued_at_its_start_price():
    position = Position(TICK, LOT, start_lots=-20, start_price=61_000.0)
    assert position.waterfall(61_000.0).net == pytest.approx(0.0)
    assert position.waterfall(60_900.0).net == pytest.approx(2.0)
    position.on_fill(1, 609_000, 20, math.nan)
    assert position.realised == pytest.approx(2.0)
    assert position.waterfall(70_000.0).net == pytest.approx(2.0)


def test_fees_lower_the_net_and_leave_edge_and_inventory_alone():
    position = Position(TICK, LOT)
    position.on_fill(1, 600_000, 10, 60_010.0)
    before = position.waterfall(60_000.0)
    position.fees = 0.06
    after = position.waterfall(60_000.0)
    assert (after.edge, after.inventory) == (before.edge, before.inventory)
    assert after.net == pytest.approx(before.net - 0.06)


def test_a_fill_without_a_fair_price_has_no_edge():
    position = Position(TICK, LOT)
    position.on_fill(1, 600_000, 10, math.nan)
    assert position.waterfall(60_000.0).edge == 0.0
