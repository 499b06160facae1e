"""Price-time priority in integer ticks and lots. Pure: no clock, no I/O, no randomness."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BUY = 1
SELL = -1


@dataclass(slots=True, eq=False)
class Resting:
    """Something that rests at a price: a client's order, or a part of the background's size there (`owner` None)."""

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


@dataclass(slots=True, eq=False)
class _Level:
    """The line at one price: first come, first in it (a dict keeps that order and forgets from anywhere at once)."""

    line: dict[Resting, None] = field(default_factory=dict)
    lots: int = 0
    background: int = 0


class OrderBook:
    """One instrument's resting orders: best price first, at a price the earlier first.

    Attributes
    ----------
    changed : set of (side, price_ticks)
        Levels whose size may have changed since the caller last cleared it.
    """

    def __init__(self) -> None:
        self._levels: dict[int, dict[int, _Level]] = {BUY: {}, SELL: {}}
        self._prices: dict[int, list[int]] = {BUY: [], SELL: []}  # ascending by side * -price: best first
        self._totals = {BUY: 0, SELL: 0}
        self._turns = 0
        self.changed: set[tuple[int, int]] = set()

    def best(self, side: int) -> int | None:
        """Best price of a side in ticks, or None."""
        keys = self._prices[side]
        return -side * keys[0] if keys else None

    def prices(self, side: int) -> Iterator[int]:
        """All prices of a side, best first."""
        return (-side * key for key in self._prices[side])

    def size(self, side: int, price_ticks: int) -> int:
        """Lots at a price."""
        level = self._levels[side].get(price_ticks)
        return 0 if level is None else level.lots

    def background(self, side: int, price_ticks: int) -> int:
        """Lots of the background at a price."""
        level = self._levels[side].get(price_ticks)
        return 0 if level is None else level.background

    def total(self, side: int) -> int:
        """Lots of a side."""
        return self._totals[side]

    def queue(self, side: int, price_ticks: int) -> Iterator[Resting]:
        """What rests at a price, first in line first."""
        level = self._levels[side].get(price_ticks)
        return iter(() if level is None else tuple(level.line))

    def add(self, item: Resting) -> None:
        """Put an order at the end of the line at its price; it must not cross."""
        levels = self._levels[item.side]
        level = levels.get(item.price_ticks)
        if level is None:
            level = levels[item.price_ticks] = _Level()
            insort(self._prices[item.side], -item.side * item.price_ticks)
        self._turns += 1
        item.turn = self._turns
        level.line[item] = None
        self._count(level, item, item.lots)

    def remove(self, item: Resting) -> None:
        """Take an order away."""
        level = self._levels[item.side][item.price_ticks]
        del level.line[item]
        self._count(level, item, -item.lots)
        self._tidy(level, item.side, item.price_ticks)

    def resize(self, item: Resting, lots: int) -> None:
        """Make an order smaller where it stands in line."""
        if not 0 < lots <= item.lots:
            raise ValueError(f"an order of {item.lots} lots keeps its place only when it shrinks, not to {lots}")
        self._count(self._levels[item.side][item.price_ticks], item, lots - item.lots)
        item.lots = lots

    def crosses(self, side: int, limit_ticks: int) -> bool:
        """True when an order of `side` at `limit_ticks` would meet the other side."""
        best = self.best(-side)
        return best is not None and side * (limit_ticks - best) >= 0

    def plan(self, side: int, limit_ticks: int | None, lots: int, keep: Callable[[Resting], bool]) -> list[Match]:
        """Return what a taker would meet, without changing anything; stops at the first order that `keep` refuses."""
        found: list[Match] = []
        levels = self._levels[-side]
        for key in self._prices[-side]:
            price = side * key
            if lots <= 0 or (limit_ticks is not None and side * (limit_ticks - price) < 0):
                break
            for item in levels[price].line:
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
            level = self._levels[item.side][price]
            self._count(level, item, -lots)
            item.lots -= lots
            if item.lots == 0:
                del level.line[item]
                self._tidy(level, item.side, price)

    def unlike(self, side: int, wanted: dict[int, int]) -> tuple[list[int], list[int]]:
        """Return the prices at which the background stands and is not wanted, and those where its size is another."""
        levels = self._levels[side]
        gone = [price for price, level in levels.items() if level.background and price not in wanted]
        other = []
        for price, lots in wanted.items():
            level = levels.get(price)
            if (0 if level is None else level.background) != lots:
                other.append(price)
        return gone, other

    def set_background(self, side: int, price_ticks: int, lots: int) -> None:
        """Make the background's size at a price what it is said to be; growth stands at the end of the line."""
        level = self._levels[side].get(price_ticks)
        surplus = (0 if level is None else level.background) - lots
        if surplus == 0:
            return
        if level is None or surplus < 0:
            self.add(Resting(side, price_ticks, -surplus))
            return
        for item in [item for item in reversed(level.line) if item.owner is None]:
            part = min(surplus, item.lots)
            surplus -= part
            if part == item.lots:
                self.remove(item)
            else:
                self.resize(item, item.lots - part)
            if surplus == 0:
                return

    def _count(self, level: _Level, item: Resting, lots: int) -> None:
        level.lots += lots
        if item.owner is None:
            level.background += lots
        self._totals[item.side] += lots
        self.changed.add((item.side, item.price_ticks))

    def _tidy(self, level: _Level, side: int, price_ticks: int) -> None:
        if not level.line:
            del self._levels[side][price_ticks]
            keys = self._prices[side]
            del keys[bisect_left(keys, -side * price_ticks)]
