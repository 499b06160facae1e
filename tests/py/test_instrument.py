"""What is listed: names, dates, steps."""

from datetime import UTC, datetime

import pytest

from mftpy.sim.instrument import Listed, dated_name, next_quarter, next_settlement
from mftpy.sim.money import UNIT


def at(*date):
    return datetime(*date, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("today", "expiry", "name"),
    [
        ((2026, 4, 20), (2026, 6, 26, 8), "BTC-26JUN26"),
        ((2026, 6, 19, 8), (2026, 6, 26, 8), "BTC-26JUN26"),
        ((2026, 6, 19, 8, 0, 1), (2026, 9, 25, 8), "BTC-25SEP26"),
        ((2026, 12, 1), (2026, 12, 25, 8), "BTC-25DEC26"),
        ((2026, 12, 30), (2027, 3, 26, 8), "BTC-26MAR27"),
        ((2027, 12, 24, 9), (2028, 3, 31, 8), "BTC-31MAR28"),
        ((2027, 1, 1), (2027, 3, 26, 8), "BTC-26MAR27"),
    ],
)
def test_the_next_quarter_s_last_friday_that_is_a_week_away_is_the_expiry(today, expiry, name):
    found = next_quarter(at(*today))
    assert found == at(*expiry)
    assert dated_name("BTC", found) == name


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ((2026, 4, 20, 7, 59, 59), (2026, 4, 20, 8)),
        ((2026, 4, 20, 8), (2026, 4, 21, 8)),
        ((2026, 12, 31, 20), (2027, 1, 1, 8)),
    ],
)
def test_settlement_is_at_the_next_eight_o_clock(now, then):
    assert next_settlement(at(*now)) == at(*then)
    assert next_settlement(at(*then) - 0.5) == at(*then)


def test_a_listing_says_what_the_protocol_asks_for_and_dates_only_of_what_expires():
    perpetual = Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT // 10, UNIT // 100, 1.5)
    assert perpetual.listing == {
        "instrument_name": "ETH-PERPETUAL",
        "product": "FETHUSD",
        "tick_size": 0.1,
        "volume_tick_size": 0.01,
        "min_order_amount": 0.01,
        "underlying": "ETHUSD",
        "type": "perpetual",
        "base_currency": "USD",
        "create_time": 1.5,
    }
    dated = Listed("BTC-25DEC26", "future", "BTCUSD", UNIT, UNIT // 1000, 1.5, 1_798_185_600)
    assert (dated.listing["expiry_date"], dated.listing["expiration_timestamp"]) == ("2026-12-25", 1_798_185_600)


def test_steps_below_eight_decimals_are_refused():
    with pytest.raises(ValueError, match="at least 1e-8"):
        Listed("X", "perpetual", "XUSD", 0, 1)
