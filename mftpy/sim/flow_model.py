"""The model's own world: fills arrive at the rate that the quoter assumes, whatever the price does next.

The mid is an arithmetic Brownian motion. Per side, takers arrive as a Poisson process of rate A; each reaches
exponentially far beyond the mid (mean 1/k) and fills every client order within its reach. So a quote at the distance d
is hit at the rate A exp(-k d), independently of the mid's moves. The background is replenished at once. Source: the
arrivals of Avellaneda and Stoikov 2008, section 2.3, with lambda(d) = A exp(-k d).
"""

from __future__ import annotations

import math
import random
from typing import Final

from mftpy.errors import MftpyError
from mftpy.sim.flow import Market
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.settings import ExchangeSettings

STEP_NS: Final = 50_000_000
NEAR_TICKS: Final = 8
DEPTH: Final = 70.0 / 61_700.0
GRID: Final = 1.0 / 61_700.0
"""How far the background reaches, and its steps beyond the near ticks, as fractions of the price at the start."""


class ModelFlow:
    """See the module's text."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._random = random.Random(settings.seed)
        self._settings = settings
        self._mid = settings.initial_price
        self._due_ns = 0
        self._sizes: dict[int, int] = {}
        self._wanted: dict[int, dict[int, int]] = {}
        self._shown_bid: int | None = None  # best bid that `_wanted` was made for
        self.finished: str | None = None
        self.failure: MftpyError | None = None

    @property
    def mid(self) -> float:
        """The hidden mid, in quote currency."""
        return self._mid

    def start(self, market: Market, now_ns: int) -> None:
        """Make the first book around the initial price."""
        self._due_ns = now_ns + STEP_NS
        self._publish(market)

    def next_due_ns(self) -> int | None:
        """Return the time of the next step."""
        return self._due_ns

    def step(self, market: Market, now_ns: int) -> None:
        """Let the takers of the elapsed interval arrive, then move the mid; every interval that is due, in turn."""
        while self._due_ns <= now_ns:
            self._due_ns += STEP_NS
            dt_s = STEP_NS * 1e-9
            for side in (BUY, SELL):
                for _ in range(self._poisson(self._settings.A_per_s * dt_s)):
                    self._arrive(market, side)
            self._mid += self._settings.sigma_usd_sqrt_s * math.sqrt(dt_s) * self._random.gauss(0.0, 1.0)
            self._mid = max(self._mid, 2 * DEPTH * self._settings.initial_price)
        self._publish(market)

    def _arrive(self, market: Market, side: int) -> None:
        """One taker: its side, and how far beyond the mid it reaches."""
        reach = self._random.expovariate(self._settings.k_per_usd)
        limit = self._mid + side * reach
        tick = market.instrument.tick_size
        for order in market.client_orders(-side):
            assert order.price_ticks is not None
            if side * (limit - order.price_ticks * tick) < 0:
                break
            market.fill(order, order.open_lots)
        touch = self._touch(tick)[side]
        market.print_trade(touch, self._size(touch), side)

    def _poisson(self, mean: float) -> int:
        count, left = 0, math.exp(-mean)
        product = self._random.random()
        while product > left:
            count += 1
            product *= self._random.random()
        return count

    def _touch(self, tick: float) -> dict[int, int]:
        """Price that a taker of each side meets first: the best ask for a buyer, the best bid for a seller."""
        bid = math.ceil(self._mid / tick) - 1
        return {BUY: bid + 1, SELL: bid}

    def _publish(self, market: Market) -> None:
        instrument = market.instrument
        tick, price = instrument.tick_size, self._settings.initial_price
        touch = self._touch(tick)
        if touch[SELL] != self._shown_bid:
            self._shown_bid = touch[SELL]
            grid = max(round(GRID * price / tick), 1)
            depth = max(round(DEPTH * price / tick), 2 * NEAR_TICKS)
            for side, best in ((BUY, touch[SELL]), (SELL, touch[BUY])):
                near = [best - side * step for step in range(NEAR_TICKS)]
                first = near[-1] // grid * grid
                far = [first - side * step * grid for step in range(1, depth // grid + 1)]
                self._wanted[side] = {price: self._size(price) for price in (*near, *far) if price > 0}
        market.set_index((touch[BUY] + touch[SELL]) * instrument.tick_units // 2)
        market.set_background(self._wanted)

    def _size(self, price_ticks: int) -> int:
        """Lots that the background shows at a price: always the same there, so that few levels change with the mid."""
        if price_ticks not in self._sizes:
            if len(self._sizes) > 100_000:
                self._sizes.clear()
            level = random.Random(self._settings.seed * 1_000_003 + price_ticks)
            self._sizes[price_ticks] = max(1, round(level.lognormvariate(6.0, 1.0)))
        return self._sizes[price_ticks]
