"""The ``book`` channels: price levels by step and by depth, and what has changed since they were last shown."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, Final

from mftpy.sim.clock import Clock
from mftpy.sim.feeds_topic import Topic
from mftpy.sim.instrument import Listed
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.protocol import notification

MOST_TRADES: Final = 1000
"""Trades in one message; of more the last are told."""

SIDES: Final = ((BUY, "bid_changes"), (SELL, "ask_changes"))


class Ladder:
    """A contract's book in price steps: bids stand at the step at or below their price, asks at the one at or above.

    Parameters
    ----------
    step_ticks : int
    sizes : mapping
        Side -> price in ticks -> lots to begin with.

    Attributes
    ----------
    levels : dict
        Side -> step in ticks -> lots.
    keys : dict
        Side -> ascending ``-side * step``: best first.
    totals : dict
        Side -> lots.
    topics : dict of str to BookTopic
        By name: the channels that show it.
    """

    def __init__(self, step_ticks: int, sizes: Mapping[int, Mapping[int, int]]) -> None:
        self.step_ticks = step_ticks
        self.levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.keys: dict[int, list[int]] = {BUY: [], SELL: []}
        self.totals = {BUY: 0, SELL: 0}
        self.topics: dict[str, BookTopic] = {}
        for side, prices in sizes.items():
            for price_ticks, lots in prices.items():
                self.move(side, price_ticks, lots)

    def move(self, side: int, price_ticks: int, more_lots: int) -> int:
        """Add lots at a price; returns the step at which they stand."""
        key = price_ticks
        if self.step_ticks > 1:
            key = side * (side * price_ticks // self.step_ticks) * self.step_ticks
        self.totals[side] += more_lots
        levels = self.levels[side]
        lots = levels.get(key, 0) + more_lots
        if lots == more_lots:
            insort(self.keys[side], -side * key)
        if lots:
            levels[key] = lots
        else:
            del levels[key]
            keys = self.keys[side]
            del keys[bisect_left(keys, -side * key)]
        return key


class BookTopic(Topic):
    """One book channel. All its listeners share one view: what has been shown so far."""

    def __init__(
        self, name: str, clock: Clock, interval_ns: int, listed: Listed, ladder: Ladder, most_levels: int | None
    ) -> None:
        super().__init__(name, clock, interval_ns)
        self._trades: list[list[Any]] = []
        self._listed = listed
        self._ladder = ladder
        self._most = most_levels
        self._touched: dict[int, set[int]] = {BUY: set(), SELL: set()}
        self._shown = {side: {key: ladder.levels[side][key] for key in self._window(side)} for side, _ in SIDES}
        self._totals = dict(ladder.totals)
        self._shown_s = clock.unix_s

    def touch(self, side: int, key: int) -> None:
        """Note that a level has changed."""
        self.dirty = True
        self._touched[side].add(key)

    def add_trades(self, trades: list[list[Any]]) -> None:
        """Note trades, as messages carry them."""
        self.dirty = True
        self._trades += trades
        del self._trades[:-MOST_TRADES]

    def snapshot(self) -> list[bytes]:
        """Return the view, as its listeners know it."""
        if not self.dirty:
            self._shown_s = self.clock.unix_s
        said: dict[str, Any] = {
            name: [self._level(key, self._shown[side][key]) for key in sorted(self._shown[side], reverse=side > 0)]
            for side, name in SIDES
        }
        return [notification(self.name, self._complete(said, []), snapshot=True)]

    def message(self) -> bytes | None:
        """Return what has changed since the last message; None when it has all come to nothing."""
        said: dict[str, Any] = {name: self._changes(side) for side, name in SIDES}
        trades, self._trades = self._trades, []
        totals = self._ladder.totals
        if not (said["bid_changes"] or said["ask_changes"] or trades) and totals == self._totals:
            return None
        self._totals = dict(totals)
        self._shown_s = self.clock.unix_s
        return notification(self.name, self._complete(said, trades))

    def _complete(self, said: dict[str, Any], trades: list[list[Any]]) -> dict[str, Any]:
        amount = self._listed.amount
        said["total_bid_amount"] = amount(self._totals[BUY])
        said["total_ask_amount"] = amount(self._totals[SELL])
        said["trades"] = trades
        said["time"] = self._shown_s
        return said

    def _level(self, key: int, lots: int) -> list[float]:
        amount = self._listed.amount(lots)
        return [self._listed.price(key), amount, amount]  # nothing here is implied: all of it is outright

    def _window(self, side: int) -> list[int]:
        return [-side * key for key in self._ladder.keys[side][: self._most]]

    def _changes(self, side: int) -> list[list[float]]:
        touched, shown = self._touched[side], self._shown[side]
        if not touched:
            return []
        levels, keys = self._ladder.levels[side], self._ladder.keys[side]
        self._touched[side] = set()
        last = -side * keys[self._most - 1] if self._most is not None and len(keys) > self._most else None
        candidates: set[int] = touched
        if self._most is not None and any(
            (key in shown) is not (key in levels and (last is None or side * (key - last) >= 0)) for key in touched
        ):
            # a level has come into the window or left it, so that others may have been pushed out or let in
            candidates = touched | (shown.keys() ^ self._window(side))
        found = []
        for key in sorted(candidates, reverse=side > 0):
            lots = levels.get(key, 0) if last is None or side * (key - last) >= 0 else 0
            if lots == shown.get(key, 0):
                continue
            if lots:
                shown[key] = lots
            else:
                del shown[key]
            found.append(self._level(key, lots))
        return found
