"""One listed instrument at work: its order book, mark, collars and the day's figures."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, Final, NamedTuple

from mftpy.sim.instrument import Listed
from mftpy.sim.marking import DAY_S, Marking, Underlying
from mftpy.sim.matching import BUY, SELL, OrderBook
from mftpy.sim.money import UNIT

COLLAR_PERCENT: Final = 2
"""Bids above and asks below this distance from the mark meet the collar."""

RECENT_TRADES: Final = 100


class PublicTrade(NamedTuple):
    """What everybody may know of a trade."""

    price_ticks: int
    lots: int
    taker_side: int
    time_s: float


class Contract:
    """See the module's text.

    Attributes
    ----------
    prints : list of PublicTrade
        Trades since the feeds last took them.
    recent : deque of PublicTrade
        The last ones of all.
    """

    def __init__(self, listed: Listed, underlying: Underlying, dampener_units: int = 0) -> None:
        self.listed = listed
        self.underlying = underlying
        self.book = OrderBook()
        self.marking = Marking(listed, underlying, dampener_units)
        self.prints: list[PublicTrade] = []
        self.recent: deque[PublicTrade] = deque(maxlen=RECENT_TRADES)
        self._minutes: deque[list[int]] = deque()  # [minute, lots, money, low, high, first price]

    def trade(self, price_ticks: int, lots: int, taker_side: int, time_s: float) -> None:
        """Note one trade."""
        trade = PublicTrade(price_ticks, lots, taker_side, time_s)
        self.prints.append(trade)
        self.recent.append(trade)
        minute = int(time_s // 60)
        value = price_ticks * lots
        if self._minutes and self._minutes[-1][0] == minute:
            last = self._minutes[-1]
            last[1] += lots
            last[2] += value
            if price_ticks < last[3]:
                last[3] = price_ticks
            elif price_ticks > last[4]:
                last[4] = price_ticks
        else:
            self._minutes.append([minute, lots, value, price_ticks, price_ticks, price_ticks])
            while self._minutes[0][0] <= minute - DAY_S // 60:
                self._minutes.popleft()

    @property
    def mark_units(self) -> int:
        """Mark in 1e-8 quote currency."""
        return self.marking.mark_units

    @property
    def collar_low_ticks(self) -> int:
        """Lowest price of an ask inside the collar."""
        return -(-self.mark_units * (100 - COLLAR_PERCENT) // (100 * self.listed.tick_units))

    @property
    def collar_high_ticks(self) -> int:
        """Highest price of a bid inside the collar."""
        return self.mark_units * (100 + COLLAR_PERCENT) // (100 * self.listed.tick_units)

    def day(self) -> dict[str, Any]:
        """Return the ticker's members about the last 24 hours."""
        listed = self.listed
        if not self._minutes:
            mark = self.mark_units / UNIT
            return {"volume_24h": 0, "value_24h": 0, "low_price_24h": mark, "high_price_24h": mark, "change_24h": 0}
        lots = sum(minute[1] for minute in self._minutes)
        value = sum(minute[2] for minute in self._minutes)
        return {
            "volume_24h": listed.amount(lots),
            "value_24h": value * listed.money_per_tick_lot / UNIT / UNIT,
            "low_price_24h": listed.price(min(minute[3] for minute in self._minutes)),
            "high_price_24h": listed.price(max(minute[4] for minute in self._minutes)),
            "change_24h": listed.price(self.recent[-1].price_ticks) - listed.price(self._minutes[0][5]),
        }

    def level(self, side: int, price_ticks: int) -> list[float]:
        """Return a level as messages carry it: price, amount, outright amount (nothing here is implied)."""
        amount = self.listed.amount(self.book.size(side, price_ticks))
        return [self.listed.price(price_ticks), amount, amount]

    def snapshot(self, levels: int, now_s: float) -> dict[str, Any]:
        """Content of ``public/book``: the best levels of each side."""
        sides = {
            name: [self.level(side, price) for price in islice(self.book.prices(side), levels)]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        return {**sides, "last": self.last_price(), "time": now_s}

    def last_price(self) -> float | None:
        """Price of the last trade."""
        return self.listed.price(self.recent[-1].price_ticks) if self.recent else None

    def ticker(self, now_s: float, open_interest_lots: int) -> dict[str, Any]:
        """Content of ``ticker`` and ``public/ticker``."""
        listed = self.listed
        said: dict[str, Any] = {}
        for side, name in ((BUY, "bid"), (SELL, "ask")):
            best = self.book.best(side)
            said[f"best_{name}_price"] = None if best is None else listed.price(best)
            said[f"best_{name}_amount"] = None if best is None else listed.amount(self.book.size(side, best))
        return {
            **said,
            "last_price": self.last_price(),
            "mark_price": self.mark_units / UNIT,
            "mark_timestamp": now_s,
            "delta": 1,
            "index": self.underlying.index_units / UNIT,
            **self.day(),
            "collar_low": listed.price(self.collar_low_ticks),
            "collar_high": listed.price(self.collar_high_ticks),
            "open_interest": listed.amount(open_interest_lots),
            **self.marking.content(),
        }
