"""What the ticker says of a contract's last 24 hours: trades summed by minute. Pure, in whole numbers."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from mftpy.sim.instrument import Listed
from mftpy.sim.money import MONEY

MINUTES: Final = 1440


class Minute:
    """Trades of one or more minutes; `value` is ticks times lots, `first` the first price."""

    __slots__ = ("first", "high", "lots", "low", "number", "value")

    def __init__(self, number: int, price_ticks: int) -> None:
        self.number = number
        self.lots = self.value = 0
        self.first = self.low = self.high = price_ticks

    def add(self, other: Minute) -> None:
        """Take in later trades."""
        self.lots += other.lots
        self.value += other.value
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)


class Day:
    """The trades of the last 24 hours, to the minute; what it costs to read does not grow with them."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._minutes: deque[Minute] = deque()
        self._closed: Minute | None = None  # all minutes but the last

    def add(self, price_ticks: int, lots: int, time_s: float) -> None:
        """Note one trade."""
        number = int(time_s // 60)
        if not self._minutes or self._minutes[-1].number != number:
            if self._minutes:
                self._close(self._minutes[-1])
            self._minutes.append(Minute(number, price_ticks))
        last = self._minutes[-1]
        last.lots += lots
        last.value += price_ticks * lots
        if price_ticks < last.low:
            last.low = price_ticks
        elif price_ticks > last.high:
            last.high = price_ticks

    def content(self, now_s: float, mark: float, last_ticks: int | None) -> dict[str, Any]:
        """Return the ticker's members; without trades the low and the high are the mark."""
        self._forget(int(now_s // 60) - MINUTES)
        if not self._minutes or last_ticks is None:
            return {"volume_24h": 0, "value_24h": 0, "low_price_24h": mark, "high_price_24h": mark, "change_24h": 0}
        listed, last, first = self._listed, self._minutes[-1], self._minutes[0]
        closed = self._closed or Minute(last.number, last.first)
        return {
            "volume_24h": listed.amount(closed.lots + last.lots),
            "value_24h": (closed.value + last.value) * listed.money_per_tick_lot / MONEY,
            "low_price_24h": listed.price(min(closed.low, last.low)),
            "high_price_24h": listed.price(max(closed.high, last.high)),
            "change_24h": listed.price(last_ticks - first.first),
        }

    def _close(self, minute: Minute) -> None:
        if self._closed is None:
            self._closed = Minute(minute.number, minute.first)
        self._closed.add(minute)

    def _forget(self, until: int) -> None:
        if not self._minutes or self._minutes[0].number > until:
            return
        while self._minutes and self._minutes[0].number <= until:
            self._minutes.popleft()
        self._closed = None
        for minute in list(self._minutes)[:-1]:
            self._close(minute)
