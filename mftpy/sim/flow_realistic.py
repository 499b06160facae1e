"""A market as markets are: takers who know something, others who do not, and some who are merely fast.

A hidden efficient price moves by the permanent impact of informed sweeps, and by news in between; what all venues
show, the index, is that price and the decaying impact of the last sweeps. Market orders arrive at a rate that switches;
most stop at the touch and mean nothing. A sweep reaches as far as its class says, in one order or several; the book it
goes through is the real one, with clients' orders in their places. The background is replenished a little later, around
the new price. Whatever rests then on the wrong side of the index by more than the costs of fast takers is theirs, when
it is still there after their latency. Numbers and reasons: `flow_realistic_parameters`.
"""

from __future__ import annotations

import heapq
import math
import random
from typing import Any, Final

from mftpy.errors import MftpyError
from mftpy.sim import flow_realistic_parameters as world
from mftpy.sim.flow import Market
from mftpy.sim.flow_realistic_book import Background
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.settings import ExchangeSettings

ARRIVAL: Final = 0
SWEEP: Final = 1
TOUCH: Final = 2
REFRESH: Final = 3
RACE: Final = 4
STEP: Final = 5
RATE: Final = 6
REGIME: Final = 7
NEWS: Final = 8


class RealisticFlow:
    """See the module's text."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._events: list[tuple[int, int, int, Any]] = []
        self._count = 0
        self.finished: str | None = None
        self.failure: MftpyError | None = None

    @property
    def mid(self) -> float:
        """What all venues show, in ticks: the efficient price and the decaying impact."""
        return self.efficient + self._decaying

    @property
    def regime(self) -> str:
        """Name of the regime in force."""
        return world.REGIMES[self._regime].name

    def start(self, market: Market, now_ns: int) -> None:
        """Make the first book around the initial price."""
        listed = market.instrument
        price = self._settings.initial_price
        self._tick_units = listed.tick_units
        self.usd = price / world.REFERENCE_PRICE / listed.tick_size  # ticks that one USD of the parameters is
        coins = world.REFERENCE_PRICE / price / listed.lot_size  # lots that one coin of the parameters is
        streams = {
            name: random.Random(f"{self._settings.seed}/{listed.name}/{name}")
            for name in ("sizes", "arrivals", "orders", "impact", "news", "regimes", "latency")
        }
        self._arrivals, self._orders, self._impact = streams["arrivals"], streams["orders"], streams["impact"]
        self._news, self._regimes, self._latency = streams["news"], streams["regimes"], streams["latency"]
        self._size_mu = math.log(world.SIZE_MEDIAN_COINS * coins)
        self._cost = world.FAST_COST_USD * self.usd
        self._decay = math.exp(-world.STEP_NS * 1e-9 / world.DECAY_S)
        self._diffusion = [
            regime.diffusion_usd_sqrt_s * self.usd * math.sqrt(world.STEP_NS * 1e-9) for regime in world.REGIMES
        ]
        self._jump = [regime.news_usd * self.usd for regime in world.REGIMES]
        self.efficient, self._decaying = price / listed.tick_size, 0.0
        self._least = 4 * world.DEPTH_USD * self.usd
        self._regime, self._high = self._first_regime(), False
        self._refreshing = False
        self.background = Background(
            streams["sizes"],
            world.LEVEL_MEDIAN_COINS * coins / self.usd,
            world.LEVEL_LN_SD,
            max(10, round(world.DEPTH_USD * self.usd)),
        )
        self.background.start(market, self.mid)
        market.set_index(round(self.mid * self._tick_units))
        self._now_ns = now_ns
        self._at(world.STEP_NS, STEP)
        self._next_news()
        self._at(self._exponential_ns(self._arrivals, 1 / world.LOW_RATE_PER_S), ARRIVAL)
        self._at(self._exponential_ns(self._regimes, world.LOW_MEAN_S), RATE)
        self._at(self._exponential_ns(self._regimes, world.REGIMES[self._regime].mean_s), REGIME)

    def next_due_ns(self) -> int | None:
        """Return the time of the next event."""
        return self._events[0][0]

    def step(self, market: Market, now_ns: int) -> None:
        """Let everything happen that is due, in order."""
        events = self._events
        while events[0][0] <= now_ns:
            self._now_ns, _, kind, what = heapq.heappop(events)
            if kind == ARRIVAL:
                self._arrive(market)
            elif kind == STEP:
                self._move(market)
            elif kind == TOUCH:
                self._touch(market, what)
            elif kind == SWEEP:
                self._sweep(market, *what)
            elif kind == REFRESH:
                self._refreshing = False
                self.background.refresh(market, self.mid)
            elif kind == RACE:
                self._race(market, what)
            elif kind == NEWS:
                self._jump_to(market)
            elif kind == RATE:
                self._high = not self._high
                mean_s = world.HIGH_MEAN_S if self._high else world.LOW_MEAN_S
                self._at(self._exponential_ns(self._regimes, mean_s), RATE)
            else:
                self._change_regime()

    # time

    def _at(self, delay_ns: int, kind: int, what: Any = None) -> None:
        self._count += 1
        heapq.heappush(self._events, (self._now_ns + delay_ns, self._count, kind, what))

    @staticmethod
    def _exponential_ns(stream: random.Random, mean_s: float) -> int:
        return 1 + int(stream.expovariate(1.0) * mean_s * 1e9)

    def _first_regime(self) -> int:
        """Draw from how much of the time each regime has, calm being entered from typical alone."""
        visits = (world.REGIMES[1].following[0][1], 1.0, world.REGIMES[1].following[1][1])
        weights = [visit * regime.mean_s for visit, regime in zip(visits, world.REGIMES, strict=True)]
        return self._regimes.choices(range(len(weights)), weights)[0]

    def _change_regime(self) -> None:
        u = self._regimes.random()
        for index, probability in world.REGIMES[self._regime].following:
            u -= probability
            if u < 0:
                self._regime = index
                break
        self._at(self._exponential_ns(self._regimes, world.REGIMES[self._regime].mean_s), REGIME)

    # takers

    def _arrive(self, market: Market) -> None:
        rate = world.HIGH_RATE_PER_S if self._high else world.LOW_RATE_PER_S
        self._at(self._exponential_ns(self._arrivals, 1 / rate), ARRIVAL)
        side = BUY if self._arrivals.random() < 0.5 else SELL
        u = self._arrivals.random()
        for item in world.REGIMES[self._regime].classes:
            u -= item.share
            if u < 0:
                self._begin_sweep(market, side, item)
                return
        self._touch(market, side)

    def _touch(self, market: Market, side: int) -> None:
        """Take at the best price and no further; no impact."""
        lots = max(1, round(self._orders.lognormvariate(self._size_mu, world.SIZE_LN_SD)))
        best = market.best(-side)
        if best is not None and market.take(side, best, lots) and self.background.taken(market, side, best):
            self._refresh_soon()

    def _begin_sweep(self, market: Market, side: int, item: world.ReachClass) -> None:
        impact = self._impact
        reach = item.reach_usd(impact.random()) * self.usd
        informed = impact.random() < item.informed
        permanent = item.permanent * (0.7 + 0.6 * impact.random()) if informed else 0.0
        decaying = item.decaying * 2 * impact.random()
        orders = 1
        while informed and impact.random() * item.orders > 1.0:
            orders += 1
        part = reach / orders
        delay_ns = 0
        for _ in range(orders - 1):
            delay_ns += self._exponential_ns(self._latency, world.FOLLOWER_MEAN_NS * 1e-9)
            self._at(delay_ns, SWEEP, (side, part, permanent, decaying))
        if item.least_usd and impact.random() < world.FLURRY_SHARE:
            span_ns = world.FLURRY_SPANS_NS[int(impact.random() * 3)]
            for _ in range(int(impact.expovariate(1 / world.FLURRY_MEAN_ORDERS))):
                self._at(1 + int(impact.random() * span_ns), TOUCH, side)
        self._sweep(market, side, part, permanent, decaying)

    def _sweep(self, market: Market, side: int, reach: float, permanent: float, decaying: float) -> None:
        """Take everything up to a reach beyond the mid, and move the price."""
        best = market.best(-side)
        limit = math.floor(self.mid + reach) if side == BUY else math.ceil(self.mid - reach)
        if best is not None and limit > 0:
            limit = side * max(side * limit, side * best)
            lots = int(self.background.within(side, limit) * world.SWEEP_MARGIN) + 1
            market.take(side, limit, lots)
            self.background.taken(market, side, limit)
        self.efficient = max(self.efficient + side * permanent * reach, self._least)
        self._decaying += side * decaying * reach
        self._show_index(market)
        self._refresh_soon()

    def _race(self, market: Market, index: float) -> None:
        """Take what is still stale against the index that was seen."""
        for side in (BUY, SELL):
            limit = math.floor(index - self._cost) if side == BUY else math.ceil(index + self._cost)
            best = market.best(-side)
            if best is not None and side * (limit - best) >= 0 and limit > 0:
                market.take(side, limit, max(1, self.background.within(side, limit)) * 100)
                self.background.taken(market, side, limit)
                self._refresh_soon()

    # the price

    def _move(self, market: Market) -> None:
        self._at(world.STEP_NS, STEP)
        self.efficient = max(self.efficient + self._diffusion[self._regime] * self._news.gauss(0.0, 1.0), self._least)
        self._decaying *= self._decay
        self._show_index(market)
        self.background.refresh(market, self.mid)
        u = self._news.random()
        if u < world.CHURN_SHARE:
            self.background.churn(market, BUY if 2 * u < world.CHURN_SHARE else SELL)

    def _next_news(self) -> None:
        rate = world.REGIMES[self._regime].news_per_s
        self._at(self._exponential_ns(self._news, 1 / rate), NEWS)

    def _jump_to(self, market: Market) -> None:
        """Move the price at once; other makers have gone before anybody can hit them, and stand again soon."""
        self._next_news()
        size = self._jump[self._regime] * self._news.expovariate(1.0)
        self.efficient = max(self.efficient + math.copysign(size, self._news.random() - 0.5), self._least)
        self._show_index(market)
        self.background.refresh(market, self.mid)

    def _show_index(self, market: Market) -> None:
        index = self.mid
        market.set_index(round(index * self._tick_units))
        bid, ask = market.best(BUY), market.best(SELL)
        if (bid is not None and bid >= index + self._cost) or (ask is not None and ask <= index - self._cost):
            delay_ns = world.FAST_NS + int(self._latency.expovariate(1.0) * world.FAST_MEAN_NS)
            self._at(delay_ns, RACE, index)

    def _refresh_soon(self) -> None:
        if not self._refreshing:
            self._refreshing = True
            delay_ns = world.REPLENISH_NS + int(self._latency.expovariate(1.0) * world.REPLENISH_MEAN_NS)
            self._at(delay_ns, REFRESH)
