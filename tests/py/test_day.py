"""The last 24 hours against a plain sum over all trades."""

from hypothesis import given
from hypothesis import strategies as st

from mftpy.sim.day import Day
from mftpy.sim.instrument import Listed
from mftpy.sim.money import UNIT

LISTED = Listed("ETH-PERPETUAL", "perpetual", "ETHUSD", UNIT // 10, UNIT // 100)
START_S = 1_776_715_500
trades = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 30, 61, 3_600, 40_000, 86_399, 86_460, 200_000]), st.integers(1, 99), st.integers(1, 9)
    ),
    max_size=30,
)


@given(trades, st.sampled_from([0, 59, 4_000, 86_340, 90_000]))
def test_volume_range_and_change_are_those_of_the_minutes_of_the_last_day(trades, later_s):
    day, known, now_s = Day(LISTED), [], START_S
    for wait_s, ticks, lots in trades:
        now_s += wait_s
        day.add(ticks, lots, now_s + 0.5)
        known.append((now_s // 60, ticks, lots))
        if lots % 2:
            day.content(now_s, 1.0, ticks)  # looking changes nothing
    now_s += later_s
    recent = [(ticks, lots) for minute, ticks, lots in known if minute > now_s // 60 - 1440]
    said = day.content(now_s, 17.5, known[-1][1] if known else None)
    if not recent:
        assert said == {"volume_24h": 0, "value_24h": 0, "low_price_24h": 17.5, "high_price_24h": 17.5, "change_24h": 0}
        return
    prices = [ticks for ticks, _ in recent]
    assert said == {
        "volume_24h": sum(lots for _, lots in recent) / 100,
        "value_24h": sum(ticks * lots for ticks, lots in recent) / 1000,
        "low_price_24h": min(prices) / 10,
        "high_price_24h": max(prices) / 10,
        "change_24h": (prices[-1] - prices[0]) / 10,
    }
