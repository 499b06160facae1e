"""The market of a dated future: it follows the index of its underlying, which another flow moves, at a basis.

Its book stands around the index times one plus the basis, a little wider and thinner than the perpetual's, and a few
takers come who mean nothing. The basis falls to nothing at the expiry.
"""

from __future__ import annotations

import math
import random
from typing import Final

from mftpy.errors import MftpyError
from mftpy.sim import flow_realistic_parameters as world
from mftpy.sim.flow import Market
from mftpy.sim.flow_realistic_book import Background
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.settings import ExchangeSettings

STEP_NS: Final = 100_000_000
BASIS_PER_YEAR: Final = 0.05
"""What quarterly futures of Bitcoin have paid over the index in quiet years: 5 to 10 %."""
YEAR_S: Final = 365 * 86_400
TAKERS_PER_S: Final = 0.5
THINNER: Final = 0.3
"""Sizes, of the perpetual's."""


class FollowerFlow:
    """See the module's text.

    Parameters
    ----------
    settings : ExchangeSettings
    unix_s : float
        Exchange time when it is started: how far the expiry is.
    """

    def __init__(self, settings: ExchangeSettings, unix_s: float) -> None:
        self._settings = settings
        self._unix_s = unix_s
        self._due_ns = 0
        self.finished: str | None = None
        self.failure: MftpyError | None = None

    def start(self, market: Market, now_ns: int) -> None:
        """Make the first book."""
        listed = market.instrument
        assert listed.expiry_s is not None
        self._expiry_s = listed.expiry_s
        self._unix_s -= now_ns * 1e-9
        usd = self._settings.initial_price / world.REFERENCE_PRICE / listed.tick_size
        coins = world.REFERENCE_PRICE / self._settings.initial_price / listed.lot_size
        seed = f"{self._settings.seed}/{listed.name}"
        self._random = random.Random(f"{seed}/takers")
        self._size_mu = math.log(world.SIZE_MEDIAN_COINS * coins)
        self._tick_units = listed.tick_units
        self._background = Background(
            random.Random(f"{seed}/sizes"),
            THINNER * world.LEVEL_MEDIAN_COINS * coins / usd,
            world.LEVEL_LN_SD,
            max(10, round(world.DEPTH_USD * usd)),
        )
        self._background.start(market, self._fair(market, now_ns))
        self._due_ns = now_ns + STEP_NS

    def next_due_ns(self) -> int | None:
        """Return the time of the next step."""
        return self._due_ns

    def step(self, market: Market, now_ns: int) -> None:
        """Stand around the index as it is now; every step that is due may bring a taker."""
        while self._due_ns <= now_ns:
            self._due_ns += STEP_NS
            if self._random.random() < TAKERS_PER_S * STEP_NS * 1e-9:
                self._take(market)
        self._background.refresh(market, self._fair(market, now_ns))

    def _take(self, market: Market) -> None:
        side = BUY if self._random.random() < 0.5 else SELL
        lots = max(1, round(self._random.lognormvariate(self._size_mu, world.SIZE_LN_SD)))
        best = market.best(-side)
        if best is not None and market.take(side, best, lots):
            self._background.taken(market, side, best)

    def _fair(self, market: Market, now_ns: int) -> float:
        left_s = max(self._expiry_s - (self._unix_s + now_ns * 1e-9), 0.0)
        return market.index_units / self._tick_units * (1 + BASIS_PER_YEAR * left_s / YEAR_S)
