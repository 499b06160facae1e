"""The background of the realistic market: other makers' sizes at every price around the mid, moved with it.

Only what changes is touched: when the mid moves by n ticks, n levels are added and n taken away on each edge.
"""

from __future__ import annotations

import math
import random
from typing import Final

from mftpy.sim.flow import Market
from mftpy.sim.matching import BUY, SELL

SIZES_REMEMBERED: Final = 200_000
SIZES_DRAWN: Final = 4096


class Background:
    """Sizes at prices, without a gap from the near to the far edge of each side.

    Parameters
    ----------
    sizes : random.Random
        Draws what is shown at a price, once.
    median_lots, ln_sd : float
        Of the lognormal size of a level.
    depth_ticks : int
        From near to far edge, at least.

    Attributes
    ----------
    slack : int
        The far edge follows once it is off by so much: a mid that goes to and fro moves the near edges alone.
    """

    def __init__(self, sizes: random.Random, median_lots: float, ln_sd: float, depth_ticks: int) -> None:
        self._random = sizes
        mu = math.log(max(median_lots, 1.0))
        self._drawn = [max(1, round(sizes.lognormvariate(mu, ln_sd))) for _ in range(SIZES_DRAWN)]
        self._depth = depth_ticks
        self.slack = max(2, depth_ticks // 4)
        self._sizes: dict[int, int] = {}
        self._dirty: set[tuple[int, int]] = set()
        # by side; key = -side * price, so that on both sides the near edge is the lower and nothing lies below it
        self._near = {BUY: 0, SELL: 0}
        self._far = {BUY: -1, SELL: -1}

    def start(self, market: Market, mid: float) -> None:
        """Show the first book."""
        bid = math.ceil(mid) - 1
        for side, price in ((BUY, bid), (SELL, bid + 1)):
            key = -side * price
            self._near[side], self._far[side] = key, key + self._depth
            for level in range(key, key + self._depth + 1):
                self._show(market, side, -side * level)

    def size(self, price_ticks: int) -> int:
        """Lots that are shown at a price."""
        lots = self._sizes.get(price_ticks)
        if lots is None:
            if len(self._sizes) >= SIZES_REMEMBERED:
                self._sizes.clear()
            lots = self._sizes[price_ticks] = self._drawn[int(self._random.random() * SIZES_DRAWN)]
        return lots

    def within(self, side: int, limit_ticks: int) -> int:
        """Lots that a taker of a side is shown up to a limit."""
        total = 0
        for key in range(self._near[-side], min(side * limit_ticks, self._far[-side]) + 1):
            total += self.size(side * key)
        return total

    def taken(self, market: Market, side: int, limit_ticks: int) -> bool:
        """Note that a taker of `side` has taken up to a limit; returns whether the near edge has gone."""
        other = -side
        first = key = self._near[other]
        last = min(side * limit_ticks, self._far[other])
        while key <= last and market.background(other, side * key) == 0:
            key += 1
        self._near[other] = key
        if key <= last:
            self._dirty.add((other, side * key))
        return key != first

    def refresh(self, market: Market, mid: float) -> None:
        """Stand around a mid in ticks, one tick apart, but for where clients' orders are in the way."""
        bid = math.ceil(mid) - 1
        want = {BUY: -bid, SELL: bid + 1}
        near, far = self._near, self._far
        if not self._dirty and near == want:
            return
        for side in (BUY, SELL):  # first what lies too near: it must not be in the other side's way
            key = want[side]
            if near[side] < key:
                for level in range(near[side], min(key, far[side] + 1)):
                    market.set_level(side, -side * level, 0)
                near[side] = key
                far[side] = max(far[side], key - 1)
        for side in (BUY, SELL):
            key = want[side]
            if key < near[side]:
                other = market.best(-side)
                if other is not None:
                    key = max(key, 1 - side * other)
                for level in range(key, near[side]):
                    self._show(market, side, -side * level)
                near[side] = min(near[side], key)
            self._move_far_edge(market, side)
        if self._dirty:
            for side, price in self._dirty:
                if near[side] <= -side * price <= far[side]:
                    self._show(market, side, price)
            self._dirty.clear()

    def churn(self, market: Market, side: int) -> None:
        """Draw the size of one level anew."""
        span = self._far[side] - self._near[side] + 1
        if span > 0:
            price = -side * (self._near[side] + int(self._random.random() ** 2 * span))
            if price > 0:
                lots = self._sizes[price] = self._drawn[int(self._random.random() * SIZES_DRAWN)]
                market.set_level(side, price, lots)

    def _move_far_edge(self, market: Market, side: int) -> None:
        want = self._near[side] + self._depth
        if 0 <= self._far[side] - want <= self.slack:
            return
        want += self.slack // 2
        for level in range(self._far[side] + 1, want + 1):
            self._show(market, side, -side * level)
        for level in range(want + 1, self._far[side] + 1):
            market.set_level(side, -side * level, 0)
        self._far[side] = want

    def _show(self, market: Market, side: int, price_ticks: int) -> None:
        market.set_level(side, price_ticks, self.size(price_ticks) if price_ticks > 0 else 0)
