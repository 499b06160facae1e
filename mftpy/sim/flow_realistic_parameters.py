"""The numbers of the realistic market, each with its reason.

They are given as for Bitcoin at 61,700 USD, and scaled with the price for other instruments: the same basis points.
"From the recording" refers to 345 s of Binance's BTCUSDT perpetual of 8 August 2024, the sample that hftbacktest
publishes: 16 market orders a second, of which 82 % stop at the touch; sigma 3.8 to 14 USD/sqrt(s) within six minutes;
an order that reaches 1 USD and more is followed by the mid, 6.6 +- 1.3 USD after a second. What it cannot tell (five
minutes hold few far sweeps) is set so that the acceptance of ``mftpy exchange --study`` can be measured, and said so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

REFERENCE_PRICE: Final = 61_700.0

STEP_NS: Final = 50_000_000
"""Between two steps of what moves without trades: the recording's depth updates come every 52 ms."""

LOW_RATE_PER_S: Final = 5.0
HIGH_RATE_PER_S: Final = 45.0
"""Arrivals of takers in the two states of their rate; with the followers of a sweep the mean is the recording's 16."""
LOW_MEAN_S: Final = 7.5
HIGH_MEAN_S: Final = 2.4
"""How long a state lasts, exponentially: variance over mean of the counts of one second is then about 20 (25)."""

CHURN_SHARE: Final = 0.5
"""Of the steps: one level's size is drawn anew, besides those that trades and moves change."""

SIZE_MEDIAN_COINS: Final = 0.03
SIZE_LN_SD: Final = 2.3
"""Of an order that stops at the touch, from the recording: mean 0.42, p99 6."""

LEVEL_MEDIAN_COINS: Final = 1.2
LEVEL_LN_SD: Final = 0.6
"""What the background shows per USD of price: a sweep of 10 USD is then among the largest percent of orders (7 BTC)."""
DEPTH_USD: Final = 70.0
REACH_MOST_USD: Final = 60.0
SWEEP_MARGIN: Final = 1.5
"""A sweep brings so many times what the background shows within its reach: clients' orders do not stop it."""

NEWS_SHARE: Final = 0.7
"""Of the variance that no trade here makes, what comes in jumps: other venues lead, and fast takers were there first.
An assumption: the recording is of the venue that leads."""

DECAY_S: Final = 1.5
"""Time constant of the decaying part of impact: sigma over 10 s is lower than over 1 s (7.4 against 8.6)."""

FOLLOWER_MEAN_NS: Final = 25_000_000
"""Between the orders of which one sweep consists: an order is split over venues and time, and is followed by others."""
FLURRY_SHARE: Final = 0.05
FLURRY_MEAN_ORDERS: Final = 150.0
FLURRY_SPANS_NS: Final = (10_000_000, 100_000_000, 1_000_000_000)
"""Some of the farthest sweeps (stops, liquidations) draw a crowd: the recording has 593 messages in 10 ms."""

REPLENISH_NS: Final = 200_000
REPLENISH_MEAN_NS: Final = 800_000
"""After a sweep the background stands again after the one plus an exponential with the other mean."""

FAST_NS: Final = 3_000_000
FAST_MEAN_NS: Final = 12_000_000
FAST_COST_USD: Final = 2.0
"""Fast takers: latency, the constant plus an exponential, and all-in costs (0.3 basis points: best fee tiers). An
assumption: no recording tells who was fast."""


@dataclass(frozen=True, slots=True)
class ReachClass:
    """Sweeps of one class: how often, how far, and what becomes of the price.

    Attributes
    ----------
    share : float
        Of all arrivals.
    least_usd, mean_usd : float
        Reach beyond the mid: the least, plus an exponential with this mean, cut off at `REACH_MOST_USD`.
    informed : float
        Probability that the sweep knows something: only then does a part of its impact stay.
    permanent : float
        Mean of that part, over the reach; drawn from 0.7 to 1.3 times it.
    decaying : float
        Mean of the part that decays, over the reach; drawn from 0 to twice it.
    orders : float
        Mean number of orders that it consists of, geometric.
    """

    share: float
    least_usd: float
    mean_usd: float
    informed: float
    permanent: float
    decaying: float
    orders: float

    def reach_usd(self, u: float) -> float:
        """Return the reach at a quantile."""
        cut = -math.expm1(-(REACH_MOST_USD - self.least_usd) / self.mean_usd)
        return self.least_usd - self.mean_usd * math.log1p(-u * cut)

    @property
    def variance(self) -> float:
        """Mean square of the permanent move of one sweep, USD squared."""
        points = 2000
        square = sum(self.reach_usd((i + 0.5) / points) ** 2 for i in range(points)) / points
        return self.informed * self.permanent**2 * (1 + 0.6**2 / 12) * square


@dataclass(frozen=True)
class Regime:
    """One state of the market: volatility, how long it lasts, how often news come, its sweeps, what may follow it.

    ``following`` holds indices into `REGIMES` with probabilities.
    """

    name: str
    sigma_usd_sqrt_s: float
    mean_s: float
    news_per_s: float
    classes: tuple[ReachClass, ...]
    following: tuple[tuple[int, float], ...]

    @cached_property
    def variance_without_trades(self) -> float:
        """What is left of sigma squared when the sweeps have moved the price: what happens on other venues first."""
        sweeps = MEAN_RATE_PER_S * sum(item.share * item.variance for item in self.classes)
        left = self.sigma_usd_sqrt_s**2 - sweeps
        if left < 0:
            raise ValueError(f"the sweeps of the regime {self.name} alone make a sigma of {math.sqrt(sweeps):.1f}")
        return left

    @property
    def diffusion_usd_sqrt_s(self) -> float:
        """The part of it that comes little by little."""
        return math.sqrt((1 - NEWS_SHARE) * self.variance_without_trades)

    @property
    def news_usd(self) -> float:
        """Mean size of the jumps that the other part comes in, exponential."""
        return math.sqrt(NEWS_SHARE * self.variance_without_trades / (2 * self.news_per_s))


MEAN_RATE_PER_S: Final = (LOW_RATE_PER_S * LOW_MEAN_S + HIGH_RATE_PER_S * HIGH_MEAN_S) / (LOW_MEAN_S + HIGH_MEAN_S)

REGIMES: Final = (
    Regime(
        "calm",
        4.0,
        285.0,
        0.02,
        (
            ReachClass(0.050, 0.0, 0.8, 1.0, 0.9, 0.2, 1.5),
            ReachClass(0.027, 0.0, 2.5, 1.0, 0.9, 0.2, 1.5),
            ReachClass(0.0062, 8.0, 8.0, 0.3, 0.9, 0.3, 1.3),
        ),
        ((1, 1.0),),
    ),
    Regime(
        "typical",
        8.0,
        120.0,
        0.02,
        (
            ReachClass(0.050, 0.0, 1.5, 1.0, 1.0, 0.2, 1.5),
            ReachClass(0.027, 0.0, 5.0, 0.9, 1.0, 0.2, 1.5),
            ReachClass(0.0070, 8.0, 12.0, 0.55, 1.0, 0.3, 1.5),
        ),
        ((0, 0.6), (2, 0.4)),
    ),
    Regime(
        "burst",
        14.0,
        130.0,
        0.05,
        (
            ReachClass(0.060, 0.0, 2.6, 1.0, 1.0, 0.2, 1.5),
            ReachClass(0.033, 0.0, 8.0, 0.9, 1.0, 0.2, 1.5),
            ReachClass(0.0090, 8.0, 16.0, 0.6, 1.0, 0.3, 1.7),
        ),
        ((1, 1.0),),
    ),
)
"""Shares of time 50, 35 and 15 %: mean square of sigma 7.7 USD/sqrt(s). Calm sweeps that reach far are mostly somebody
in a hurry who knows nothing: sigma leaves no room for more."""
