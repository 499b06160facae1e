"""Price-time priority in integer ticks and lots. Pure: no clock, no I/O, no randomness."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

BUY = 1
SELL = -1


@dataclass(slots=True, eq=False)
class Resting:
    """Something that rests at a price: a client's order, or the background's size there (`owner` None)."""

    side: int
    price_ticks: int
    lots: int
    owner: Any = None
    turn: int = 0
    """Counts the orders that ever joined a line: at one price the lower is first."""


class Match(NamedTuple):
    """One meeting of a taker with a resting order, at the resting order's price."""

    maker: Resting
    price_ticks: int
    lots: int


class OrderBook:
    """One instrument's resting orders: best price first, at a price the earlier first.

    Attributes
    ----------
    changed : set of (side, price_ticks)
        Levels whose size may have changed since the caller last cleared it.
    """

    def __init__(self) -> None:
        self._queues: dict[int, dict[int, deque[Resting]]] = {BUY: {}, SELL: {}}
        self._prices: dict[int, list[int]] = {BUY: [], SELL: []}  # ascending by side * -price: best first
        self.changed: set[tuple[int, int]] = set()
        self._turns = 0

    def best(self, side: int) -> int | None:
        """Best price of a side in ticks, or None."""
        keys = self._prices[side]
        return -side * keys[0] if keys else None

    def prices(self, side: int) -> Iterator[int]:
        """All prices of a side, best first."""
        return (-side * key for key in self._prices[side])

    def size(self, side: int, price_ticks: int) -> int:
        """Lots at a price."""
        return sum(item.lots for item in self._queues[side].get(price_ticks, ()))

    def total(self, side: int) -> int:
        """Lots of a side."""
        return sum(item.lots for queue in self._queues[side].values() for item in queue)

    def queue(self, side: int, price_ticks: int) -> Iterator[Resting]:
        """What rests at a price, first in line first."""
        return iter(tuple(self._queues[side].get(price_ticks, ())))

    def add(self, item: Resting) -> None:
        """Put an order at the end of the line at its price; it must not cross."""
        queue = self._queues[item.side].get(item.price_ticks)
        if queue is None:
            queue = self._queues[item.side][item.price_ticks] = deque()
            insort(self._prices[item.side], -item.side * item.price_ticks)
        self._turns += 1
        item.turn = self._turns
        queue.append(item)
        self.changed.add((item.side, item.price_ticks))

    def remove(self, item: Resting) -> None:
        """Take an order away."""
        self._queues[item.side][item.price_ticks].remove(item)
        self._tidy(item.side, item.price_ticks)

    def resize(self, item: Resting, lots: int) -> None:
        """Make an order smaller where it stands in line."""
        if not 0 < lots <= item.lots:
            raise ValueError(f"an order of {item.lots} lots keeps its place only when it shrinks, not to {lots}")
        item.lots = lots
        self.changed.add((item.side, item.price_ticks))

    def crosses(self, side: int, limit_ticks: int) -> bool:
        """True when an order of `side` at `limit_ticks` would meet the other side."""
        best = self.best(-side)
        return best is not None and side * (limit_ticks - best) >= 0

    def plan(self, side: int, limit_ticks: int | None, lots: int, keep: Callable[[Resting], bool]) -> list[Match]:
        """Return what a taker would meet, without changing anything; stops at the first order that `keep` refuses."""
        found: list[Match] = []
        for price in self.prices(-side):
            if lots <= 0 or (limit_ticks is not None and side * (limit_ticks - price) < 0):
                break
            for item in self._queues[-side][price]:
                if lots <= 0:
                    break
                if not keep(item):
                    return found
                part = min(lots, item.lots)
                found.append(Match(item, price, part))
                lots -= part
        return found

    def apply(self, matches: list[Match]) -> None:
        """Take from the resting orders what a plan has met."""
        for item, price, lots in matches:
            item.lots -= lots
            self.changed.add((item.side, price))
            if item.lots == 0:
                self._queues[item.side][price].remove(item)
                self._tidy(item.side, price)

    def set_background(self, side: int, price_ticks: int, lots: int) -> None:
        """Make the background's size at a price what it is said to be; growth stands at the end of the line."""
        mine = [item for item in self._queues[side].get(price_ticks, ()) if item.owner is None]
        have = sum(item.lots for item in mine)
        if lots > have:
            self.add(Resting(side, price_ticks, lots - have))
            return
        surplus = have - lots
        for item in reversed(mine):
            if surplus <= 0:
                break
            part = min(surplus, item.lots)
            surplus -= part
            item.lots -= part
            if item.lots == 0:
                self.remove(item)
        self.changed.add((side, price_ticks))

    def _tidy(self, side: int, price_ticks: int) -> None:
        self.changed.add((side, price_ticks))
        if not self._queues[side][price_ticks]:
            del self._queues[side][price_ticks]
            keys = self._prices[side]
            del keys[bisect_left(keys, -side * price_ticks)]
