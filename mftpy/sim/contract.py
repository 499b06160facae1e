"""One listed instrument at work: its order book, mark, collars and the day's figures."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, Final, NamedTuple

from mftpy.sim.day import Day
from mftpy.sim.instrument import Listed
from mftpy.sim.marking import Marking, Underlying
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
        self._day = Day(listed)

    def trade(self, price_ticks: int, lots: int, taker_side: int, time_s: float) -> None:
        """Note one trade."""
        trade = PublicTrade(price_ticks, lots, taker_side, time_s)
        self.prints.append(trade)
        self.recent.append(trade)
        self._day.add(price_ticks, lots, time_s)

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
        last = self.last_price()
        return {**sides, **({} if last is None else {"last": last}), "time": now_s}

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
            **self._day.content(now_s, self.mark_units / UNIT, self.recent[-1].price_ticks if self.recent else None),
            "collar_low": listed.price(self.collar_low_ticks),
            "collar_high": listed.price(self.collar_high_ticks),
            "open_interest": listed.amount(open_interest_lots),
            **self.marking.content(),
        }
